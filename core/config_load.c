#include "core/config.h"

#include "core/config_table_private.h"
#include "core/ip_address.h"
#include "core/secret.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The first must not be more than the second. */
static const size_t ORDERED[][2] = {
    {SETTING_AT(lock_timeout_ms), SETTING_AT(statement_timeout_ms)},
    {SETTING_AT(statement_timeout_ms), SETTING_AT(request_budget_ms)},
    {SETTING_AT(http_active_max), SETTING_AT(http_conn_max)},
    {SETTING_AT(http_uri_bytes_max), SETTING_AT(http_header_bytes_max)},
};

/* One run of config_load(). */
struct loader {
    struct config *config;
    config_env_fn *env;
    struct buf *errors, *warnings;
    bool bad[SETTING_COUNT_MAX]; /* refused, so rules across settings leave it alone */
    uint32_t bad_count;
    bool defaulted[SETTING_COUNT_MAX];
    bool in_file; /* the value at hand came from a file */
};

static void *field_of(struct config *config, size_t offset)
{
    return (char *)config + offset;
}

static const struct setting *setting_at(size_t offset)
{
    for (uint32_t i = 0; i < setting_count(); i++) {
        if (CONFIG_SETTINGS[i].offset == offset)
            return &CONFIG_SETTINGS[i];
    }
    UNREACHABLE();
}

static bool is_bad(const struct loader *loader, const struct setting *setting)
{
    return loader->bad[setting - CONFIG_SETTINGS];
}

/* Begins the line of an error; the caller writes the rest of it with its line feed. */
static struct buf *refuse(struct loader *loader, const struct setting *setting)
{
    loader->bad[setting - CONFIG_SETTINGS] = true;
    loader->bad_count++;
    buf_addf(loader->errors, "%s: ", setting->name);
    return loader->errors;
}

static bool is_visible_ascii(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
            return false;
    }
    return true;
}

static bool has_control_byte(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char byte = (unsigned char)text.ptr[i];
        if (byte < ' ' || byte == 0x7f)
            return true;
    }
    return false;
}

static bool is_digits(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    }
    return text.len > 0;
}

/* Begins an error with enough of the value to recognise it, escaped; a file's content is never
 * shown: NAME_FILE may name the wrong file. */
static struct buf *refuse_value(struct loader *loader, const struct setting *setting,
                                struct span value)
{
    enum { QUOTED_BYTES_MAX = 40 };
    struct buf *out = refuse(loader, setting);
    if (value.len > QUOTED_BYTES_MAX)
        value.len = QUOTED_BYTES_MAX;
    if (loader->in_file)
        buf_add(out, SPAN("the content of its file"));
    else if (is_digits(value))
        buf_add(out, value);
    else
        buf_add_json(out, value);
    return out;
}

static void set_number(struct loader *loader, const struct setting *setting, struct span value)
{
    uint64_t number = 0;
    if (!is_digits(value))
        buf_add(refuse_value(loader, setting, value),
                SPAN(" is not a whole number in decimal digits\n"));
    else if (!span_parse_u64(value, setting->max, &number) || number < setting->min)
        buf_addf(refuse_value(loader, setting, value), " is not in %" PRIu32 "..%" PRIu32 "\n",
                 setting->min, setting->max);
    else
        *(uint32_t *)field_of(loader->config, setting->offset) = (uint32_t)number;
}

static void set_switch(struct loader *loader, const struct setting *setting, struct span value)
{
    const bool on = span_equal(value, SPAN("1"));
    if (!on && !span_equal(value, SPAN("0")))
        buf_add(refuse_value(loader, setting, value), SPAN(" is not 0 or 1\n"));
    *(bool *)field_of(loader->config, setting->offset) = on;
}

static void set_level(struct loader *loader, const struct setting *setting, struct span value)
{
    if (!log_level_parse(value, field_of(loader->config, setting->offset))) {
        struct buf *out = refuse_value(loader, setting, value);
        buf_add(out, SPAN(" is not one of "));
        setting_add_level_words(out);
        buf_add_char(out, '\n');
    }
}

/* Text is never quoted in the error: it may be a secret. */
static void set_text(struct loader *loader, const struct setting *setting, struct span value)
{
    if (value.len >= setting_text_cap(setting)) {
        buf_addf(refuse(loader, setting), "is longer than %zu bytes\n",
                 setting_text_cap(setting) - 1);
    } else if (setting->type == SETTING_URL && has_control_byte(value)) {
        buf_add(refuse(loader, setting), SPAN("contains a control byte\n"));
    } else if (setting->type != SETTING_URL && !is_visible_ascii(value)) {
        buf_add(refuse(loader, setting),
                SPAN("contains a byte that is not visible ASCII (a space, a control byte, ...)\n"));
    } else {
        char *text = field_of(loader->config, setting->offset);
        memcpy(text, value.ptr, value.len);
        text[value.len] = '\0';
    }
}

static void set_value(struct loader *loader, const struct setting *setting, struct span value)
{
    switch (setting->type) {
    case SETTING_NUMBER:
        set_number(loader, setting, value);
        break;
    case SETTING_SWITCH:
        set_switch(loader, setting, value);
        break;
    case SETTING_LEVEL:
        set_level(loader, setting, value);
        break;
    case SETTING_TEXT:
    case SETTING_KEY:
    case SETTING_URL:
        set_text(loader, setting, value);
        break;
    }
}

/* Reads the file behind a NAME_FILE into storage of CONFIG_FILE_MAX + 1 bytes and cuts one line
 * end. Returns NULL, or why not. */
static const char *read_file(const char *path, char *storage, struct span *content)
{
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd == -1)
        return strerror(errno);

    const char *reason = NULL;
    size_t len = 0;
    struct stat info;
    if (fstat(fd, &info) == -1)
        reason = strerror(errno);
    else if (!S_ISREG(info.st_mode))
        reason = "it is not a regular file";
    while (reason == NULL && len <= CONFIG_FILE_MAX) {
        const ssize_t got = read(fd, storage + len, CONFIG_FILE_MAX + 1 - len);
        if (got == 0)
            break;
        if (got > 0)
            len += (size_t)got;
        else if (errno != EINTR)
            reason = strerror(errno);
    }
    close(fd);

    if (reason == NULL && len > CONFIG_FILE_MAX)
        reason = "it is larger than 65536 bytes";
    if (reason == NULL && memchr(storage, '\0', len) != NULL)
        reason = "it contains a NUL byte";
    if (len > 0 && storage[len - 1] == '\n')
        len -= len > 1 && storage[len - 2] == '\r' ? 2 : 1;
    *content = (struct span){storage, len};
    return reason;
}
static_assert(CONFIG_FILE_MAX == 65536, "read_file says the number");

static void set_from_fallback(struct loader *loader, const struct setting *setting)
{
    if (setting->flags & SETTING_REQUIRED) {
        buf_addf(refuse(loader, setting), "is required; set it or %s_FILE\n", setting->name);
        return;
    }
    loader->defaulted[setting - CONFIG_SETTINGS] = true;
    if (setting->flags & SETTING_EXPECTED)
        buf_addf(loader->warnings, "%s: is not set, using %s\n", setting->name, setting->fallback);
    set_value(loader, setting, span_of(setting->fallback));
}

static void set_from_file(struct loader *loader, const struct setting *setting, const char *path)
{
    char storage[CONFIG_FILE_MAX + 1];
    struct span content = {storage, 0};
    const struct span name = span_of(path);
    const char *reason;
    if (name.len >= CONFIG_TEXT_MAX)
        reason = "its path is longer than 255 bytes";
    else if (has_control_byte(name))
        reason = "its path contains a control byte";
    else
        reason = read_file(path, storage, &content);
    if (reason == NULL && content.len == 0 && (setting->flags & SETTING_REQUIRED))
        reason = "it is empty";

    if (reason != NULL) {
        buf_addf(refuse(loader, setting), "the file of %s_FILE cannot be used: %s\n", setting->name,
                 reason);
    } else {
        if (setting->flags & SETTING_SECRET)
            memcpy(field_of(loader->config, setting->file_offset), path, name.len + 1);
        loader->in_file = true;
        if (content.len == 0)
            set_from_fallback(loader, setting);
        else
            set_value(loader, setting, content);
        loader->in_file = false;
    }
    secret_wipe(storage, sizeof(storage));
}
static_assert(CONFIG_TEXT_MAX == 256, "set_from_file says the number");

static void load_setting(struct loader *loader, const struct setting *setting)
{
    char file_name[64];
    snprintf(file_name, sizeof(file_name), "%s_FILE", setting->name);
    const struct span value = span_of(loader->env(setting->name));
    const char *path = loader->env(file_name);
    const bool has_path = path != NULL && path[0] != '\0';

    if (value.len > 0 && has_path)
        buf_addf(refuse(loader, setting), "set it or %s, not both\n", file_name);
    else if (has_path)
        set_from_file(loader, setting, path);
    else if (value.len > 0)
        set_value(loader, setting, value);
    else
        set_from_fallback(loader, setting);
}

/* A service that forgot to say where it is must not get the rules of a developer's machine. */
static void note_environment(struct loader *loader)
{
    const struct setting *setting = setting_at(SETTING_AT(environment));
    loader->config->environment_said = !loader->defaulted[setting - CONFIG_SETTINGS];
    if (!loader->config->environment_said)
        buf_add(loader->warnings, SPAN("ENVIRONMENT: only when dev is said are short keys and a "
                                       "database without verify-full allowed\n"));
}

static void check_order(struct loader *loader, size_t less_offset, size_t more_offset)
{
    const struct setting *less = setting_at(less_offset), *more = setting_at(more_offset);
    if (is_bad(loader, less) || is_bad(loader, more))
        return;
    const uint32_t low = *(const uint32_t *)setting_field(loader->config, less_offset);
    const uint32_t high = *(const uint32_t *)setting_field(loader->config, more_offset);
    if (low > high)
        buf_addf(refuse(loader, less), "%" PRIu32 " is more than %s, which is %" PRIu32 "\n", low,
                 more->name, high);
}

static void check_key(struct loader *loader, size_t offset)
{
    const struct setting *setting = setting_at(offset);
    const char *key = setting_field(loader->config, offset);
    if (is_bad(loader, setting) || is_bad(loader, setting_at(SETTING_AT(environment))) ||
        key[0] == '\0')
        return;
    if (!config_key_is_valid(loader->config, key))
        buf_addf(refuse(loader, setting),
                 "has %zu characters; outside ENVIRONMENT=dev it needs at least %d\n", strlen(key),
                 CONFIG_API_KEY_LEN);
}

static void check_bind_address(struct loader *loader)
{
    const struct setting *setting = setting_at(SETTING_AT(bind_address));
    const char *address = loader->config->bind_address;
    struct in6_addr parsed;
    if (!is_bad(loader, setting) && inet_pton(AF_INET, address, &parsed) != 1 &&
        inet_pton(AF_INET6, address, &parsed) != 1)
        buf_add(refuse(loader, setting), SPAN("is not a numeric IPv4 or IPv6 address\n"));
}

/* Somewhere it must be. */
static void check_metrics(struct loader *loader)
{
    const struct setting *setting = setting_at(SETTING_AT(metrics_on_api_port));
    if (is_bad(loader, setting) || is_bad(loader, setting_at(SETTING_AT(port))) ||
        is_bad(loader, setting_at(SETTING_AT(ops_port))))
        return;
    if (!loader->config->metrics_on_api_port && !config_has_ops_port(loader->config))
        buf_add(refuse(loader, setting), SPAN("0 needs an OPS_PORT that is not PORT\n"));
}

static void check_trusted_proxies(struct loader *loader)
{
    const struct setting *setting = setting_at(SETTING_AT(trusted_proxies));
    struct ip_networks networks;
    if (is_bad(loader, setting))
        return;
    const char *why = ip_networks_parse(span_of(loader->config->trusted_proxies), &networks);
    if (why != NULL)
        buf_addf(refuse(loader, setting), "entry %" PRIu32 " %s\n", networks.count + 1, why);
}

enum err config_load(struct config *config, enum config_mode mode, config_env_fn *env,
                     struct buf *errors, struct buf *warnings)
{
    memset(config, 0, sizeof(*config));
    struct loader loader = {.config = config, .env = env, .errors = errors, .warnings = warnings};
    for (uint32_t i = 0; i < setting_count(); i++) {
        const struct setting *setting = &CONFIG_SETTINGS[i];
        if (mode == CONFIG_SERVE || !(setting->flags & SETTING_SERVING))
            load_setting(&loader, setting);
    }
    note_environment(&loader);
    for (size_t i = 0; i < sizeof(ORDERED) / sizeof(ORDERED[0]); i++)
        check_order(&loader, ORDERED[i][0], ORDERED[i][1]);
    check_key(&loader, SETTING_AT(api_secret_key));
    check_key(&loader, SETTING_AT(api_secret_key_previous));
    check_bind_address(&loader);
    check_metrics(&loader);
    check_trusted_proxies(&loader);
    return loader.bad_count == 0 ? ERR_OK : ERR_INVALID;
}

bool config_key_is_valid(const struct config *config, const char *key)
{
    const struct span text = span_of(key);
    const size_t least = config_is_dev(config) ? 1 : CONFIG_API_KEY_LEN;
    return text.len >= least && text.len < CONFIG_SECRET_MAX && is_visible_ascii(text);
}

enum err config_reread_file(const char *path, char *out)
{
    if (path[0] == '\0')
        return ERR_OK;
    char storage[CONFIG_FILE_MAX + 1];
    struct span content = {storage, 0};
    enum err err = ERR_OK;
    if (read_file(path, storage, &content) != NULL) {
        err = ERR_UNAVAILABLE;
    } else if (content.len >= CONFIG_SECRET_MAX || has_control_byte(content)) {
        err = ERR_INVALID;
    } else {
        memcpy(out, content.ptr, content.len);
        out[content.len] = '\0';
    }
    secret_wipe(storage, sizeof(storage));
    return err;
}
