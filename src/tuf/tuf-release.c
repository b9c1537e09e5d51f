/* SPDX-License-Identifier: Apache-2.0 */

#include "tuf-release.h"

#include "alloc-util.h"
#include "string-util.h"
#include "version.h"

#define PRODUCT "agent"
#define OS "linux"
#define FILE_AGENT "agent"
#define FILE_UPDATER "updater"
#define ARCH_CHARS "abcdefghijklmnopqrstuvwxyz0123456789_"
#define ARCH_MAX 32U
#define TEXT_MAX 64U
#define PACKAGING_MAX UINT32_MAX

bool tuf_release_arch_is_valid(const char *arch) {
        size_t n = strnlen(arch, ARCH_MAX);
        return n > 0 && n < ARCH_MAX && strspn(arch, ARCH_CHARS) == n;
}

int tuf_release_target_path(
                const char *version, const char *os, const char *arch, const char *file, char **ret) {
        if (!version_is_valid(version) || !streq(os, OS) || !tuf_release_arch_is_valid(arch) ||
            !filename_is_plain(file))
                return -EINVAL;
        char *path = strjoinf(PRODUCT "/%s/%s-%s/%s", version, os, arch, file);
        if (!path)
                return -ENOMEM;
        *ret = path;
        return 0;
}

TufRelease *tuf_release_free(TufRelease *r) {
        if (r) {
                free(r->product);
                free(r->version);
                free(r->arch);
                free(r->os);
                free(r->requires);
                free(r->floor);
                free(r->severity);
                free(r);
        }
        return NULL;
}

/* A member of custom as text: required to be there, or NULL when it is not. */
static int read_text(const TufTarget *t, const char *key, bool required, char **ret, char **reterr_message) {
        const char *text = NULL;

        int r = json_get_string(t->custom, key, &text);
        if (r == -ENOENT && !required)
                return 0;
        if (r < 0 || !string_is_safe(text, TEXT_MAX) || isempty(text))
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message, "%s: custom.%s is missing or no short text",
                                t->path, key);
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

static int
read_version(const TufTarget *t, const char *key, bool required, char **ret, char **reterr_message) {
        int r = read_text(t, key, required, ret, reterr_message);
        if (r != 0 || !*ret || version_is_valid(*ret))
                return r;
        return tuf_refuse(TUF_MALFORMED, reterr_message, "%s: custom.%s is no version", t->path, key);
}

static int read_custom(const TufTarget *t, TufRelease **ret, char **reterr_message) {
        _cleanup_(tuf_release_freep) TufRelease *release = new0(TufRelease, 1);
        int r;

        if (!release)
                return -ENOMEM;
        if (!t->custom)
                return tuf_refuse(TUF_MALFORMED, reterr_message, "%s: has no \"custom\"", t->path);

        r = read_text(t, "product", true, &release->product, reterr_message);
        if (r == 0)
                r = read_version(t, "version", true, &release->version, reterr_message);
        if (r == 0)
                r = read_text(t, "arch", true, &release->arch, reterr_message);
        if (r == 0)
                r = read_text(t, "os", true, &release->os, reterr_message);
        if (r == 0)
                r = read_version(t, "requires", false, &release->requires, reterr_message);
        if (r == 0)
                r = read_version(t, "floor", false, &release->floor, reterr_message);
        if (r == 0)
                r = read_text(t, "severity", false, &release->severity, reterr_message);
        if (r != 0)
                return r;

        r = json_get_u64(t->custom, "requires_packaging", &release->requires_packaging);
        if ((r < 0 && r != -ENOENT) || release->requires_packaging > PACKAGING_MAX)
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message, "%s: custom.requires_packaging is no number",
                                t->path);
        if (release->floor && version_compare(release->floor, release->version) > 0)
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message,
                                "%s: custom.floor is above the version itself", t->path);

        *ret = TAKE_PTR(release);
        return 0;
}

static bool same_release(const TufRelease *a, const TufRelease *b) {
        return streq(a->product, b->product) && streq(a->version, b->version) && streq(a->arch, b->arch) &&
               streq(a->os, b->os) && streq_ptr(a->requires, b->requires) && streq_ptr(a->floor, b->floor) &&
               streq_ptr(a->severity, b->severity) && a->requires_packaging == b->requires_packaging;
}

int tuf_release_find(
                const TufMetadata *targets,
                const char *version,
                const char *arch,
                TufRelease **ret,
                char **reterr_message) {
        _cleanup_(tuf_release_freep) TufRelease *a = NULL, *b = NULL;
        _cleanup_free_ char *agent_path = NULL, *updater_path = NULL;
        int r;

        if (!version_is_valid(version) || !tuf_release_arch_is_valid(arch))
                return tuf_refuse(
                                TUF_NOT_FOUND, reterr_message,
                                "what was asked for is no version and architecture");
        r = tuf_release_target_path(version, OS, arch, FILE_AGENT, &agent_path);
        if (r >= 0)
                r = tuf_release_target_path(version, OS, arch, FILE_UPDATER, &updater_path);
        if (r < 0)
                return r;

        const TufTarget *agent = tuf_metadata_target(targets, agent_path),
                        *updater = tuf_metadata_target(targets, updater_path);
        if (!agent && !updater)
                return tuf_refuse(
                                TUF_NOT_FOUND, reterr_message, "there is no signed release %s for " OS "-%s",
                                version, arch);
        if (!agent || !updater)
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message, "release %s for " OS "-%s lacks its %s",
                                version, arch, agent ? FILE_UPDATER : FILE_AGENT);

        r = read_custom(agent, &a, reterr_message);
        if (r == 0)
                r = read_custom(updater, &b, reterr_message);
        if (r != 0)
                return r;
        if (!same_release(a, b))
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message, "%s and %s do not agree in their \"custom\"",
                                agent_path, updater_path);
        /* the path is how it was found, but what it says of itself decides */
        if (!streq(a->product, PRODUCT) || !streq(a->version, version) || !streq(a->arch, arch) ||
            !streq(a->os, OS))
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message, "%s says of itself %s %s for %s-%s",
                                agent_path, a->product, a->version, a->os, a->arch);

        a->agent = agent;
        a->updater = updater;
        *ret = TAKE_PTR(a);
        return 0;
}

/* "agent/1.1.0/linux-x86_64/..." gives version and architecture. 0, or -EINVAL for another kind of path. */
static int split_path(const char *path, char **ret_version, char **ret_arch) {
        _cleanup_strv_free_ char **parts = NULL;

        int r = strv_split(path, "/", &parts);
        if (r < 0)
                return r;
        if (strv_length(parts) != 4 || !streq(parts[0], PRODUCT))
                return -EINVAL;
        const char *arch = startswith(parts[2], OS "-");
        if (!arch || !version_is_valid(parts[1]) || !tuf_release_arch_is_valid(arch))
                return -EINVAL;

        _cleanup_free_ char *version = strdup(parts[1]), *arch_copy = strdup(arch);
        if (!version || !arch_copy)
                return -ENOMEM;
        *ret_version = TAKE_PTR(version);
        *ret_arch = TAKE_PTR(arch_copy);
        return 0;
}

static int compare_releases(const void *a, const void *b) {
        const TufRelease *const *x = a, *const *y = b;

        int r = version_compare((*x)->version, (*y)->version);
        return r ?: strcmp((*x)->arch, (*y)->arch);
}

void tuf_release_list_free(TufRelease **releases, size_t n) {
        for (size_t i = 0; i < n; i++)
                tuf_release_free(releases[i]);
        free(releases);
}

typedef struct List {
        TufRelease **releases;
        size_t n, allocated;
        char **problems;
        /* the last one looked at: both files of a release follow each other in order of path */
        char *version, *arch;
} List;

static void list_done(List *l) {
        tuf_release_list_free(l->releases, l->n);
        strv_free(l->problems);
        free(l->version);
        free(l->arch);
}

static int list_add(List *l, const TufMetadata *targets, const char *path) {
        _cleanup_free_ char *version = NULL, *arch = NULL, *why = NULL;

        const char *in_product = startswith(path, PRODUCT "/");
        if (!in_product)
                return 0;
        int r = split_path(path, &version, &arch);
        if (r == -EINVAL)
                return strv_consume(&l->problems, strjoinf("%s: no path of a release", path));
        if (r < 0)
                return r;
        if (streq_ptr(l->version, version) && streq_ptr(l->arch, arch))
                return 0;

        r = ARRAY_GROW(l->releases, l->allocated, l->n + 1);
        if (r < 0)
                return r;
        r = tuf_release_find(targets, version, arch, l->releases + l->n, &why);
        if (r < 0)
                return r;
        if (r == 0)
                l->n++;
        else {
                r = why ? strv_consume(&l->problems, TAKE_PTR(why)) : -ENOMEM;
                if (r < 0)
                        return r;
        }

        free(l->version);
        l->version = TAKE_PTR(version);
        free(l->arch);
        l->arch = TAKE_PTR(arch);
        return 0;
}

int tuf_release_list(const TufMetadata *targets, TufRelease ***ret, size_t *ret_n, char ***ret_problems) {
        _cleanup_(list_done) List l = {};

        for (size_t i = 0; i < targets->n_targets; i++) {
                int r = list_add(&l, targets, targets->targets[i].path);
                if (r < 0)
                        return r;
        }
        if (l.n > 1)
                qsort(l.releases, l.n, sizeof(l.releases[0]), compare_releases);
        *ret = TAKE_PTR(l.releases);
        *ret_n = l.n;
        l.n = 0;
        if (ret_problems)
                *ret_problems = TAKE_PTR(l.problems);
        return 0;
}
