# "revision.h": what `version`, /info and payment_latency_api_build_info say of this build.
set(REVISION_INCLUDE "${CMAKE_BINARY_DIR}/generated")
set(revision "unknown")
find_package(Git QUIET)
if(GIT_FOUND)
  execute_process(COMMAND "${GIT_EXECUTABLE}" describe --always --dirty --abbrev=12
    WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}" OUTPUT_VARIABLE described
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(revision "${described}")
  endif()
endif()
if(DEFINED ENV{REVISION})
  set(revision "$ENV{REVISION}")
endif()
file(CONFIGURE OUTPUT "${REVISION_INCLUDE}/revision.h" CONTENT
"#ifndef REVISION_H
#define REVISION_H
#define PROJECT_VERSION \"${PROJECT_VERSION}\"
#define PROJECT_REVISION \"${revision}\"
#define PROJECT_COMPILER \"${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}\"
#endif
" @ONLY)
