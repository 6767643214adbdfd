/*
 * json: strict reader of small request bodies. The only door to <jansson.h>.
 *
 * I-JSON (RFC 7493): UTF-8, no duplicate members, an object at the top, depth at most
 * JSON_DEPTH_MAX, integers only where an integer is asked for (1.0 and 1e2 are not). jansson
 * allocates from an arena that is reset per document, so reading never touches the heap. Strings
 * with NUL are refused.
 */
#ifndef HTTP_API_JSON_H
#define HTTP_API_JSON_H

#include "core/buf.h"
#include "core/check.h"
#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_ARENA_BYTES = 256 * 1024, JSON_DEPTH_MAX = 8 };

struct json_value; /* jansson's json_t; valid until the next json_read() */

/* Once, before the first json_read. */
void json_init(void);
/* Why a text is not taken. */
struct json_fault {
    const char *why; /* a literal (never input) */
    size_t offset;   /* bytes read when it was found: what is wrong ends there, or comes next */
};
/* ERR_INVALID: *fault is set. */
MUST_USE enum err json_read(struct span text, const struct json_value **root,
                            struct json_fault *fault);

enum json_type {
    JSON_ABSENT,
    JSON_OBJECT_TYPE,
    JSON_STRING_TYPE,
    JSON_INTEGER_TYPE,
    JSON_REAL_TYPE, /* written with a fraction or an exponent */
    JSON_ARRAY_TYPE,
    JSON_BOOLEAN_TYPE,
    JSON_NULL_TYPE
};
/* In words with their article, for error answers. */
const char *json_type_name(enum json_type type);
/* Names differ from jansson's own, so that a static link cannot mix them up.
 * The member of an object; NULL when absent. */
const struct json_value *json_member(const struct json_value *object, const char *name);
enum json_type json_type_of(const struct json_value *value); /* NULL: JSON_ABSENT */
struct span json_string_of(const struct json_value *value);
int64_t json_integer_of(const struct json_value *value);
bool json_boolean_of(const struct json_value *value);
/* True when every member's name is in names (NULL-terminated). */
bool json_only_members(const struct json_value *object, const char *const *names);

#endif
