# Libraries are the distribution's; llhttp comes from out/deps where the release is too old
# (build/deps unpacks them there).
file(GLOB deps_pc "${CMAKE_SOURCE_DIR}/out/deps/usr/lib/*/pkgconfig")
if(deps_pc)
  set(ENV{PKG_CONFIG_PATH} "${deps_pc}:$ENV{PKG_CONFIG_PATH}")
endif()
find_package(PkgConfig REQUIRED)
pkg_check_modules(LLHTTP REQUIRED IMPORTED_TARGET libllhttp>=9.3)
pkg_check_modules(PQ REQUIRED IMPORTED_TARGET libpq>=14)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.13)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium>=1.0.18)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp>=2.5)
pkg_check_modules(CARES REQUIRED IMPORTED_TARGET libcares>=1.18)
