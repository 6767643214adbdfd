#include "core/clock.h"

#include <assert.h>
#include <string.h>
#include <time.h>

enum { TM_YEAR_BASE = 1900 };

/* Set by tests only; NULL is the kernel's clock. */
static clock_fn *replaced_mono;
static clock_fn *replaced_wall;

static uint64_t kernel_us(clockid_t id)
{
    struct timespec now;
    CHECK(clock_gettime(id, &now) == 0);
    return (uint64_t)now.tv_sec * CLOCK_US_PER_S + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_mono_us(void)
{
    return replaced_mono != NULL ? replaced_mono() : kernel_us(CLOCK_MONOTONIC);
}

uint64_t clock_wall_us(void)
{
    return replaced_wall != NULL ? replaced_wall() : kernel_us(CLOCK_REALTIME);
}

void clock_replace(clock_fn *mono, clock_fn *wall)
{
    replaced_mono = mono;
    replaced_wall = wall;
}

/* The calendar of the second asked for last: lines and answers come by the thousand in one second.
 */
static struct {
    bool known;
    uint64_t unix_s;
    struct tm when;
} last;

static const struct tm *calendar_of(uint64_t unix_s)
{
    if (!last.known || last.unix_s != unix_s) {
        const time_t seconds = (time_t)unix_s;
        CHECK(gmtime_r(&seconds, &last.when) != NULL);
        last.unix_s = unix_s;
        last.known = true;
    }
    return &last.when;
}

/* The last `width` decimal digits, so that a wild clock cannot change the length of a line. */
static void put_digits(char *at, long value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

void clock_add_rfc3339(struct buf *out, uint64_t wall_us)
{
    const struct tm *when = calendar_of(wall_us / CLOCK_US_PER_S);
    char text[] = "0000-00-00T00:00:00.000000Z";
    put_digits(text, TM_YEAR_BASE + when->tm_year, 4);
    put_digits(text + 5, when->tm_mon + 1, 2);
    put_digits(text + 8, when->tm_mday, 2);
    put_digits(text + 11, when->tm_hour, 2);
    put_digits(text + 14, when->tm_min, 2);
    put_digits(text + 17, when->tm_sec, 2);
    put_digits(text + 20, (long)(wall_us % CLOCK_US_PER_S), 6);
    buf_add(out, (struct span){text, sizeof text - 1});
}

void clock_add_http_date(struct buf *out, uint64_t wall_us)
{
    static const char weekdays[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const struct tm *when = calendar_of(wall_us / CLOCK_US_PER_S);

    char text[] = "DDD, 00 MMM 0000 00:00:00 GMT";
    static_assert(sizeof text - 1 == CLOCK_HTTP_DATE_LEN, "the promised length");
    memcpy(text, weekdays + 3 * (size_t)when->tm_wday, 3);
    put_digits(text + 5, when->tm_mday, 2);
    memcpy(text + 8, months + 3 * (size_t)when->tm_mon, 3);
    put_digits(text + 12, TM_YEAR_BASE + when->tm_year, 4);
    put_digits(text + 17, when->tm_hour, 2);
    put_digits(text + 20, when->tm_min, 2);
    put_digits(text + 23, when->tm_sec, 2);
    buf_add(out, (struct span){text, sizeof text - 1});
}
