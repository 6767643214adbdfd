#include "core/clock.h"

#include <assert.h>
#include <string.h>
#include <time.h>

enum {
    SECONDS_PER_DAY = 24 * 60 * 60,
    DAYS_PER_YEAR = 365,
    DAYS_PER_4_YEARS = 4 * DAYS_PER_YEAR + 1,
    DAYS_PER_CENTURY = 25 * DAYS_PER_4_YEARS - 1,
    DAYS_PER_400_YEARS = 4 * DAYS_PER_CENTURY + 1,
    /* Years counted from 1 March 1600: the leap day is then the last day of a year, of 4 and of
     * 400. */
    BASE_YEAR = 1600,
    BASE_TO_UNIX_DAYS = 135080,
    MARCH = 3,
    MONTHS = 12,
};

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

struct calendar {
    uint64_t year;
    uint64_t month, day; /* from 1 */
    uint64_t hour, minute, second;
    uint64_t weekday; /* from 0, Sunday */
};

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static struct calendar calendar_of(uint64_t unix_s)
{
    /* Days of a year that starts in March, before each of its months. */
    static const uint16_t days_before[MONTHS] = {0,   31,  61,  92,  122, 153,
                                                 184, 214, 245, 275, 306, 337};
    const uint64_t unix_days = unix_s / SECONDS_PER_DAY;
    const uint64_t second_of_day = unix_s % SECONDS_PER_DAY;

    uint64_t days = unix_days + BASE_TO_UNIX_DAYS;
    const uint64_t cycles = days / DAYS_PER_400_YEARS;
    days %= DAYS_PER_400_YEARS;
    /* The last century of a cycle and the last year of four are one day longer: still index 3. */
    const uint64_t centuries = least(days / DAYS_PER_CENTURY, 3);
    days -= centuries * DAYS_PER_CENTURY;
    const uint64_t fours = days / DAYS_PER_4_YEARS;
    days %= DAYS_PER_4_YEARS;
    const uint64_t years = least(days / DAYS_PER_YEAR, 3);
    days -= years * DAYS_PER_YEAR;

    uint64_t month = MONTHS - 1;
    while (days_before[month] > days)
        month--;
    const bool next_year = month >= MONTHS - (MARCH - 1);
    return (struct calendar){
        .year = BASE_YEAR + 400 * cycles + 100 * centuries + 4 * fours + years + next_year,
        .month = next_year ? month + MARCH - MONTHS : month + MARCH,
        .day = days - days_before[month] + 1,
        .hour = second_of_day / 3600,
        .minute = second_of_day / 60 % 60,
        .second = second_of_day % 60,
        .weekday = (unix_days + 4) % 7, /* 1 January 1970 was a Thursday */
    };
}

/* The last `width` decimal digits, so that a wild clock cannot change the length of a line. */
static void put_digits(char *at, uint64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

void clock_add_rfc3339(struct buf *out, uint64_t wall_us)
{
    const struct calendar when = calendar_of(wall_us / CLOCK_US_PER_S);
    char text[] = "0000-00-00T00:00:00.000000Z";
    put_digits(text, when.year, 4);
    put_digits(text + 5, when.month, 2);
    put_digits(text + 8, when.day, 2);
    put_digits(text + 11, when.hour, 2);
    put_digits(text + 14, when.minute, 2);
    put_digits(text + 17, when.second, 2);
    put_digits(text + 20, wall_us % CLOCK_US_PER_S, 6);
    buf_add(out, (struct span){text, sizeof text - 1});
}

void clock_add_http_date(struct buf *out, uint64_t wall_us)
{
    static const char weekdays[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const struct calendar when = calendar_of(wall_us / CLOCK_US_PER_S);

    char text[] = "DDD, 00 MMM 0000 00:00:00 GMT";
    static_assert(sizeof text - 1 == CLOCK_HTTP_DATE_LEN, "the promised length");
    memcpy(text, weekdays + 3 * when.weekday, 3);
    put_digits(text + 5, when.day, 2);
    memcpy(text + 8, months + 3 * (when.month - 1), 3);
    put_digits(text + 12, when.year, 4);
    put_digits(text + 17, when.hour, 2);
    put_digits(text + 20, when.minute, 2);
    put_digits(text + 23, when.second, 2);
    buf_add(out, (struct span){text, sizeof text - 1});
}
