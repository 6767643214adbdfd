#include "test/bench/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { HEADERS_MAX = 8 * 1024 };

/* The parts of a request that is not given as a file. */
struct request_parts {
    const char *method, *path, *body; /* body NULL: none */
    char headers[HEADERS_MAX];
    size_t headers_len;
};

static const struct option OPTIONS[] = {
    {"port", required_argument, NULL, 'p'},    {"connections", required_argument, NULL, 'c'},
    {"seconds", required_argument, NULL, 's'}, {"warmup", required_argument, NULL, 'w'},
    {"rate", required_argument, NULL, 'r'},    {"seed", required_argument, NULL, 'e'},
    {"pid", required_argument, NULL, 'i'},     {"hold", required_argument, NULL, 'o'},
    {"request", required_argument, NULL, 'f'}, {"method", required_argument, NULL, 'm'},
    {"path", required_argument, NULL, 'u'},    {"header", required_argument, NULL, 'H'},
    {"body", required_argument, NULL, 'b'},    {"depth", required_argument, NULL, 'd'},
    {"renew", required_argument, NULL, 'n'},   {"from", required_argument, NULL, 'a'},
    {"silent", no_argument, NULL, 'q'},        {NULL, 0, NULL, 0}};

static const char USAGE[] =
    "usage: PROGRAM --port N [--connections N] [--seconds S] [--warmup S]\n"
    "  open_loop:  --rate PER_SECOND [--seed N]\n"
    "  idle_conns: --pid PID [--hold S]\n"
    "  flood:      --depth N [--silent] [--renew S] [--from ADDRESS]\n"
    "  request:    --request FILE (its bytes as they are)\n"
    "              or [--method GET] [--path /] [--header 'Name: value']... [--body TEXT]\n";

_Noreturn void options_die(const char *what)
{
    perror(what);
    exit(1);
}

static _Noreturn void usage(const char *what)
{
    fprintf(stderr, "%s\n%s", what, USAGE);
    exit(2);
}

static double number_of(const char *text, double min, double max)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= min && value <= max))
        usage("a number is out of range or none");
    return value;
}

static void request_from_file(struct options *options, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        options_die(path);
    options->request_len = fread(options->request, 1, sizeof(options->request), file);
    if (ferror(file) != 0)
        options_die(path);
    fclose(file);
    if (options->request_len == 0 || options->request_len == sizeof(options->request))
        usage("the request file is empty or too long");
}

static void add_header(struct request_parts *parts, const char *line)
{
    const size_t room = sizeof(parts->headers) - parts->headers_len;
    const int len = snprintf(parts->headers + parts->headers_len, room, "%s\r\n", line);
    if (len < 0 || (size_t)len >= room)
        usage("the headers are too long");
    parts->headers_len += (size_t)len;
}

static void request_from_parts(struct options *options, const struct request_parts *parts)
{
    const char *body = parts->body != NULL ? parts->body : "";
    char length[64] = "";
    if (body[0] != '\0')
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", strlen(body));
    const int len = snprintf(options->request, sizeof(options->request),
                             "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s%s\r\n%s", parts->method,
                             parts->path, options->port, parts->headers, length, body);
    if (len < 0 || (size_t)len >= sizeof(options->request))
        usage("the request is too long");
    options->request_len = (size_t)len;
}

/* False: the option is none of flood's. */
static bool parse_flood_option(struct options *options, int letter, const char *value)
{
    if (letter == 'd')
        options->depth = (uint32_t)number_of(value, 1, DEPTH_MAX);
    else if (letter == 'n')
        options->renew_s = number_of(value, 0, 3600);
    else if (letter == 'a')
        options->from = value;
    else if (letter == 'q')
        options->silent = true;
    else
        return false;
    return true;
}

static void parse_request_option(struct request_parts *parts, int letter, const char *value)
{
    if (letter == 'm')
        parts->method = value;
    else if (letter == 'u')
        parts->path = value;
    else if (letter == 'b')
        parts->body = value;
    else if (letter == 'H')
        add_header(parts, value);
    else
        usage("unknown option");
}

void options_parse(struct options *options, int argc, char **argv)
{
    struct request_parts parts = {.method = "GET", .path = "/"};
    const char *file = NULL;
    *options = (struct options){
        .connections = 1, .seconds = 1, .rate = 1000, .seed = 42, .depth = 1, .from = "127.0.0.1"};
    for (int letter; (letter = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1;) {
        if (letter == 'p')
            options->port = (uint16_t)number_of(optarg, 1, UINT16_MAX);
        else if (letter == 'c')
            options->connections = (uint32_t)number_of(optarg, 1, CONNECTIONS_MAX);
        else if (letter == 's')
            options->seconds = number_of(optarg, 0.01, 3600);
        else if (letter == 'w')
            options->warmup_s = number_of(optarg, 0, 3600);
        else if (letter == 'r')
            options->rate = number_of(optarg, 0.1, 1e6);
        else if (letter == 'e')
            options->seed = (uint64_t)number_of(optarg, 0, 1e15);
        else if (letter == 'i')
            options->pid = (pid_t)number_of(optarg, 1, 1e9);
        else if (letter == 'o')
            options->hold_s = number_of(optarg, 0, 3600);
        else if (letter == 'f')
            file = optarg;
        else if (!parse_flood_option(options, letter, optarg))
            parse_request_option(&parts, letter, optarg);
    }
    if (optind != argc || options->port == 0)
        usage("--port is missing, or there is an argument too many");
    if (file != NULL)
        request_from_file(options, file);
    else
        request_from_parts(options, &parts);
}

void options_raise_descriptors(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == -1)
        options_die("getrlimit");
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) == -1)
        options_die("setrlimit");
}
