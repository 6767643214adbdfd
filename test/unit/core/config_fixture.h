/*
 * config_fixture: a pretended environment and one scratch file for the tests of config.
 */
#ifndef TEST_CONFIG_FIXTURE_H
#define TEST_CONFIG_FIXTURE_H

#include "core/config.h"

#include <stddef.h>

/* The least that loads, in dev, and an empty file in the current folder. */
int config_fixture_set_up(void **state);
int config_fixture_tear_down(void **state);
/* value NULL: not set. Both are borrowed. */
void config_fixture_set(const char *name, const char *value);
const char *config_fixture_env(const char *name);
enum err config_fixture_load(struct config *config, enum config_mode mode);
/* What the last load said. */
const char *config_fixture_errors(void);
const char *config_fixture_warnings(void);
const char *config_fixture_path(void);
void config_fixture_write_file(const void *bytes, size_t count);

#endif
