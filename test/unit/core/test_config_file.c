#include "core/config.h"
#include "test/unit/core/config_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct config config;

static enum err load(void)
{
    return config_fixture_load(&config, CONFIG_SERVE);
}

static void assert_refused(const char *expected)
{
    assert_int_equal(load(), ERR_INVALID);
    assert_string_equal(config_fixture_errors(), expected);
}

static void test_value_from_a_file_loses_one_line_end(void **state)
{
    (void)state;
    static const struct {
        const char *content, *value;
    } CASES[] = {{"secret", "secret"}, {"secret\n", "secret"}, {"secret\r\n", "secret"}};
    config_fixture_set("API_SECRET_KEY", NULL);
    config_fixture_set("API_SECRET_KEY_FILE", config_fixture_path());
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        config_fixture_write_file(CASES[i].content, strlen(CASES[i].content));
        assert_int_equal(load(), ERR_OK);
        assert_string_equal(config.api_secret_key, CASES[i].value);
        assert_string_equal(config.api_secret_key_file, config_fixture_path());
    }
    config_fixture_write_file("secret\n\n", 8);
    assert_int_equal(load(), ERR_INVALID);
}

static void test_any_setting_can_come_from_a_file(void **state)
{
    (void)state;
    config_fixture_set("PORT_FILE", config_fixture_path());
    config_fixture_write_file("9090\n", 5);
    assert_int_equal(load(), ERR_OK);
    assert_int_equal(config.port, 9090);
}

static void test_name_and_file_together_are_refused(void **state)
{
    (void)state;
    config_fixture_set("DATABASE_URL_FILE", config_fixture_path());
    assert_refused("DATABASE_URL: set it or DATABASE_URL_FILE, not both\n");
}

static void test_content_of_a_file_is_never_shown(void **state)
{
    (void)state;
    config_fixture_set("PORT_FILE", config_fixture_path());
    config_fixture_write_file("hush-hush", 9);
    assert_refused("PORT: the content of its file is not a whole number in decimal digits\n");
    config_fixture_write_file("123456789", 9);
    assert_refused("PORT: the content of its file is not in 0..65535\n");
}

static void test_files_that_cannot_be_read_say_why(void **state)
{
    (void)state;
    config_fixture_set("DATABASE_URL", NULL);
    config_fixture_set("DATABASE_URL_FILE", "test_config_no_such_file");
    assert_refused("DATABASE_URL: the file of DATABASE_URL_FILE cannot be used: No such file or "
                   "directory\n");
    config_fixture_set("DATABASE_URL_FILE", ".");
    assert_refused(
        "DATABASE_URL: the file of DATABASE_URL_FILE cannot be used: it is not a regular file\n");
    config_fixture_set("DATABASE_URL_FILE", config_fixture_path());
    assert_refused("DATABASE_URL: the file of DATABASE_URL_FILE cannot be used: it is empty\n");
    config_fixture_write_file("a\0b", 3);
    assert_refused(
        "DATABASE_URL: the file of DATABASE_URL_FILE cannot be used: it contains a NUL byte\n");
}

static void test_fifo_is_refused_without_waiting_for_a_writer(void **state)
{
    (void)state;
    assert_int_equal(unlink(config_fixture_path()), 0);
    assert_int_equal(mkfifo(config_fixture_path(), 0600), 0);
    config_fixture_set("DATABASE_URL", NULL);
    config_fixture_set("DATABASE_URL_FILE", config_fixture_path());
    assert_refused(
        "DATABASE_URL: the file of DATABASE_URL_FILE cannot be used: it is not a regular file\n");
}

static void test_file_has_a_greatest_size(void **state)
{
    (void)state;
    static char big[CONFIG_FILE_MAX + 1];
    memset(big, 'x', sizeof(big));
    config_fixture_set("DATABASE_URL", NULL);
    config_fixture_set("DATABASE_URL_FILE", config_fixture_path());
    config_fixture_write_file(big, CONFIG_FILE_MAX);
    assert_refused("DATABASE_URL: is longer than 2047 bytes\n");
    config_fixture_write_file(big, CONFIG_FILE_MAX + 1);
    assert_refused("DATABASE_URL: the file of DATABASE_URL_FILE cannot be used: it is larger than "
                   "65536 bytes\n");
}

static void test_path_of_a_file_has_a_greatest_length(void **state)
{
    (void)state;
    char path[CONFIG_TEXT_MAX + 1];
    memset(path, 'p', sizeof(path));
    path[CONFIG_TEXT_MAX] = '\0';
    config_fixture_set("DATABASE_URL", NULL);
    config_fixture_set("DATABASE_URL_FILE", path);
    assert_refused("DATABASE_URL: the file of DATABASE_URL_FILE cannot be used: its path is longer "
                   "than 255 bytes\n");
}

static void test_reread_takes_the_new_secret(void **state)
{
    (void)state;
    char out[CONFIG_SECRET_MAX] = "old";
    config_fixture_write_file("new\n", 4);
    assert_int_equal(config_reread_file(config_fixture_path(), out), ERR_OK);
    assert_string_equal(out, "new");
}

static void test_reread_leaves_the_secret_alone_when_it_cannot(void **state)
{
    (void)state;
    static char big[CONFIG_SECRET_MAX];
    char out[CONFIG_SECRET_MAX] = "old";
    assert_int_equal(config_reread_file("", out), ERR_OK);
    assert_string_equal(out, "old");
    assert_int_equal(config_reread_file("test_config_no_such_file", out), ERR_UNAVAILABLE);
    assert_string_equal(out, "old");
    memset(big, 'x', sizeof(big));
    config_fixture_write_file(big, sizeof(big));
    assert_int_equal(config_reread_file(config_fixture_path(), out), ERR_INVALID);
    config_fixture_write_file("two\nlines\n", 10);
    assert_int_equal(config_reread_file(config_fixture_path(), out), ERR_INVALID);
    assert_string_equal(out, "old");
}

static void test_reread_of_an_empty_file_empties_the_secret(void **state)
{
    (void)state;
    char out[CONFIG_SECRET_MAX] = "old";
    assert_int_equal(config_reread_file(config_fixture_path(), out), ERR_OK);
    assert_string_equal(out, "");
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, config_fixture_set_up, config_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_value_from_a_file_loses_one_line_end),
        TEST(test_any_setting_can_come_from_a_file),
        TEST(test_name_and_file_together_are_refused),
        TEST(test_content_of_a_file_is_never_shown),
        TEST(test_files_that_cannot_be_read_say_why),
        TEST(test_fifo_is_refused_without_waiting_for_a_writer),
        TEST(test_file_has_a_greatest_size),
        TEST(test_path_of_a_file_has_a_greatest_length),
        TEST(test_reread_takes_the_new_secret),
        TEST(test_reread_leaves_the_secret_alone_when_it_cannot),
        TEST(test_reread_of_an_empty_file_empties_the_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
