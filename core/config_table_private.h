/*
 * config_table: what config.c and config_load.c share: the shape of the one table of settings, and
 * how a row finds its member of struct config.
 *
 * Private to them.
 */
#ifndef CORE_CONFIG_TABLE_PRIVATE_H
#define CORE_CONFIG_TABLE_PRIVATE_H

#include "core/config.h"

#include <stddef.h>

enum { SETTING_COUNT_MAX = 64 }; /* rows */

/* The form of a value, and the type of its member. */
enum setting_type {
    SETTING_NUMBER, /* uint32_t, min..max */
    SETTING_SWITCH, /* bool, 0 or 1 */
    SETTING_LEVEL,  /* enum log_level */
    SETTING_TEXT,   /* CONFIG_TEXT_MAX bytes of visible ASCII */
    SETTING_KEY,    /* CONFIG_SECRET_MAX bytes of visible ASCII */
    SETTING_URL,    /* CONFIG_SECRET_MAX bytes without control bytes */
};

/* Bits of setting.flags. */
enum setting_flags {
    SETTING_SECRET = 1,   /* printed as its length; the path of its file is kept */
    SETTING_REQUIRED = 2, /* no default */
    SETTING_EXPECTED = 4, /* a warning when the default is taken */
    SETTING_SERVING = 8,  /* not for CONFIG_MIGRATE: it stays "" and no rule judges it */
};

/* Place of a member in struct config. */
#define SETTING_AT(field) offsetof(struct config, field)

/* A row: from which variable, of what form, into which member. */
struct setting {
    const char *name;
    enum setting_type type;
    unsigned flags;
    size_t offset, file_offset; /* in struct config; file_offset of secrets only */
    const char *fallback;
    uint32_t min, max;
    const char *unit, *help;
};

/* setting_count() of them, by group as --help shows them. */
extern const struct setting CONFIG_SETTINGS[];
uint32_t setting_count(void);

/* The member at this place; its type is the setting's. */
const void *setting_field(const struct config *config, size_t offset);
/* Storage of a text, key or URL with its NUL. */
size_t setting_text_cap(const struct setting *setting);
/* The words of SETTING_LEVEL with single spaces between them. */
void setting_add_level_words(struct buf *out);

#endif
