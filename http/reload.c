#include "http/reload.h"

#include "core/log.h"
#include "core/secret.h"

#include <string.h>

enum { RELOAD_WHY_BYTES = 256 };

static void reload_audit(const char *setting, const char *result, struct span why)
{
    log_audit("config_reload", LOG_TEXT("setting", setting), LOG_TEXT("result", result),
              LOG_SPAN("detail", why));
}

/* Reads the setting's file into fresh; false: it stays as it is (told). */
static bool reload_read(const char *setting, const char *path, const char *running,
                        char fresh[CONFIG_SECRET_MAX])
{
    memcpy(fresh, running, CONFIG_SECRET_MAX);
    if (path[0] == '\0')
        return false;
    if (config_reread_file(path, fresh) != ERR_OK) {
        reload_audit(setting, "kept", SPAN("the file cannot be read or is not a setting"));
        return false;
    }
    if (strcmp(fresh, running) == 0) {
        reload_audit(setting, "unchanged", SPAN(""));
        return false;
    }
    return true;
}

static bool reload_key(const struct config *config, const char *setting, const char *path,
                       char running[CONFIG_SECRET_MAX], bool may_be_empty)
{
    char fresh[CONFIG_SECRET_MAX];
    bool changed = reload_read(setting, path, running, fresh);
    if (changed && !config_key_is_valid(config, fresh) && !(may_be_empty && fresh[0] == '\0')) {
        reload_audit(setting, "kept", SPAN("the file holds no valid key"));
        changed = false;
    }
    if (changed) {
        memcpy(running, fresh, CONFIG_SECRET_MAX);
        reload_audit(setting, "changed", SPAN(""));
    }
    secret_wipe(fresh, sizeof(fresh));
    return changed;
}

static void reload_database(struct config *config, struct pg_pool *pool)
{
    char fresh[CONFIG_SECRET_MAX];
    char why_storage[RELOAD_WHY_BYTES];
    struct buf why;
    buf_init(&why, why_storage, sizeof(why_storage));
    const bool tls_required = !config_is_dev(config) && !config->database_tls_insecure;
    if (reload_read("DATABASE_URL", config->database_url_file, config->database_url, fresh)) {
        if (pg_url_check(fresh, tls_required, &why) != ERR_OK) {
            reload_audit("DATABASE_URL", "kept", buf_span(&why));
        } else {
            memcpy(config->database_url, fresh, sizeof(fresh));
            reload_audit("DATABASE_URL", "changed", SPAN(""));
            pg_pool_new_epoch(pool);
        }
    }
    secret_wipe(fresh, sizeof(fresh));
}

void reload_secrets(struct config *config, struct api_keys *keys, struct pg_pool *pool)
{
    const bool current = reload_key(config, "API_SECRET_KEY", config->api_secret_key_file,
                                    config->api_secret_key, false);
    const bool previous =
        reload_key(config, "API_SECRET_KEY_PREVIOUS", config->api_secret_key_previous_file,
                   config->api_secret_key_previous, true);
    if (current || previous)
        api_keys_set(keys, span_of(config->api_secret_key),
                     span_of(config->api_secret_key_previous));
    reload_database(config, pool);
}
