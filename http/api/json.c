#include "http/api/json.h"

#include "core/secret.h"

#include <jansson.h>
#include <stdalign.h>
#include <string.h>

enum { JSON_ALIGN = alignof(max_align_t) };

/* jansson's allocator has no context argument, so its one arena is here. Loop thread only. */
static struct {
    alignas(max_align_t) unsigned char bytes[JSON_ARENA_BYTES];
    size_t used;
    bool full; /* this document asked for more than there is */
} arena;

static void *arena_take(size_t size)
{
    if (size > JSON_ARENA_BYTES - arena.used) {
        arena.full = true;
        return NULL;
    }
    void *taken = arena.bytes + arena.used;
    const size_t rounded = (size + JSON_ALIGN - 1) & ~(size_t)(JSON_ALIGN - 1);
    arena.used += rounded < JSON_ARENA_BYTES - arena.used ? rounded : JSON_ARENA_BYTES - arena.used;
    return taken;
}

static void arena_give(void *taken)
{
    (void)taken; /* everything goes at once, at the next document */
}

static const json_t *json_of(const struct json_value *value)
{
    return (const json_t *)(const void *)value;
}

static const struct json_value *json_value_of(const json_t *json)
{
    return (const struct json_value *)(const void *)json;
}

void json_init(void)
{
    size_t seed = 0;
    secret_random(&seed, sizeof(seed));
    json_object_seed(seed | 1); /* 0 would make jansson open /dev/urandom */
    json_set_alloc_funcs(arena_take, arena_give);
}

/* jansson's own bound is 2,048 levels of recursion; ours is checked before it sees the text. *at is
 * the first byte beyond it. */
static bool json_depth_fits(struct span text, size_t *at)
{
    uint32_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        const char byte = text.ptr[i];
        if (in_string) {
            if (byte == '\\')
                i++;
            else if (byte == '"')
                in_string = false;
        } else if (byte == '"') {
            in_string = true;
        } else if (byte == '{' || byte == '[') {
            if (++depth > JSON_DEPTH_MAX) {
                *at = i;
                return false;
            }
        } else if ((byte == '}' || byte == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

/* jansson's own message quotes the input, so only its code is used. */
static const char *json_reason(enum json_error_code code)
{
    switch (code) {
    case json_error_duplicate_key:
        return "a member name occurs twice in one object";
    case json_error_invalid_utf8:
        return "the text is not valid UTF-8";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "a string holds a NUL character";
    case json_error_numeric_overflow:
        return "a number is out of range";
    case json_error_premature_end_of_input:
        return "the text ends too early";
    case json_error_end_of_input_expected:
        return "something follows the object";
    case json_error_invalid_syntax:
    case json_error_unknown:
    case json_error_out_of_memory:
    case json_error_stack_overflow:
    case json_error_invalid_argument:
    case json_error_cannot_open_file:
    case json_error_invalid_format:
    case json_error_wrong_type:
    case json_error_null_value:
    case json_error_item_not_found:
    case json_error_index_out_of_range:
        return "the text is not valid JSON";
    }
    return "the text is not valid JSON";
}

static enum err json_refuse(struct json_fault *fault, const char *why, size_t offset)
{
    *fault = (struct json_fault){why, offset};
    return ERR_INVALID;
}

enum err json_read(struct span text, const struct json_value **root, struct json_fault *fault)
{
    size_t at = 0;
    arena.used = 0;
    arena.full = false;
    *root = NULL;
    /* jansson 2.14 skips a NUL byte that follows a number or a word. */
    const char *nul = text.len == 0 ? NULL : memchr(text.ptr, '\0', text.len);
    if (nul != NULL)
        return json_refuse(fault, "the text holds a NUL byte", (size_t)(nul - text.ptr));
    if (!json_depth_fits(text, &at))
        return json_refuse(fault, "the text is nested too deeply", at);
    json_error_t error = {0};
    const json_t *json = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        return json_refuse(fault,
                           arena.full ? "the text has too many values"
                                      : json_reason(json_error_code(&error)),
                           error.position > 0 ? (size_t)error.position : 0);
    if (!json_is_object(json))
        return json_refuse(fault, "the text is not a JSON object", 0);
    *root = json_value_of(json);
    return ERR_OK;
}

const struct json_value *json_member(const struct json_value *object, const char *name)
{
    return json_value_of(json_object_get(json_of(object), name));
}

enum json_type json_type_of(const struct json_value *value)
{
    const json_t *json = json_of(value);
    if (json == NULL)
        return JSON_ABSENT;
    if (json_is_object(json))
        return JSON_OBJECT_TYPE;
    if (json_is_string(json))
        return JSON_STRING_TYPE;
    if (json_is_integer(json))
        return JSON_INTEGER_TYPE;
    if (json_is_real(json))
        return JSON_REAL_TYPE;
    if (json_is_array(json))
        return JSON_ARRAY_TYPE;
    return json_is_null(json) ? JSON_NULL_TYPE : JSON_BOOLEAN_TYPE;
}

const char *json_type_name(enum json_type type)
{
    static const char *const NAMES[] = {
        [JSON_ABSENT] = "nothing",
        [JSON_OBJECT_TYPE] = "an object",
        [JSON_STRING_TYPE] = "a string",
        [JSON_INTEGER_TYPE] = "a number",
        [JSON_REAL_TYPE] = "a number with a fraction or an exponent",
        [JSON_ARRAY_TYPE] = "an array",
        [JSON_BOOLEAN_TYPE] = "true or false",
        [JSON_NULL_TYPE] = "null",
    };
    return NAMES[type];
}

struct span json_string_of(const struct json_value *value)
{
    CHECK(json_type_of(value) == JSON_STRING_TYPE);
    const json_t *json = json_of(value);
    return (struct span){json_string_value(json), json_string_length(json)};
}

int64_t json_integer_of(const struct json_value *value)
{
    CHECK(json_type_of(value) == JSON_INTEGER_TYPE);
    return json_integer_value(json_of(value));
}

bool json_boolean_of(const struct json_value *value)
{
    CHECK(json_type_of(value) == JSON_BOOLEAN_TYPE);
    return json_is_true(json_of(value));
}

static bool json_name_in(const char *name, const char *const *names)
{
    for (; *names != NULL; names++)
        if (span_equal(span_of(name), span_of(*names)))
            return true;
    return false;
}

bool json_only_members(const struct json_value *object, const char *const *names)
{
    CHECK(json_type_of(object) == JSON_OBJECT_TYPE);
    /* json_object_iter takes a mutable object but changes nothing. */
    union {
        const struct json_value *value;
        json_t *json;
    } view = {.value = object};
    for (void *member = json_object_iter(view.json); member != NULL;
         member = json_object_iter_next(view.json, member))
        if (!json_name_in(json_object_iter_key(member), names))
            return false;
    return true;
}
