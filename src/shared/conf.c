/* SPDX-License-Identifier: Apache-2.0 */

#include "conf.h"

#include <fcntl.h>
#include <string.h>

#include "alloc-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "log.h"
#include "parse-util.h"
#include "string-util.h"
#include "time-util.h"

#define FILE_MAX MIB(1)
#define LINE_BYTES_MAX 4096U

int conf_parse_string(const char *value, void *target, const char **reterr_why) {
        if (!string_is_safe(value, LINE_BYTES_MAX)) {
                *reterr_why = "control characters or bytes that are no UTF-8";
                return -EINVAL;
        }
        int r = free_and_strdup(target, isempty(value) ? NULL : value);
        return r < 0 ? r : 0;
}

int conf_parse_sec(const char *value, void *target, const char **reterr_why) {
        *reterr_why = "not a time span such as 90, 30s or 2min";
        return parse_sec(value, target);
}

int conf_parse_size(const char *value, void *target, const char **reterr_why) {
        *reterr_why = "not a size such as 4096, 64K or 10M";
        return parse_size(value, target);
}

int conf_parse_unsigned(const char *value, void *target, const char **reterr_why) {
        uint32_t v;
        *reterr_why = "not a number between 0 and 4294967295";
        int r = parse_u32(value, &v);
        if (r >= 0)
                *(unsigned *) target = v;
        return r;
}

int conf_parse_bool(const char *value, void *target, const char **reterr_why) {
        *reterr_why = "neither yes nor no";
        int r = parse_boolean(value);
        if (r < 0)
                return r;
        *(bool *) target = r;
        return 0;
}

int conf_parse_path(const char *value, void *target, const char **reterr_why) {
        if (!isempty(value) && value[0] != '/') {
                *reterr_why = "not an absolute path";
                return -EINVAL;
        }
        return conf_parse_string(value, target, reterr_why);
}

int conf_parse_strv(const char *value, void *target, const char **reterr_why) {
        char ***v = target;

        if (isempty(value)) {
                *v = strv_free(*v);
                return 0;
        }
        if (!string_is_safe(value, LINE_BYTES_MAX)) {
                *reterr_why = "control characters or bytes that are no UTF-8";
                return -EINVAL;
        }

        _cleanup_strv_free_ char **words = NULL;
        int r = strv_split(value, " \t", &words);
        if (r < 0)
                return r;
        STRV_FOREACH(w, words) {
                r = strv_extend(v, *w);
                if (r < 0)
                        return r;
        }
        return 0;
}

int conf_parse_host_port(const char *value, void *target, const char **reterr_why) {
        if (!isempty(value)) {
                _cleanup_free_ char *host = NULL;
                uint16_t port;
                int r = parse_host_port(value, 1, &host, &port);
                if (r < 0) {
                        *reterr_why = "not HOST:PORT, with an IPv6 address in brackets";
                        return r;
                }
        }
        return conf_parse_string(value, target, reterr_why);
}

int conf_parse_https_url(const char *value, void *target, const char **reterr_why) {
        if (!isempty(value)) {
                const char *rest = startswith(value, "https://");
                if (!rest || isempty(rest) || *rest == '/' || strpbrk(value, " \t?#")) {
                        *reterr_why = "not a URL of the form https://HOST[:PORT][/PATH]";
                        return -EINVAL;
                }
        }
        return conf_parse_string(value, target, reterr_why);
}

int conf_parse_log_level(const char *value, void *target, const char **reterr_why) {
        *reterr_why = "not one of debug, info, notice, warning, err";
        int level = log_level_from_string(value);
        if (level < 0)
                return level;
        *(int *) target = level;
        return 0;
}

static const ConfItem *find_item(const ConfItem items[], const char *section, const char *key) {
        for (const ConfItem *i = items; i->key; i++)
                if (streq(i->section, section) && streq(i->key, key))
                        return i;
        return NULL;
}

static bool section_is_known(const ConfItem items[], const char *section) {
        for (const ConfItem *i = items; i->key; i++)
                if (streq(i->section, section))
                        return true;
        return false;
}

typedef struct Parser {
        const char *name;
        unsigned line, warnings;
        char *section;
        bool section_known;
        const ConfItem *items;
        void *object;
} Parser;

#define parser_warn(p, format, ...)                                                                  \
        ({                                                                                           \
                log_warning("%s:%u: " format, (p)->name, (p)->line, ##__VA_ARGS__);                  \
                (p)->warnings++;                                                                     \
                0;                                                                                   \
        })

static int parse_section(Parser *p, char *line) {
        size_t n = strlen(line);

        p->section = NULL;
        p->section_known = false;
        if (line[n - 1] != ']')
                return parser_warn(p, "Section header without ']', ignoring what follows up to the next section.");
        line[n - 1] = '\0';
        p->section = line + 1;
        p->section_known = section_is_known(p->items, p->section);
        if (!p->section_known)
                return parser_warn(p, "Unknown section '[%s]', ignoring what is in it.", p->section);
        return 0;
}

static int parse_assignment(Parser *p, char *line) {
        if (!p->section)
                return parser_warn(p, "Assignment outside of a section, ignoring: '%s'.", line);
        if (!p->section_known)
                return 0; /* warned about at its header */

        char *value = strchr(line, '=');
        if (!value)
                return parser_warn(p, "Neither a section nor an assignment, ignoring: '%s'.", line);
        *value++ = '\0';
        char *key = string_strip(line);
        value = string_strip(value);

        const ConfItem *item = find_item(p->items, p->section, key);
        if (!item)
                return parser_warn(p, "Unknown setting '%s' in section [%s], ignoring.", key, p->section);

        const char *why = "not valid";
        int r = item->parse(value, (char *) p->object + item->offset, &why);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return parser_warn(p, "%s=%s: %s; keeping what was set before.", key, value, why);
        return 0;
}

int conf_parse_buffer(const char *name, const char *text, size_t size, const ConfItem items[], void *object) {
        _cleanup_free_ char *copy = NULL;
        Parser p = { .name = name, .items = items, .object = object };

        if (size > FILE_MAX)
                return parser_warn(&p, "Larger than %u KiB, ignoring the whole file.", (unsigned) (FILE_MAX >> 10)), 1;
        if (memchr(text, '\0', size))
                return parser_warn(&p, "Contains NUL bytes, ignoring the whole file."), 1;
        copy = memdup_suffix0(text, size);
        if (!copy)
                return -ENOMEM;

        for (char *line = copy, *next; line; line = next) {
                int r = 0;

                p.line++;
                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                if (strlen(line) > LINE_BYTES_MAX) {
                        parser_warn(&p, "Line longer than %u bytes, ignoring it.", LINE_BYTES_MAX);
                        continue;
                }

                line = string_strip(line);
                if (!*line || *line == '#' || *line == ';')
                        continue;
                r = *line == '[' ? parse_section(&p, line) : parse_assignment(&p, line);
                if (r < 0)
                        return r;
        }
        return (int) p.warnings;
}

static int load_file(const char *path, const ConfItem items[], void *object) {
        _cleanup_free_ char *text = NULL;
        _cleanup_close_ int fd = -EBADF;
        size_t size;

        /* a symbolic link is fine here: the administrator decides */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0) {
                if (errno == ENOENT)
                        return 0;
                log_warning_errno(-errno, "Cannot read %s, ignoring it: %m", path);
                return 1;
        }

        void *data = NULL;
        int r = fd_verify_regular(fd);
        if (r >= 0)
                r = fd_read_all(fd, FILE_MAX, &data, &size);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                log_warning_errno(r, "Cannot read %s, ignoring it: %m", path);
                return 1;
        }
        text = data;
        return conf_parse_buffer(path, text, size, items, object);
}

int conf_load(const char *main_path, const ConfItem items[], void *object) {
        _cleanup_free_ char *directory = NULL;
        _cleanup_strv_free_ char **names = NULL;
        int r, warnings;

        warnings = load_file(main_path, items, object);
        if (warnings < 0)
                return warnings;

        directory = strjoinf("%s.d", main_path);
        if (!directory)
                return -ENOMEM;
        r = dir_list_at(AT_FDCWD, directory, &names);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                if (r != -ENOENT) {
                        log_warning_errno(r, "Cannot list %s, ignoring its drop-ins: %m", directory);
                        warnings++;
                }
                return warnings;
        }

        STRV_FOREACH(name, names) {
                if (*name[0] == '.' || !endswith(*name, ".conf"))
                        continue;
                _cleanup_free_ char *path = strjoinf("%s/%s", directory, *name);
                if (!path)
                        return -ENOMEM;
                r = load_file(path, items, object);
                if (r < 0)
                        return r;
                warnings += r;
        }
        return warnings;
}
