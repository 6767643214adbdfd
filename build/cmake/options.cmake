# The target `project_options`: how every file of ours is compiled and linked.
option(CHECK_EXPENSIVE "Compile DCHECK audits in" OFF)
option(SANITIZE "AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(COVERAGE "Count lines and branches (gcov)" OFF)
option(FUZZ "libFuzzer targets (clang)" OFF)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

add_library(project_options INTERFACE)
target_compile_definitions(project_options INTERFACE _GNU_SOURCE)
target_compile_options(project_options INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
  -Wvla -Wformat=2 -Wundef -Wcast-align -Wwrite-strings -Wswitch-enum
  -fno-strict-overflow -fstack-protector-strong -fvisibility=hidden)

# Indirect jumps land only where the compiler says so, on processors that check it.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|i.86")
  target_compile_options(project_options INTERFACE -fcf-protection=full)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  target_compile_options(project_options INTERFACE -mbranch-protection=standard)
endif()

if(CHECK_EXPENSIVE)
  target_compile_definitions(project_options INTERFACE CHECK_EXPENSIVE)
endif()

if(SANITIZE)
  target_compile_options(project_options INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(project_options INTERFACE -fsanitize=address,undefined)
endif()
if(COVERAGE)
  target_compile_options(project_options INTERFACE --coverage -fprofile-abs-path -O0)
  target_link_options(project_options INTERFACE --coverage)
endif()
# What their runtimes do when the program ends (ptrace, files written) the sandbox would refuse.
if(SANITIZE OR COVERAGE)
  target_compile_definitions(project_options INTERFACE SANDBOX_IMPOSSIBLE)
endif()
if(FUZZ)
  target_compile_options(project_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_FLAGS_DEBUG "-Og -g3")
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1")
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
  target_compile_options(project_options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  target_link_options(project_options INTERFACE
    -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed -Wl,--gc-sections)
endif()
