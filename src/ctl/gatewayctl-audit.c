/* SPDX-License-Identifier: Apache-2.0 */

/* audit list, tail, export and verify. Verifying is done here, from the texts themselves: what the gateway
 * says of its own log is not taken for granted. */

#include <fcntl.h>

#include "alloc-util.h"
#include "audit-chain.h"
#include "cli-table.h"
#include "fs-util.h"
#include "gatewayctl.h"
#include "hex.h"
#include "parse-util.h"
#include "string-util.h"

#define PAGE 1000U
#define HEAD_FILE_MAX KIB(1)
#define LIST_LINES 100U
#define TAIL_LINES 10U
#define FOLLOW_PAUSE USEC_PER_SEC
#define RETRY_PAUSE (5 * USEC_PER_SEC)
#define ACCEPT_LINES "Accept: application/x-ndjson"

int audit_parse_when(const char *text, usec_t *ret) {
        usec_t span;

        if (rfc3339_parse(text, ret) >= 0)
                return 0;
        if (parse_sec(text, &span) < 0)
                return -EINVAL;
        *ret = usec_sub(now(CLOCK_REALTIME), span);
        return 0;
}

/* ---- lists ---- */

static int add_parameter(char **path, const char *key, const char *value) {
        _cleanup_free_ char *escaped = NULL, *longer = NULL;

        if (isempty(value))
                return 0;
        escaped = url_escape(value);
        longer = escaped ? strjoinf("%s&%s=%s", *path, key, escaped) : NULL;
        if (!longer)
                return -ENOMEM;
        free(*path);
        *path = TAKE_PTR(longer);
        return 0;
}

static int add_time_parameter(char **path, const char *key, usec_t t) {
        char text[RFC3339_MAX];

        return t == 0 ? 0 : add_parameter(path, key, rfc3339_format(t, text));
}

static int list_path(const GatewayCtl *c, uint64_t limit, const char *cursor, char **ret) {
        _cleanup_free_ char *path = strjoinf("/api/v1/audit?limit=%" PRIu64, limit);
        int r;

        r = path ? add_parameter(&path, "actor", c->audit.actor) : -ENOMEM;
        if (r >= 0)
                r = add_parameter(&path, "action", c->audit.action);
        if (r >= 0)
                r = add_parameter(&path, "target", c->audit.target);
        if (r >= 0)
                r = add_time_parameter(&path, "since", c->audit.since);
        if (r >= 0)
                r = add_time_parameter(&path, "until", c->audit.until);
        if (r >= 0)
                r = add_parameter(&path, "cursor", cursor);
        if (r >= 0)
                *ret = TAKE_PTR(path);
        return r;
}

/* The newest entries that match, newest first. */
static CliExit read_entries(GatewayCtl *c, uint64_t wanted, json_t **ret) {
        _cleanup_json_ json_t *all = json_array();
        _cleanup_free_ char *cursor = NULL;

        while (wanted == 0 || json_array_size(all) < wanted) {
                uint64_t missing = wanted == 0 ? PAGE : wanted - json_array_size(all);
                _cleanup_json_ json_t *page = NULL;
                _cleanup_free_ char *path = NULL;
                const char *next;
                CliExit code;

                if (!all || list_path(c, MIN(missing, (uint64_t) PAGE), cursor, &path) < 0)
                        return cli_fail(CLI_ERROR, "Out of memory.");
                code = api_call(c, "GET", path, NULL, &page);
                if (code != CLI_OK)
                        return code;
                if (json_array_extend(all, json_object_get(page, "entries")) < 0)
                        return cli_fail(CLI_ERROR, "The gateway's answer has no entries.");
                next = json_text(page, "next_cursor");
                if (isempty(next))
                        break;
                if (streq(next, strempty(cursor)))
                        return cli_fail(CLI_ERROR, "The audit log does not end.");
                if (free_and_strdup(&cursor, next) < 0)
                        return cli_fail(CLI_ERROR, "Out of memory.");
        }
        *ret = TAKE_PTR(all);
        return CLI_OK;
}

static void add_row(const GatewayCtl *c, CliTable *t, json_t *item) {
        json_t *entry = json_object_get(item, "entry"), *detail = json_object_get(entry, "detail");
        bool good = entry && !json_object_get(item, "mismatch");
        _cleanup_free_ char *text = NULL;
        uint64_t seq = 0, count = 0;

        (void) json_get_u64(item, "seq", &seq);
        (void) json_get_u64(entry, "count", &count);
        cli_table_addf(t, good ? CLI_PLAIN : CLI_BAD, "%" PRIu64, seq);
        cli_table_add(t, CLI_PLAIN, json_text(entry, "time"));
        cli_table_add(t, CLI_BOLD, json_text(entry, "actor"));
        cli_table_add(t, CLI_PLAIN, json_text(entry, "action"));
        cli_table_add(t, CLI_PLAIN, entry ? json_text(entry, "target") : "(damaged)");
        cli_table_addf(t, CLI_PLAIN, "%" PRIu64, count);
        cli_table_add(t, CLI_PLAIN, json_text(entry, "source"));
        if (c->output != OUTPUT_WIDE)
                return;
        text = detail ? json_format_sorted(detail) : NULL;
        cli_table_add(t, CLI_PLAIN, json_text(entry, "method"));
        cli_table_add(t, CLI_PLAIN, json_text(entry, "request_id"));
        cli_table_add(t, CLI_PLAIN, text);
}

CliExit gatewayctl_audit_list(char *const *arguments, void *userdata) {
        static const char *const columns[] = { "SEQ",    "TIME",  "ACTOR",  "ACTION",
                                               "TARGET", "COUNT", "SOURCE", NULL };
        static const char *const wide[] = { "SEQ",    "TIME",   "ACTOR",      "ACTION", "TARGET", "COUNT",
                                            "SOURCE", "METHOD", "REQUEST ID", "DETAIL", NULL };
        GatewayCtl *c = userdata;
        _cleanup_(cli_table_freep) CliTable *t = NULL;
        _cleanup_json_ json_t *entries = NULL, *answer = NULL;
        json_t *item;
        CliExit code;
        size_t i;
        int r;

        code = read_entries(c, c->audit.has_lines ? c->audit.lines : LIST_LINES, &entries);
        if (code != CLI_OK)
                return code;
        if (c->output == OUTPUT_JSON) {
                answer = json_object();
                r = json_set_take(answer, "entries", TAKE_PTR(entries));
                return r < 0 ? cli_fail(CLI_ERROR, "Out of memory.") : print_json(c, answer);
        }
        if (c->output == OUTPUT_NAME) {
                json_array_foreach(entries, i, item)
                        cli_print("%" JSON_INTEGER_FORMAT,
                                  json_integer_value(json_object_get(item, "seq")));
                return CLI_OK;
        }
        r = cli_table_new(&t, c->output == OUTPUT_WIDE ? wide : columns);
        if (r >= 0) {
                json_array_foreach(entries, i, item)
                        add_row(c, t, item);
                r = cli_table_print(t, !c->no_legend);
        }
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot print the entries: %s", strerror(-r)) : CLI_OK;
}

/* ---- tail ---- */

static void print_line(const GatewayCtl *c, json_t *item) {
        json_t *entry = json_object_get(item, "entry");
        const char *source = json_text(entry, "source");
        uint64_t seq = 0, count = 0;

        if (c->output == OUTPUT_JSON) {
                (void) cli_json_print(item, CLI_JSON_SHORT);
                return;
        }
        (void) json_get_u64(item, "seq", &seq);
        (void) json_get_u64(entry, "count", &count);
        if (c->output == OUTPUT_NAME)
                cli_print("%" PRIu64, seq);
        else if (!entry)
                cli_print("%" PRIu64 " (damaged)", seq);
        else
                cli_print("%s  %" PRIu64 "  %s  %s  %s%s%" PRIu64 "%s%s", json_text(entry, "time"), seq,
                          json_text(entry, "actor"), json_text(entry, "action"), json_text(entry, "target"),
                          isempty(json_text(entry, "target")) ? "" : "  ", count,
                          isempty(source) ? "" : "  from ", source);
}

/* What came after *last; with nothing new *last stays. */
static CliExit print_after(GatewayCtl *c, uint64_t *last) {
        _cleanup_json_ json_t *page = NULL;
        _cleanup_free_ char *path = strjoinf("/api/v1/audit?order=asc&limit=%u&after=%" PRIu64, PAGE, *last);
        json_t *item;
        CliExit code;
        size_t i;

        code = path ? api_call(c, "GET", path, NULL, &page) : cli_fail(CLI_ERROR, "Out of memory.");
        if (code != CLI_OK)
                return code;
        json_array_foreach(json_object_get(page, "entries"), i, item) {
                print_line(c, item);
                (void) json_get_u64(item, "seq", last);
        }
        (void) fflush(stdout);
        return CLI_OK;
}

static CliExit pause_for(GatewayCtl *c, usec_t span) {
        usec_t end = usec_add(now(CLOCK_BOOTTIME), span), t;

        while ((t = now(CLOCK_BOOTTIME)) < end) {
                int r = sd_event_run(c->event, end - t);

                if (r < 0)
                        return cli_fail(CLI_ERROR, "The loop has ended: %s", strerror(-r));
        }
        return CLI_OK;
}

CliExit gatewayctl_audit_tail(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        _cleanup_json_ json_t *entries = NULL;
        uint64_t last = 0;
        CliExit code;

        code = read_entries(c, c->audit.has_lines ? c->audit.lines : TAIL_LINES, &entries);
        if (code != CLI_OK)
                return code;
        for (size_t i = json_array_size(entries); i > 0; i--) {
                print_line(c, json_array_get(entries, i - 1));
                (void) json_get_u64(json_array_get(entries, i - 1), "seq", &last);
        }
        (void) fflush(stdout);
        while (c->audit.follow && IN_SET(code, CLI_OK, CLI_ERROR) && !ferror(stdout)) {
                /* a gateway that is restarted comes back */
                CliExit waited = pause_for(c, code == CLI_OK ? FOLLOW_PAUSE : RETRY_PAUSE);

                if (waited != CLI_OK)
                        return waited;
                code = print_after(c, &last);
        }
        return ferror(stdout) ? CLI_ERROR : code;
}

/* ---- the log as a whole, line by line ---- */

typedef CliExit (*audit_line_t)(const char *line, size_t size, void *userdata);

static CliExit
each_line(const char *text, size_t size, audit_line_t callback, void *userdata, size_t *ret_n) {
        while (size > 0) {
                const char *end = memchr(text, '\n', size);
                size_t n = end ? (size_t) (end - text) : size;
                CliExit code;

                code = callback(text, n, userdata);
                if (code != CLI_OK)
                        return code;
                ++*ret_n;
                n = MIN(n + 1, size);
                text += n;
                size -= n;
        }
        return CLI_OK;
}

/* The number that the last line of a page has, wherever it stands in it; 0: none can be seen. */
static uint64_t last_number(const char *text, size_t size) {
        const char *line = size > 1 ? memrchr(text, '\n', size - 1) : NULL;
        _cleanup_json_ json_t *v = NULL;
        uint64_t seq = 0;

        line = line ? line + 1 : text;
        if (json_parse(line, size - (size_t) (line - text), AUDIT_LINE_MAX, &v, NULL) >= 0 &&
            json_get_u64(v, "seq", &seq) < 0)
                (void) json_get_u64(json_object_get(v, "entry"), "seq", &seq);
        return seq;
}

static CliExit each_line_of_gateway(GatewayCtl *c, audit_line_t callback, void *userdata) {
        uint64_t last = 0;

        for (;;) {
                _cleanup_free_ char *path =
                                strjoinf("/api/v1/audit?order=asc&limit=%u&after=%" PRIu64, PAGE, last);
                _cleanup_free_ char *text = NULL;
                uint64_t next;
                CliExit code;
                size_t size, n = 0;

                code = path ? api_get_text(c, path, ACCEPT_LINES, &text, &size) :
                              cli_fail(CLI_ERROR, "Out of memory.");
                if (code != CLI_OK || size == 0)
                        return code;
                code = each_line(text, size, callback, userdata, &n);
                if (code != CLI_OK)
                        return code;
                next = last_number(text, size);
                if (next <= last)
                        return cli_fail(CLI_ERROR, "The gateway's answer goes back from entry %" PRIu64 ".",
                                        last);
                last = next;
        }
}

static CliExit each_line_of_file(const char *path, audit_line_t callback, void *userdata) {
        _cleanup_free_ char *line = NULL;
        size_t allocated = 0;
        CliExit code = CLI_OK;
        ssize_t n;
        FILE *f;

        f = streq(path, "-") ? stdin : fopen(path, "re");
        if (!f)
                return cli_fail(CLI_ERROR, "Cannot read %s: %s", path, strerror(errno));
        while (code == CLI_OK && (n = getline(&line, &allocated, f)) >= 0) {
                if (n > 0 && line[n - 1] == '\n')
                        n--;
                code = callback(line, (size_t) n, userdata);
        }
        if (code == CLI_OK && ferror(f))
                code = cli_fail(CLI_ERROR, "Cannot read %s: %s", path, strerror(errno));
        if (f != stdin)
                (void) fclose(f);
        return code;
}

static CliExit export_line(const char *line, size_t size, void *userdata) {
        bool good = fwrite(line, 1, size, stdout) == size && putchar('\n') != EOF;

        return good ? CLI_OK : cli_fail(CLI_ERROR, "Cannot write the entries: %s", strerror(errno));
}

CliExit gatewayctl_audit_export(char *const *arguments, void *userdata) {
        return each_line_of_gateway(userdata, export_line, NULL);
}

/* ---- verify ---- */

typedef struct Verification {
        AuditChain chain;
        char *why;
} Verification;

static CliExit judge(int r, const Verification *v) {
        if (r < 0)
                return cli_fail(CLI_ERROR, "Out of memory.");
        return r == 0 ? CLI_OK : cli_fail(CLI_FAILED, "The audit log is broken: %s.", v->why);
}

static CliExit verify_line(const char *line, size_t size, void *userdata) {
        Verification *v = userdata;

        return judge(audit_chain_line(&v->chain, line, size, &v->why), v);
}

static CliExit print_verdict(const GatewayCtl *c, const Verification *v) {
        const AuditChain *k = &v->chain;
        _cleanup_json_ json_t *o = json_object();
        int r;

        if (c->output != OUTPUT_JSON) {
                if (v->why)
                        return CLI_OK;
                if (k->last == 0)
                        cli_print("The audit log is empty.");
                else
                        cli_print("Entries %" PRIu64 " to %" PRIu64 " are whole. Head: %s", k->first,
                                  k->last, k->head);
                return CLI_OK;
        }
        r = o ? json_set_bool(o, "good", !v->why) : -ENOMEM;
        if (r >= 0 && k->last > 0)
                r = json_set_u64(o, "first", k->first);
        if (r >= 0 && k->last > 0)
                r = json_set_u64(o, "last", k->last);
        if (r >= 0 && k->last > 0)
                r = json_set_string(o, "head", k->head);
        if (r >= 0 && v->why)
                r = json_set_u64(o, "bad_seq", k->bad);
        if (r >= 0)
                r = json_set_string(o, "reason", v->why);
        return r < 0 ? cli_fail(CLI_ERROR, "Out of memory.") : print_json(c, o);
}

/* What was the head the last time; *ret NULL: there was none. */
static CliExit read_noted_head(const char *path, char **ret) {
        _cleanup_free_ void *data = NULL;
        char *line;
        size_t size;
        int r;

        r = file_read_at(AT_FDCWD, path, HEAD_FILE_MAX, &data, &size);
        if (r == -ENOENT) {
                cli_note("%s is not there, so no head was noted yet: next time the end is looked at, too.", path);
                return CLI_OK;
        }
        if (r < 0)
                return cli_fail(CLI_ERROR, "Cannot read %s: %s", path, strerror(-r));
        line = data;
        line[strcspn(line, "\n")] = '\0';
        if (!hex_is_valid(line, SHA256_SIZE))
                return cli_fail(CLI_ERROR,
                                "%s holds no hash; remove it if you know why, and the head is noted anew.",
                                path);
        *ret = strdup(line);
        return *ret ? CLI_OK : cli_fail(CLI_ERROR, "Out of memory.");
}

static CliExit note_head(const char *path, const char *head) {
        char line[SHA256_HEX_MAX + 1];
        int r;

        (void) snprintf(line, sizeof(line), "%s\n", head);
        r = file_write_atomic_at(AT_FDCWD, path, line, strlen(line), 0600);
        return r < 0 ? cli_fail(CLI_ERROR, "Cannot write %s: %s", path, strerror(-r)) : CLI_OK;
}

/* What no chain of hashes can tell by itself. */
static void print_doubts(const GatewayCtl *c, const AuditChain *k) {
        if (k->lost > 0)
                cli_note("Entry %" PRIu64 " says that the gateway missed entries that it had noted: the log was "
                         "cut off or written anew before, or an older database was restored.",
                         k->lost);
        if (!c->audit.head && !c->audit.head_file && !c->audit.from_file)
                cli_note("Whether the end was cut off, or all of it written anew, cannot be seen from the log "
                         "alone: give a hash that was noted elsewhere (--head=, --head-file=).");
}

CliExit gatewayctl_audit_verify(char *const *arguments, void *userdata) {
        GatewayCtl *c = userdata;
        Verification v = { .chain = { .whole = !c->audit.from_file, .wanted_head = c->audit.head } };
        _cleanup_free_ char *noted = NULL;
        CliExit code, printed;

        if (c->audit.head && c->audit.head_file)
                return cli_fail(CLI_USAGE, "Say either --head= or --head-file=.");
        if (c->audit.head_file) {
                code = read_noted_head(c->audit.head_file, &noted);
                if (code != CLI_OK)
                        return code;
                v.chain.wanted_head = noted;
        }
        if (c->audit.from_file)
                code = each_line_of_file(c->audit.from_file, verify_line, &v);
        else
                code = each_line_of_gateway(c, verify_line, &v);
        if (code == CLI_OK)
                code = judge(audit_chain_end(&v.chain, &v.why), &v);
        printed = IN_SET(code, CLI_OK, CLI_FAILED) ? print_verdict(c, &v) : CLI_OK;
        if (code == CLI_OK) {
                print_doubts(c, &v.chain);
                if (c->audit.head_file && v.chain.last > 0)
                        code = note_head(c->audit.head_file, v.chain.head);
        }
        free(v.why);
        return code != CLI_OK ? code : printed;
}
