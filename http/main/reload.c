#include "http/main/reload.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/secret.h"

#include <string.h>
#include <sys/stat.h>

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

static void reload_database(struct payment_store *store)
{
    static const char *const results[] = {
        [PG_RELOAD_UNCHANGED] = "unchanged",
        [PG_RELOAD_CHANGED] = "changed",
        [PG_RELOAD_KEPT] = "kept",
    };
    char why_storage[RELOAD_WHY_BYTES];
    struct buf why;
    buf_init(&why, why_storage, sizeof(why_storage));
    const enum pg_reload found = payment_store_reload(store, &why);
    if (found != PG_RELOAD_NO_FILE)
        reload_audit("DATABASE_URL", results[found], buf_span(&why));
}

static void reload_keys(struct reload *reload)
{
    struct config *config = reload->config;
    const bool current = reload_key(config, "API_SECRET_KEY", config->api_secret_key_file,
                                    config->api_secret_key, false);
    const bool previous =
        reload_key(config, "API_SECRET_KEY_PREVIOUS", config->api_secret_key_previous_file,
                   config->api_secret_key_previous, true);
    if (current || previous)
        api_keys_set(reload->keys, span_of(config->api_secret_key),
                     span_of(config->api_secret_key_previous));
}

/* ---- watching ---- */

static struct reload_stamp stamp_of(const char *path)
{
    struct stat status;
    if (path[0] == '\0' || stat(path, &status) == -1)
        return (struct reload_stamp){0};
    return (struct reload_stamp){
        .inode = status.st_ino,
        .size = (uint64_t)status.st_size,
        .modified_s = (uint64_t)status.st_mtim.tv_sec,
        .modified_ns = (uint64_t)status.st_mtim.tv_nsec,
    };
}

/* Remembers how the files are now. True: one of them is not as it was. */
static bool reload_look(struct reload *reload)
{
    const struct config *config = reload->config;
    const char *const paths[RELOAD_FILES] = {config->api_secret_key_file,
                                             config->api_secret_key_previous_file,
                                             config->database_url_file};
    bool changed = false;
    for (size_t i = 0; i < RELOAD_FILES; i++) {
        const struct reload_stamp stamp = stamp_of(paths[i]);
        changed = changed || memcmp(&stamp, &reload->stamps[i], sizeof(stamp)) != 0;
        reload->stamps[i] = stamp;
    }
    return changed;
}

static void reload_arm(struct reload *reload)
{
    reactor_timer_set(reload->reactor, &reload->timer,
                      reactor_now_us(reload->reactor) +
                          (uint64_t)reload->config->secrets_watch_ms * CLOCK_US_PER_MS);
}

static void reload_on_timer(struct reactor_timer *timer)
{
    struct reload *reload = container_of(timer, struct reload, timer);
    if (reload_look(reload))
        reload_now(reload);
    reload_arm(reload);
}

void reload_start(struct reload *reload, struct reactor *reactor, struct config *config,
                  struct api_keys *keys, struct payment_store *store)
{
    *reload = (struct reload){.reactor = reactor,
                              .timer = {.on_due = reload_on_timer},
                              .config = config,
                              .keys = keys,
                              .store = store};
    const bool from_files = reload_look(reload);
    if (from_files && config->secrets_watch_ms > 0)
        reload_arm(reload);
}

void reload_stop(struct reload *reload)
{
    if (reload->reactor != NULL)
        reactor_timer_clear(reload->reactor, &reload->timer);
}

void reload_now(struct reload *reload)
{
    (void)reload_look(reload);
    reload_keys(reload);
    reload_database(reload->store);
}
