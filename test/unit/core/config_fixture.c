#include "test/unit/core/config_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ENV_MAX = 16 };

static struct {
    const char *name, *value;
} environment[ENV_MAX];
static size_t environment_count;

static char errors_text[8192], warnings_text[1024];
static char file_path[] = "test_config_XXXXXX";

const char *config_fixture_env(const char *name)
{
    for (size_t i = 0; i < environment_count; i++) {
        if (strcmp(environment[i].name, name) == 0)
            return environment[i].value;
    }
    return NULL;
}

void config_fixture_set(const char *name, const char *value)
{
    for (size_t i = 0; i < environment_count; i++) {
        if (strcmp(environment[i].name, name) == 0) {
            environment[i].value = value;
            return;
        }
    }
    assert_true(environment_count < ENV_MAX);
    environment[environment_count].name = name;
    environment[environment_count++].value = value;
}

int config_fixture_set_up(void **state)
{
    (void)state;
    environment_count = 0;
    config_fixture_set("DATABASE_URL", "postgresql://app:hush@db/pay");
    config_fixture_set("API_SECRET_KEY", "short");
    config_fixture_set("REGION", "eu-south-2");
    config_fixture_set("ENVIRONMENT", "dev");
    memcpy(file_path + sizeof(file_path) - 7, "XXXXXX", 6);
    const int fd = mkstemp(file_path);
    return fd == -1 ? -1 : close(fd);
}

int config_fixture_tear_down(void **state)
{
    (void)state;
    return unlink(file_path);
}

enum err config_fixture_load(struct config *config, enum config_mode mode)
{
    struct buf errors, warnings;
    buf_init(&errors, errors_text, sizeof(errors_text) - 1);
    buf_init(&warnings, warnings_text, sizeof(warnings_text) - 1);
    const enum err err = config_load(config, mode, config_fixture_env, &errors, &warnings);
    errors_text[errors.len] = '\0';
    warnings_text[warnings.len] = '\0';
    return err;
}

const char *config_fixture_errors(void)
{
    return errors_text;
}

const char *config_fixture_warnings(void)
{
    return warnings_text;
}

const char *config_fixture_path(void)
{
    return file_path;
}

void config_fixture_write_file(const void *bytes, size_t count)
{
    const int fd = open(file_path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd != -1);
    assert_int_equal(write(fd, bytes, count), count);
    assert_int_equal(close(fd), 0);
}
