#include "test/bench/load_class.h"

#include "test/bench/options.h"

#include <stdlib.h>
#include <string.h>

static _Noreturn void refuse(const char *what, const char *which)
{
    fprintf(stderr, "%s: %s\n", what, which);
    exit(2);
}

static double number_of(const char *text)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0 && value <= 1e9))
        refuse("no number, or out of range", text);
    return value;
}

static void set(struct load_class *load, const char *name, const char *value)
{
    if (strcmp(name, "name") == 0)
        load->name = value;
    else if (strcmp(name, "script") == 0)
        load->script = value;
    else if (strcmp(name, "log") == 0)
        load->log_path = value;
    else if (strcmp(name, "port") == 0)
        load->port = (uint16_t)number_of(value);
    else if (strcmp(name, "rate") == 0)
        load->rate = number_of(value);
    else if (strcmp(name, "connections") == 0)
        load->connections = (uint32_t)number_of(value);
    else if (strcmp(name, "think_ms") == 0)
        load->think_ns = (uint64_t)(number_of(value) * 1e6);
    else if (strcmp(name, "pause_ms") == 0)
        load->pause_ns = (uint64_t)(number_of(value) * 1e6);
    else if (strcmp(name, "once") == 0)
        load->once = number_of(value) != 0;
    else
        refuse("no option of a class", name);
}

/* The whole file, NUL-terminated. */
static char *read_whole(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) == -1)
        options_die(path);
    const long len = ftell(file);
    char *text = len == -1 ? NULL : malloc((size_t)len + 1);
    rewind(file);
    if (text == NULL || fread(text, 1, (size_t)len, file) != (size_t)len)
        options_die(path);
    fclose(file);
    text[len] = '\0';
    return text;
}

static char *cut(char *text, char at)
{
    char *end = strchr(text, at);
    if (end == NULL)
        return NULL;
    *end = '\0';
    return end + 1;
}

static void read_script(struct load_class *load)
{
    load->text = read_whole(load->script);
    size_t count = 0;
    for (const char *at = load->text; (at = strchr(at, '\n')) != NULL; at++)
        count++;
    load->lines = calloc(count + 1, sizeof(*load->lines));
    if (load->lines == NULL)
        options_die("script");
    for (char *at = load->text, *next; (next = cut(at, '\n')) != NULL; at = next) {
        struct script_line *line = &load->lines[load->line_count++];
        char *path = cut(at, '\t');
        char *key = path != NULL ? cut(path, '\t') : NULL;
        char *body = key != NULL ? cut(key, '\t') : NULL;
        if (body == NULL)
            refuse("a line of the script has too few parts", at);
        *line = (struct script_line){.method = at, .path = path, .key = key, .body = body};
    }
    if (load->line_count == 0)
        refuse("the script is empty", load->script);
}

void load_class_parse(struct load_class *load, char *word)
{
    *load = (struct load_class){.connections = 1};
    for (char *part = word, *next; part != NULL; part = next) {
        next = cut(part, ',');
        char *value = cut(part, '=');
        if (value == NULL)
            refuse("an option of a class without a value", part);
        set(load, part, value);
    }
    if (load->name == NULL || load->script == NULL || load->port == 0 || load->connections == 0)
        refuse("a class needs name, port, script and a connection", word);
    read_script(load);
    load->due = calloc(CLASS_DUE_MAX, sizeof(*load->due));
    if (load->due == NULL)
        options_die("class");
    if (load->log_path != NULL && (load->log = fopen(load->log_path, "wb")) == NULL)
        options_die(load->log_path);
}

bool load_class_has_next(const struct load_class *load)
{
    return !load->once || load->taken < load->line_count;
}

static void write_key(const char *pattern, uint64_t number, char key[CLASS_KEY_MAX])
{
    const char *mark = strstr(pattern, "{n}");
    const size_t before = mark != NULL ? (size_t)(mark - pattern) : strlen(pattern);
    const int len = mark != NULL ? snprintf(key, CLASS_KEY_MAX, "%.*s%llu%s", (int)before, pattern,
                                            (unsigned long long)number, mark + strlen("{n}"))
                                 : snprintf(key, CLASS_KEY_MAX, "%s", pattern);
    if (len < 0 || len >= CLASS_KEY_MAX)
        refuse("a key is too long", pattern);
}

size_t load_class_next(struct load_class *load, const char *api_key,
                       char request[CLASS_REQUEST_MAX], char key[CLASS_KEY_MAX])
{
    const struct script_line *line = &load->lines[load->taken % load->line_count];
    const bool is_get = strcmp(line->method, "GET") == 0;
    char key_line[CLASS_KEY_MAX + 32] = "", body_lines[96] = "";
    write_key(line->key, load->taken++, key);
    if (key[0] != '\0')
        snprintf(key_line, sizeof(key_line), "Idempotency-Key: %s\r\n", key);
    if (!is_get)
        snprintf(body_lines, sizeof(body_lines), "%sContent-Length: %zu\r\n",
                 line->body[0] != '\0' ? "Content-Type: application/json\r\n" : "",
                 strlen(line->body));
    const int len = snprintf(request, CLASS_REQUEST_MAX,
                             "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: %s\r\n%s%s\r\n%s",
                             line->method, line->path, api_key, key_line, body_lines, line->body);
    if (len < 0 || len >= CLASS_REQUEST_MAX)
        refuse("a request is too long", line->path);
    return (size_t)len;
}

void load_class_log(struct load_class *load, const char *key, const struct answer *answer,
                    int64_t due_ns, uint64_t took_ns)
{
    if (load->log == NULL)
        return;
    const char *body = answer != NULL ? answer_body(answer) : "";
    const uint64_t len = answer != NULL ? answer->body_len : 0;
    if (body == NULL)
        refuse("an answer is too long for the log", key);
    fprintf(load->log, "%s\t%u\t%lld\t%llu\t%llu\t", key, answer != NULL ? answer->status : 0U,
            (long long)(due_ns / 1000), (unsigned long long)(took_ns / 1000),
            (unsigned long long)len);
    fwrite(body, 1, len, load->log);
}

void load_class_print(struct load_class *load, double seconds, FILE *out)
{
    fprintf(out,
            "\"%s\":{\"offered\":%llu,\"unanswered\":%llu,\"broken\":%llu,\"late_sends\":%llu,"
            "\"reopened\":%llu,\"statuses\":{",
            load->name, (unsigned long long)load->offered,
            (unsigned long long)(load->offered - load->answered - load->broken),
            (unsigned long long)load->broken, (unsigned long long)load->late,
            (unsigned long long)load->reopened);
    const char *comma = "";
    for (unsigned status = 0; status < STATUS_MAX; status++) {
        if (load->by_status[status].count == 0)
            continue;
        fprintf(out, "%s\"%u\":{", comma, status);
        samples_print(&load->by_status[status], seconds, out);
        fputc('}', out);
        comma = ",";
    }
    fprintf(out, "}}");
}

void load_class_free(struct load_class *load)
{
    for (unsigned status = 0; status < STATUS_MAX; status++)
        samples_free(&load->by_status[status]);
    if (load->log != NULL && fclose(load->log) != 0)
        options_die(load->log_path);
    free(load->text);
    free(load->lines);
    free(load->due);
}
