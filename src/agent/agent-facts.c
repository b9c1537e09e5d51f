/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-facts.h"

#include <fcntl.h>
#include <sys/utsname.h>
#include <systemd/sd-id128.h>

#include "alloc-util.h"
#include "fs-util.h"
#include "log.h"
#include "names.h"
#include "parse-util.h"
#include "string-util.h"

/* Mixed with the machine id, so that the id seen by the gateway does not reveal it. Never changes. */
static const sd_id128_t application_id =
                SD_ID128_MAKE(c2, 6e, 1d, 54, 0b, 7f, 4e, 0e, 9f, 2a, 5d, 3c, 8e, 71, 4a, 96);

void os_release_done(OsRelease *o) {
        free(o->id);
        free(o->version_id);
        free(o->pretty_name);
        *o = (OsRelease){ 0 };
}

/* Undoes shell quoting: '...' verbatim, "..." and bare words with backslashes. -EINVAL if it does not end
 * well. */
static int unquote(const char *s, size_t n, char **ret) {
        _cleanup_free_ char *out = malloc(n + 1);
        size_t j = 0;
        char quote = 0;

        if (!out)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                char c = s[i];
                if (quote && c == quote)
                        quote = 0;
                else if (!quote && (c == '"' || c == '\''))
                        quote = c;
                else if (c == '\\' && quote != '\'') {
                        if (++i >= n)
                                return -EINVAL;
                        out[j++] = s[i];
                } else if (!quote && strchr(" \t;&|<>$`()", c))
                        return -EINVAL;
                else
                        out[j++] = c;
        }
        if (quote)
                return -EINVAL;
        out[j] = '\0';
        *ret = TAKE_PTR(out);
        return 0;
}

static int os_release_line(OsRelease *o, const char *line, size_t n) {
        while (n > 0 && strchr(" \t\r", line[n - 1]))
                n--;
        while (n > 0 && strchr(" \t", *line)) {
                line++;
                n--;
        }
        const char *equals = memchr(line, '=', n);
        if (!equals || *line == '#')
                return 0;

        const struct {
                const char *key;
                char **target;
        } fields[] = {
                { "ID", &o->id },
                { "VERSION_ID", &o->version_id },
                { "PRETTY_NAME", &o->pretty_name },
        };
        for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                size_t key = (size_t) (equals - line);
                if (strlen(fields[i].key) != key || memcmp(line, fields[i].key, key) != 0)
                        continue;
                _cleanup_free_ char *value = NULL;
                int r = unquote(equals + 1, n - key - 1, &value);
                if (r == -ENOMEM)
                        return r;
                if (r >= 0 && string_is_safe(value, FACT_MAX)) {
                        free(*fields[i].target);
                        *fields[i].target = TAKE_PTR(value);
                }
        }
        return 0;
}

int os_release_parse(const char *text, size_t size, OsRelease *ret) {
        OsRelease o = { 0 };

        if (size > OS_RELEASE_MAX)
                return -EFBIG;
        for (size_t pos = 0; pos < size;) {
                const char *newline = memchr(text + pos, '\n', size - pos);
                size_t n = newline ? (size_t) (newline - (text + pos)) : size - pos;
                int r = memchr(text + pos, '\0', n) ? 0 : os_release_line(&o, text + pos, n);
                if (r < 0) {
                        os_release_done(&o);
                        return r;
                }
                pos += n + 1;
        }
        if (isempty(o.id) && free_and_strdup(&o.id, "linux") < 0) {
                os_release_done(&o);
                return -ENOMEM;
        }
        *ret = o;
        return 0;
}

static int facts_read_os_release(OsRelease *ret) {
        static const char *const paths[] = { "/etc/os-release", "/usr/lib/os-release" };
        _cleanup_free_ void *text = NULL;
        size_t size = 0;
        int r = -ENOENT;

        for (size_t i = 0; i < ELEMENTSOF(paths) && r < 0; i++) {
                /* /etc/os-release is a symlink nearly everywhere, which file_read_at() does not follow */
                _cleanup_free_ char *target = NULL;
                r = file_read_at(AT_FDCWD, paths[i], OS_RELEASE_MAX, &text, &size);
                if (r == -ELOOP && readlink_at(AT_FDCWD, paths[i], &target) >= 0) {
                        _cleanup_free_ char *path =
                                        target[0] == '/' ? strdup(target) : strjoinf("/etc/%s", target);
                        if (!path)
                                return -ENOMEM;
                        r = file_read_at(AT_FDCWD, path, OS_RELEASE_MAX, &text, &size);
                }
        }
        if (r < 0) {
                log_debug_errno(r, "Cannot read os-release, going on without: %m");
                return os_release_parse("", 0, ret);
        }
        return os_release_parse(text, size, ret);
}

int packaging_parse(const char *text, uint32_t *ret) {
        char buf[16];
        size_t n = strcspn(text, "\n");
        if (n >= sizeof(buf) || (text[n] == '\n' && text[n + 1] != '\0'))
                return -EINVAL;
        memcpy(buf, text, n);
        buf[n] = '\0';
        return parse_u32(buf, ret);
}

static void facts_read_packaging(AgentFacts *f) {
        _cleanup_free_ void *text = NULL;
        size_t size;
        int r = file_read_at(AT_FDCWD, FLEET_PACKAGE_DIR "/PACKAGING", KIB(1), &text, &size);
        if (r >= 0)
                r = packaging_parse(text, &f->packaging);
        if (r < 0)
                log_debug_errno(r, "Cannot read the packaging generation, leaving it empty: %m");
}

int agent_facts_collect(AgentFacts *ret, bool need_machine_id) {
        AgentFacts f = { 0 };
        struct utsname u = { 0 };
        sd_id128_t id;

        int r = facts_read_os_release(&f.os);
        if (r < 0)
                return r;
        facts_read_packaging(&f);
        r = sd_id128_get_boot(&id);
        if (r >= 0)
                (void) sd_id128_to_string(id, f.boot_id);
        r = sd_id128_get_machine_app_specific(application_id, &id);
        if (r >= 0)
                (void) sd_id128_to_string(id, f.machine_id);
        else if (need_machine_id) {
                agent_facts_done(&f);
                return log_error_errno(
                                r, "This machine has no valid /etc/machine-id, which the agent's id is "
                                   "made from: %m. Run systemd-machine-id-setup, or set AgentId=.");
        }
        (void) uname(&u);
        f.hostname = strdup(string_is_safe(u.nodename, FACT_MAX) ? u.nodename : "");
        f.kernel = strdup(string_is_safe(u.release, FACT_MAX) ? u.release : "");
        f.architecture = strdup(u.machine);
        if (!f.hostname || !f.kernel || !f.architecture) {
                agent_facts_done(&f);
                return -ENOMEM;
        }
        *ret = f;
        return 0;
}

void agent_facts_done(AgentFacts *f) {
        os_release_done(&f->os);
        free(f->hostname);
        free(f->kernel);
        free(f->architecture);
        *f = (AgentFacts){ 0 };
}
