#include "http/api/payment_body.h"

#include "http/api/json.h"
#include "http/api/percent.h"

enum { QUERY_NAME_MAX = 32, QUERY_VALUE_MAX = 64, INTEGER_DIGITS_MAX = 24 };

static const char *const body_members[] = {"wallet_id", "amount",       "currency", "merchant",
                                           "effect",    "expires_in_s", "force",    NULL};
static const char *const merchant_members[] = {"mcc", "country", NULL};

typedef bool payment_set_fn(struct payment_command *command, struct span text);

/* ---- JSON ---- */

static void payment_body_text(const struct json_value *value, enum payment_field field,
                              payment_set_fn *set, struct payment_command *command,
                              struct payment_refusal *refusal)
{
    const enum json_type type = json_type_of(value);
    if (type != JSON_STRING_TYPE)
        payment_refusal_add_type(refusal, payment_field_pointer(field), "must be a string", type);
    else if (!set(command, json_string_of(value)))
        payment_refusal_add_field(refusal, payment_field_pointer(field), payment_field_rule(field));
}

static void payment_body_integer(const struct json_value *value, enum payment_field field,
                                 payment_set_fn *set, struct payment_command *command,
                                 struct payment_refusal *refusal)
{
    const char *pointer = payment_field_pointer(field);
    const char *rule = payment_field_rule(field);
    if (json_type_of(value) != JSON_INTEGER_TYPE) {
        payment_refusal_add_type(refusal, pointer, rule, json_type_of(value));
        return;
    }
    char storage[INTEGER_DIGITS_MAX];
    struct buf digits;
    buf_init(&digits, storage, sizeof(storage));
    buf_add_i64(&digits, json_integer_of(value));
    if (!set(command, buf_span(&digits)))
        payment_refusal_add_field(refusal, pointer, rule);
}

static void payment_body_merchant(const struct json_value *merchant,
                                  struct payment_command *command, struct payment_refusal *refusal)
{
    if (json_type_of(merchant) != JSON_OBJECT_TYPE) {
        payment_refusal_add_type(refusal, "/merchant", "must be an object", json_type_of(merchant));
        return;
    }
    if (!json_only_members(merchant, merchant_members))
        payment_refusal_add_field(refusal, "/merchant", "has members other than mcc and country");
    payment_body_text(json_member(merchant, "mcc"), PAYMENT_FIELD_MCC, payment_set_mcc, command,
                      refusal);
    payment_body_text(json_member(merchant, "country"), PAYMENT_FIELD_MERCHANT_COUNTRY,
                      payment_set_country, command, refusal);
}

/* Rules across fields make sense only once every field is right by itself. */
static bool payment_refuse_if_wrong(const struct payment_command *command,
                                    struct payment_refusal *refusal,
                                    const char *(*name)(enum payment_field field))
{
    if (refusal->details.error_count == 0) {
        const enum payment_field field = payment_command_check(command);
        if (field == PAYMENT_FIELD_NONE)
            return true;
        payment_refusal_add_field(refusal, name(field), payment_field_rule(field));
    }
    return payment_refusal_set(refusal, PROBLEM_INVALID_PARAMETER, NULL); /* the fields say it */
}

bool payment_body_read(struct span body, struct payment_command *command,
                       struct payment_refusal *refusal)
{
    *refusal = (struct payment_refusal){0};
    *command = (struct payment_command){.effect = PAYMENT_HOLD};
    const struct json_value *root = NULL;
    if (!payment_refusal_read_json(refusal, body, &root))
        return false;
    if (json_member(root, "force") != NULL)
        return payment_refusal_set(refusal, PROBLEM_FORCED_OUTCOME_DISABLED,
                                   "the member force is not enabled here");
    if (!json_only_members(root, body_members))
        payment_refusal_add_field(
            refusal, "",
            "the object has members other than wallet_id, amount, currency, merchant, effect, "
            "expires_in_s");
    payment_body_text(json_member(root, "wallet_id"), PAYMENT_FIELD_WALLET_ID, payment_set_wallet,
                      command, refusal);
    payment_body_integer(json_member(root, "amount"), PAYMENT_FIELD_AMOUNT, payment_set_amount,
                         command, refusal);
    payment_body_text(json_member(root, "currency"), PAYMENT_FIELD_CURRENCY, payment_set_currency,
                      command, refusal);
    payment_body_merchant(json_member(root, "merchant"), command, refusal);
    if (json_member(root, "effect") != NULL)
        payment_body_text(json_member(root, "effect"), PAYMENT_FIELD_EFFECT, payment_set_effect,
                          command, refusal);
    if (json_member(root, "expires_in_s") != NULL)
        payment_body_integer(json_member(root, "expires_in_s"), PAYMENT_FIELD_EXPIRES_IN,
                             payment_set_expires_in, command, refusal);
    return payment_refuse_if_wrong(command, refusal, payment_field_pointer);
}

/* ---- query ---- */

static const struct {
    struct span name;
    enum payment_field field;
    payment_set_fn *set;
} query_parameters[] = {
    {{"wallet_id", 9}, PAYMENT_FIELD_WALLET_ID, payment_set_wallet},
    {{"amount", 6}, PAYMENT_FIELD_AMOUNT, payment_set_amount},
    {{"currency", 8}, PAYMENT_FIELD_CURRENCY, payment_set_currency},
    {{"mcc", 3}, PAYMENT_FIELD_MCC, payment_set_mcc},
    {{"merchant_country", 16}, PAYMENT_FIELD_MERCHANT_COUNTRY, payment_set_country},
};
enum { QUERY_PARAMETERS = sizeof(query_parameters) / sizeof(query_parameters[0]) };

/* Its own name is input, which no answer repeats: its place among the parameters tells it. */
static const char QUERY_UNKNOWN[] = "a parameter is none of wallet_id, amount, currency, mcc, "
                                    "merchant_country";

static const char *payment_query_name(enum payment_field field)
{
    for (size_t i = 0; i < QUERY_PARAMETERS; i++)
        if (query_parameters[i].field == field)
            return query_parameters[i].name.ptr;
    return "";
}

/* Index into query_parameters; QUERY_PARAMETERS when it is none of them. */
static size_t payment_query_find(struct span encoded_name)
{
    char storage[QUERY_NAME_MAX];
    struct buf name;
    buf_init(&name, storage, sizeof(storage));
    size_t index = 0;
    if (!percent_decode(encoded_name, &name))
        return QUERY_PARAMETERS;
    while (index < QUERY_PARAMETERS && !span_equal(buf_span(&name), query_parameters[index].name))
        index++;
    return index;
}

bool payment_query_is_purchase(struct span query)
{
    while (query.ptr != NULL) {
        struct span parameter = span_cut(&query, '&');
        if (payment_query_find(span_cut(&parameter, '=')) < QUERY_PARAMETERS)
            return true;
    }
    return false;
}

/* position: of the parameter, from 1. */
static void payment_query_parameter(struct span parameter, uint32_t position,
                                    bool seen[QUERY_PARAMETERS], struct payment_command *command,
                                    struct payment_refusal *refusal)
{
    if (parameter.len == 0)
        return;
    struct span encoded_value = parameter;
    const size_t index = payment_query_find(span_cut(&encoded_value, '='));
    if (index == QUERY_PARAMETERS) {
        payment_refusal_add(
            refusal,
            (struct problem_error){.pointer = "", .detail = QUERY_UNKNOWN, .position = position});
        return;
    }
    const char *name = query_parameters[index].name.ptr;
    if (seen[index]) {
        payment_refusal_add_field(refusal, name, "is given more than once");
        return;
    }
    seen[index] = true;
    char storage[QUERY_VALUE_MAX];
    struct buf value;
    buf_init(&value, storage, sizeof(storage));
    if (!percent_decode(encoded_value, &value) ||
        !query_parameters[index].set(command, buf_span(&value)))
        payment_refusal_add_field(refusal, name, payment_field_rule(query_parameters[index].field));
}

bool payment_query_read(struct span query, struct payment_command *command,
                        struct payment_refusal *refusal)
{
    *refusal = (struct payment_refusal){0};
    *command = (struct payment_command){.effect = PAYMENT_EVALUATE};
    if (payment_has_card_number(query))
        return payment_refusal_set(refusal, PROBLEM_PAN_DETECTED,
                                   "the query holds digits that may be a card number");
    bool seen[QUERY_PARAMETERS] = {false};
    struct span rest = query;
    for (uint32_t position = 1; rest.ptr != NULL; position++)
        payment_query_parameter(span_cut(&rest, '&'), position, seen, command, refusal);
    for (size_t i = 0; i < QUERY_PARAMETERS; i++)
        if (!seen[i])
            payment_refusal_add_field(refusal, query_parameters[i].name.ptr, "is required");
    return payment_refuse_if_wrong(command, refusal, payment_query_name);
}
