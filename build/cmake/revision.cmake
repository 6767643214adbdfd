# "revision.h": what `version`, /info and payment_latency_api_build_info say of this build. Link the target
# `revision` to include it.
#
# Written on every build, by this file as a script, so that a new commit shows without configuring again; what
# includes it is compiled again only when the text has changed. REVISION in the environment of the build wins over
# git, for sources without a history.
if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(revision_include "${CMAKE_BINARY_DIR}/generated")
  find_package(Git QUIET)
  add_custom_target(revision_header
    COMMAND "${CMAKE_COMMAND}" "-DOUTPUT=${revision_include}/revision.h" "-DSOURCE=${CMAKE_SOURCE_DIR}"
      "-DGIT=${GIT_EXECUTABLE}" "-DVERSION=${PROJECT_VERSION}"
      "-DCOMPILER=${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}" -P "${CMAKE_CURRENT_LIST_FILE}"
    BYPRODUCTS "${revision_include}/revision.h" COMMENT "Asking git for the revision" VERBATIM)
  add_library(revision INTERFACE)
  target_include_directories(revision INTERFACE "${revision_include}")
  add_dependencies(revision revision_header)
  return()
endif()

set(revision "unknown")
if(DEFINED ENV{REVISION})
  set(revision "$ENV{REVISION}")
elseif(GIT)
  execute_process(COMMAND "${GIT}" describe --always --dirty --abbrev=12
    WORKING_DIRECTORY "${SOURCE}" OUTPUT_VARIABLE described
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(revision "${described}")
  endif()
endif()
# Leaves a file that is right already alone.
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT
"#ifndef REVISION_H
#define REVISION_H
#define PROJECT_VERSION \"${VERSION}\"
#define PROJECT_REVISION \"${revision}\"
#define PROJECT_COMPILER \"${COMPILER}\"
#endif
" @ONLY)
