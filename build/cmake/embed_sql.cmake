# Turns pool/sql/*.sql (statements of the service), pool/sql/ops/*.sql (of the commands audit and purge) and
# pool/schema/*.sql (migrations) into C arrays, and writes every statement as it is sent, whole and without comments,
# to sql/<name>.sql in the build directory: for EXPLAIN and for tests.
#
# {{name}} in a statement is replaced by the text of pool/sql/name.inc.sql, an expression or a list of joins: the
# decision is written once (decision.inc.sql) and shared by every statement that decides.
#
# Sets EMBEDDED_SQL_SOURCE and EMBEDDED_SQL_INCLUDE; the header is "embedded_sql.h":
#   extern const char SQL_EVAL_BATCH[];              pool/sql/eval_batch.sql
#   extern const char SQL_OPS_PURGE_BATCH[];         pool/sql/ops/purge_batch.sql
#   struct embedded_migration { int version; const char *name; const char *sql; };
#   extern const struct embedded_migration EMBEDDED_MIGRATIONS[]; extern const unsigned EMBEDDED_MIGRATION_COUNT;
set(EMBEDDED_SQL_INCLUDE "${CMAKE_BINARY_DIR}/generated")
set(EMBEDDED_SQL_SOURCE "${EMBEDDED_SQL_INCLUDE}/embedded_sql.c")

file(GLOB sql_files CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/pool/sql/*.sql" "${CMAKE_SOURCE_DIR}/pool/sql/ops/*.sql")
file(GLOB schema_files CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/pool/schema/*.sql")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${sql_files} ${schema_files})

# The bytes of `text` as a C initializer in `result`; string literals are limited to 4,095 bytes in C17.
function(c_bytes text result)
  string(HEX "${text}" hex)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  set(${result} "{${bytes}0}" PARENT_SCOPE)
endfunction()

set(header "#ifndef EMBEDDED_SQL_H\n#define EMBEDDED_SQL_H\n")
set(source "#include \"embedded_sql.h\"\n")

# `text` as it is sent, in `result`: parts put in, and no comments, which every connect would send and parse.
function(assemble_statement text result)
  foreach(depth RANGE 1 3) # an included part may include another
    string(REGEX REPLACE "--[^\n]*" "" text "${text}")
    string(REGEX MATCHALL "{{[a-z_/]+}}" marks "${text}")
    list(REMOVE_DUPLICATES marks)
    foreach(mark IN LISTS marks)
      string(REGEX REPLACE "[{}]" "" part "${mark}")
      file(READ "${CMAKE_SOURCE_DIR}/pool/sql/${part}.inc.sql" part_text)
      string(REPLACE "${mark}" "${part_text}" text "${text}")
    endforeach()
  endforeach()
  string(REGEX REPLACE "--[^\n]*" "" text "${text}")
  string(REGEX REPLACE "[ \n]*\n" "\n" text "${text}")
  string(STRIP "${text}" text)
  set(${result} "${text}" PARENT_SCOPE)
endfunction()

# One statement: its declaration, its array, and its file in the build directory.
macro(embed_statement name text)
  assemble_statement("${text}" statement)
  file(CONFIGURE OUTPUT "${CMAKE_BINARY_DIR}/sql/${name}.sql" CONTENT "${statement}" @ONLY)
  string(TOUPPER "SQL_${name}" symbol)
  string(REPLACE "/" "_" symbol "${symbol}")
  c_bytes("${statement}" bytes)
  string(APPEND header "extern const char ${symbol}[];\n")
  string(APPEND source "const char ${symbol}[] = ${bytes};\n")
endmacro()

file(REMOVE_RECURSE "${CMAKE_BINARY_DIR}/sql")
foreach(path IN LISTS sql_files)
  file(RELATIVE_PATH name "${CMAKE_SOURCE_DIR}/pool/sql" "${path}")
  if(name MATCHES "\\.inc\\.sql$")
    continue()
  endif()
  file(READ "${path}" text)
  string(REGEX REPLACE "\\.sql$" "" name "${name}")
  embed_statement("${name}" "${text}")
endforeach()

set(table "")
set(migration_count 0)
set(migration_latest 0)
foreach(path IN LISTS schema_files)
  get_filename_component(name "${path}" NAME)
  if(NOT name MATCHES "^([0-9][0-9][0-9][0-9])_[a-z0-9_]+\\.sql$")
    message(FATAL_ERROR "${name}: a migration is named NNNN_words.sql")
  endif()
  math(EXPR version "1${CMAKE_MATCH_1} - 10000")
  math(EXPR migration_count "${migration_count} + 1")
  if(NOT version EQUAL migration_count)
    message(FATAL_ERROR "${name}: migrations are numbered without gaps from 0001")
  endif()
  file(READ "${path}" text)
  c_bytes("${text}" bytes)
  string(APPEND source "static const char migration_${version}[] = ${bytes};\n")
  string(APPEND table "    {${version}, \"${name}\", migration_${version}},\n")
endforeach()
string(APPEND header
  "struct embedded_migration {\n    int version;\n    const char *name;\n    const char *sql;\n};\n"
  "extern const struct embedded_migration EMBEDDED_MIGRATIONS[];\n"
  "enum { EMBEDDED_MIGRATION_COUNT = ${migration_count} };\n#endif\n")
string(APPEND source "const struct embedded_migration EMBEDDED_MIGRATIONS[] = {\n${table}};\n")

file(CONFIGURE OUTPUT "${EMBEDDED_SQL_INCLUDE}/embedded_sql.h" CONTENT "${header}" @ONLY)
file(CONFIGURE OUTPUT "${EMBEDDED_SQL_SOURCE}" CONTENT "${source}" @ONLY)
