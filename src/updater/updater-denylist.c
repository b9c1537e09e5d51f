/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-denylist.h"

#include <stdio.h>
#include <string.h>

#include "alloc-util.h"
#include "hex.h"
#include "log.h"
#include "parse-util.h"
#include "string-util.h"

#define DENYLIST_NAME "denylist"
#define RETRY_INTERVAL USEC_PER_HOUR
#define STRIKES_MAX 1000U
#define ID_SIZE 16U

typedef struct Entry {
        char digest[SHA256_HEX_MAX];
        char transaction[2 * ID_SIZE + 1];                 /* the last one that counted */
        unsigned strikes;
        usec_t since_usec;                                 /* the last strike */
        bool lifted;
        usec_t lifted_usec;                                /* the last retry; 0 if never */
} Entry;

struct Denylist {
        Entry entries[DENYLIST_MAX];
        size_t n_entries;
};

int denylist_new(Denylist **ret) {
        Denylist *d = new0(Denylist, 1);
        if (!d)
                return -ENOMEM;
        *ret = d;
        return 0;
}

Denylist *denylist_free(Denylist *d) {
        free(d);
        return NULL;
}

size_t denylist_size(const Denylist *d) {
        return d->n_entries;
}

static usec_t refusal_length(unsigned strikes) {
        return strikes <= 1 ? USEC_PER_HOUR : strikes == 2 ? 4 * USEC_PER_HOUR : USEC_PER_DAY;
}

static Entry *find(const Denylist *d, const char *digest) {
        for (size_t i = 0; i < d->n_entries; i++)
                if (streq(d->entries[i].digest, digest))
                        return (Entry *) d->entries + i;
        return NULL;
}

/* "<digest> <transaction> <strikes> <since> <lifted> <lifted at>" */
static int parse_entry(const char *text, Entry *ret) {
        _cleanup_strv_free_ char **words = NULL;
        uint32_t strikes;
        Entry e = {};

        int r = strv_split(text, " ", &words);
        if (r < 0)
                return r;
        if (strv_length(words) != 6 || !hex_is_valid(words[0], SHA256_SIZE) || !hex_is_valid(words[1], ID_SIZE))
                return -EBADMSG;
        int lifted = parse_boolean(words[4]);
        if (parse_u32(words[2], &strikes) < 0 || strikes == 0 || strikes > STRIKES_MAX || lifted < 0 ||
            parse_u64(words[3], &e.since_usec) < 0 || parse_u64(words[5], &e.lifted_usec) < 0)
                return -EBADMSG;

        memcpy(e.digest, words[0], sizeof(e.digest));
        memcpy(e.transaction, words[1], sizeof(e.transaction));
        e.strikes = strikes;
        e.lifted = lifted;
        *ret = e;
        return 0;
}

int denylist_from_state(StateFile *s, Denylist **ret) {
        _cleanup_(denylist_freep) Denylist *d = NULL;
        const char *key, *value;

        int r = denylist_new(&d);
        if (r < 0)
                return r;
        for (size_t i = 0; state_file_item(s, i, &key, &value); i++) {
                if (!startswith(key, "entry"))
                        continue;
                if (d->n_entries >= DENYLIST_MAX)
                        return -EBADMSG;
                r = parse_entry(value, d->entries + d->n_entries);
                if (r < 0)
                        return r;
                if (find(d, d->entries[d->n_entries].digest))
                        return -EBADMSG;
                d->n_entries++;
        }
        *ret = TAKE_PTR(d);
        return 0;
}

/* A strike in the future was made with a wrong clock, and would refuse until that time and longer. */
static bool forget_future(Denylist *d, usec_t realtime) {
        bool changed = false;

        for (size_t i = 0; i < d->n_entries; i++)
                if (d->entries[i].since_usec > realtime) {
                        d->entries[i].since_usec = realtime;
                        changed = true;
                }
        return changed;
}

int denylist_load(UpdaterRoot *root, Denylist **ret) {
        _cleanup_(state_file_freep) StateFile *s = NULL;

        if (root->state_fd < 0)
                return denylist_new(ret);
        int r = state_file_load_at(root->state_fd, DENYLIST_NAME, &s);
        if (r >= 0)
                r = denylist_from_state(s, ret);
        if (r >= 0 && forget_future(*ret, now(CLOCK_REALTIME))) {
                r = denylist_save(root, *ret);
                if (r < 0)
                        log_warning_errno(r, "Failed to correct %s/" DENYLIST_NAME ", going on: %m", root->state_path);
                return 0;
        }
        if (r >= 0 || r == -ENOMEM)
                return r;
        if (r != -ENOENT)
                log_warning_errno(r, "Cannot read %s/" DENYLIST_NAME ", starting an empty one: %m", root->state_path);
        return denylist_new(ret);
}

int denylist_save(UpdaterRoot *root, const Denylist *d) {
        _cleanup_(state_file_freep) StateFile *s = NULL;

        if (root->state_fd < 0)
                return -EBADF;
        int r = state_file_new(&s);
        if (r < 0)
                return r;
        for (size_t i = 0; i < d->n_entries; i++) {
                const Entry *e = d->entries + i;
                char key[32];
                _cleanup_free_ char *value = strjoinf(
                                "%s %s %u " USEC_FMT " %s " USEC_FMT, e->digest, e->transaction, e->strikes,
                                e->since_usec, yes_no(e->lifted), e->lifted_usec);
                if (!value)
                        return -ENOMEM;
                snprintf(key, sizeof(key), "entry%zu", i);
                r = state_file_set(s, key, value);
                if (r < 0)
                        return r;
        }
        return state_file_save_at(s, root->state_fd, DENYLIST_NAME, 0600);
}

usec_t denylist_remaining(const Denylist *d, const char *digest, usec_t realtime) {
        const Entry *e = find(d, digest);
        if (!e || e->lifted)
                return 0;
        /* a start in the future means that the clock went back: then the whole length, counted from now */
        usec_t passed = usec_sub(realtime, e->since_usec);
        return usec_sub(refusal_length(e->strikes), passed);
}

static Entry *add_entry(Denylist *d) {
        Entry *oldest = d->entries;

        if (d->n_entries < DENYLIST_MAX)
                return d->entries + d->n_entries++;
        for (size_t i = 1; i < d->n_entries; i++)
                if (d->entries[i].since_usec < oldest->since_usec)
                        oldest = d->entries + i;
        return oldest;
}

int denylist_strike(Denylist *d, const char *digest, const char *transaction, usec_t realtime) {
        if (!hex_is_valid(digest, SHA256_SIZE) || !hex_is_valid(transaction, ID_SIZE))
                return -EINVAL;

        Entry *e = find(d, digest);
        if (e && streq(e->transaction, transaction))
                return 0;
        if (!e) {
                e = add_entry(d);
                *e = (Entry) {};
                memcpy(e->digest, digest, sizeof(e->digest));
        }
        memcpy(e->transaction, transaction, sizeof(e->transaction));
        e->strikes = MIN(e->strikes + 1, STRIKES_MAX);
        e->since_usec = realtime;
        e->lifted = false;
        return 1;
}

int denylist_lift(Denylist *d, const char *digest, usec_t realtime) {
        if (denylist_remaining(d, digest, realtime) == 0)
                return 0;

        Entry *e = find(d, digest);
        if (e->lifted_usec > 0 && e->lifted_usec <= realtime && realtime - e->lifted_usec < RETRY_INTERVAL)
                return -EAGAIN;
        e->lifted = true;
        e->lifted_usec = realtime;
        return 1;
}
