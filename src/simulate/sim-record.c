/* SPDX-License-Identifier: Apache-2.0 */
#include "sim-record.h"

#include "alloc-util.h"
#include "parse-util.h"
#include "state-file.h"
#include "string-util.h"
#include "update-record.h"
#include "version.h"

#define FILE_NAME "machine"
#define ATTEMPTS_KEY "attempts.%zu"

/* Keys and where their texts are kept. */
typedef struct Text {
        const char *key;
        size_t offset;
} Text;

static const Text texts[] = {
        { "version", offsetof(SimRecord, version) },
        { "previous", offsetof(SimRecord, previous) },
        { "floor", offsetof(SimRecord, floor) },
        { "denied", offsetof(SimRecord, denied) },
        { "transaction", offsetof(SimRecord, transaction) },
        { "instruction", offsetof(SimRecord, instruction) },
        { "from", offsetof(SimRecord, from) },
        { "to", offsetof(SimRecord, to) },
        { "raise_floor", offsetof(SimRecord, raise_floor) },
        { "message", offsetof(SimRecord, message) },
        { "last_transaction", offsetof(SimRecord, last.transaction) },
        { "last_instruction", offsetof(SimRecord, last.instruction) },
        { "last_from", offsetof(SimRecord, last.from) },
        { "last_to", offsetof(SimRecord, last.to) },
        { "last_message", offsetof(SimRecord, last.message) },
};

static char **text_at(SimRecord *r, const Text *t) {
        return (char **) ((char *) r + t->offset);
}

SimRecord *sim_record_free(SimRecord *r) {
        if (!r)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                free(*text_at(r, texts + i));
        for (size_t i = 0; i < r->n_attempts; i++) {
                free(r->attempts[i].version);
                free(r->attempts[i].instruction);
        }
        free(r);
        return NULL;
}

int sim_record_new(SimRecord **ret, const char *version) {
        _cleanup_(sim_record_freep) SimRecord *r = new0(SimRecord, 1);
        if (!r)
                return -ENOMEM;
        r->phase = r->failed_phase = r->last.phase = r->last.failed_phase = _UPDATE_PHASE_INVALID;
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                *text_at(r, texts + i) = strdup(i == 0 ? version : "");
                if (!*text_at(r, texts + i))
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(r);
        return 0;
}

/* ---- attempts ---- */

static int attempts_add(SimRecord *r, const char *version, const char *instruction, uint64_t n) {
        SimAttempts *a;

        if (r->n_attempts >= SIM_ATTEMPTS_MAX) {
                free(r->attempts[0].version);
                free(r->attempts[0].instruction);
                memmove(r->attempts, r->attempts + 1, sizeof(r->attempts[0]) * (SIM_ATTEMPTS_MAX - 1));
                r->n_attempts--;
        }
        a = r->attempts + r->n_attempts;
        *a = (SimAttempts){ .version = strdup(version), .instruction = strdup(instruction), .n = n };
        r->n_attempts++; /* also on lack of memory: then it is freed with the rest */
        return a->version && a->instruction ? 0 : -ENOMEM;
}

int sim_record_attempt(SimRecord *r, const char *version, const char *instruction, uint64_t *ret) {
        for (size_t i = 0; i < r->n_attempts; i++) {
                SimAttempts *a = r->attempts + i;

                if (!streq(a->version, version))
                        continue;
                int k = free_and_strdup(&a->instruction, instruction);
                if (k < 0)
                        return k;
                a->n += (unsigned) k;
                *ret = a->n;
                return k;
        }
        *ret = 1;
        int k = attempts_add(r, version, instruction, 1);
        return k < 0 ? k : 1;
}

/* "2 0123... 1.1.0": how many, for whom, of which version. */
static int attempts_parse(SimRecord *r, const char *value) {
        _cleanup_strv_free_ char **words = NULL;
        uint64_t n;

        int k = strv_split(value, " ", &words);
        if (k < 0)
                return k;
        if (strv_length(words) != 3 || parse_u64(words[0], &n) < 0 || !update_id_is_valid(words[1]) ||
            !version_is_valid(words[2]))
                return -EBADMSG;
        return attempts_add(r, words[2], words[1], n);
}

/* ---- the file ---- */

static int record_fill(const SimRecord *r, StateFile *s) {
        const struct {
                const char *key, *value;
        } words[] = {
                { "phase", update_phase_to_string(r->phase) },
                { "failed_phase", update_phase_to_string(r->failed_phase) },
                { "verdict", update_verdict_to_string(r->verdict) },
                { "last_phase", update_phase_to_string(r->last.phase) },
                { "last_failed_phase", update_phase_to_string(r->last.failed_phase) },
                { "last_verdict", update_verdict_to_string(r->last.verdict) },
        };
        const struct {
                const char *key;
                uint64_t value;
        } numbers[] = {
                { "denied_until", r->denied_until },
                { "last_time", r->last.time_usec },
        };
        int k = 0;

        for (size_t i = 0; i < ELEMENTSOF(texts) && k >= 0; i++)
                k = state_file_set(s, texts[i].key, *text_at((SimRecord *) r, texts + i));
        for (size_t i = 0; i < ELEMENTSOF(words) && k >= 0; i++)
                k = state_file_set(s, words[i].key, words[i].value);
        for (size_t i = 0; i < ELEMENTSOF(numbers) && k >= 0; i++)
                k = state_file_set_u64(s, numbers[i].key, numbers[i].value);
        for (size_t i = 0; i < r->n_attempts && k >= 0; i++) {
                const SimAttempts *a = r->attempts + i;
                _cleanup_free_ char *key = strjoinf(ATTEMPTS_KEY, i);
                _cleanup_free_ char *value = strjoinf("%" PRIu64 " %s %s", a->n, a->instruction, a->version);
                k = key && value ? state_file_set(s, key, value) : -ENOMEM;
        }
        return k;
}

int sim_record_save_at(const SimRecord *r, int dir_fd) {
        _cleanup_(state_file_freep) StateFile *s = NULL;
        int k = state_file_new(&s);
        if (k >= 0)
                k = record_fill(r, s);
        return k < 0 ? k : state_file_save_at(s, dir_fd, FILE_NAME, 0600);
}

static int record_check(const SimRecord *r) {
        const char *const versions[] = { r->previous, r->floor,       r->denied,    r->from,
                                         r->to,       r->raise_floor, r->last.from, r->last.to },
                          *const ids[] = { r->transaction, r->instruction, r->last.transaction,
                                           r->last.instruction };

        if (!version_is_valid(r->version) || r->verdict < 0 || r->last.verdict < 0)
                return -EBADMSG;
        for (size_t i = 0; i < ELEMENTSOF(versions); i++)
                if (*versions[i] && !version_is_valid(versions[i]))
                        return -EBADMSG;
        for (size_t i = 0; i < ELEMENTSOF(ids); i++)
                if (*ids[i] && !update_id_is_valid(ids[i]))
                        return -EBADMSG;
        if (r->phase >= 0 && (!*r->transaction || !*r->from || !*r->to))
                return -EBADMSG;
        return *r->last.transaction && !update_phase_is_terminal(r->last.phase) ? -EBADMSG : 0;
}

static int record_read(SimRecord *r, StateFile *s) {
        int k = 0;

        for (size_t i = 0; i < ELEMENTSOF(texts) && k >= 0; i++)
                k = free_and_strdup(text_at(r, texts + i), strempty(state_file_get(s, texts[i].key)));
        for (size_t i = 0; i < SIM_ATTEMPTS_MAX && k >= 0; i++) {
                _cleanup_free_ char *key = strjoinf(ATTEMPTS_KEY, i);
                if (!key)
                        return -ENOMEM;
                const char *value = state_file_get(s, key);
                if (!value)
                        break;
                k = attempts_parse(r, value);
        }
        if (k < 0)
                return k;
        r->phase = update_phase_from_string(state_file_get(s, "phase"));
        r->failed_phase = update_phase_from_string(state_file_get(s, "failed_phase"));
        r->verdict = update_verdict_from_string(state_file_get(s, "verdict"));
        r->last.phase = update_phase_from_string(state_file_get(s, "last_phase"));
        r->last.failed_phase = update_phase_from_string(state_file_get(s, "last_failed_phase"));
        r->last.verdict = update_verdict_from_string(state_file_get(s, "last_verdict"));
        if (state_file_get_u64(s, "denied_until", &r->denied_until) < 0 ||
            state_file_get_u64(s, "last_time", &r->last.time_usec) < 0)
                return -EBADMSG;
        return record_check(r);
}

int sim_record_load_at(int dir_fd, SimRecord **ret) {
        _cleanup_(sim_record_freep) SimRecord *r = NULL;
        _cleanup_(state_file_freep) StateFile *s = NULL;

        int k = state_file_load_at(dir_fd, FILE_NAME, &s);
        if (k >= 0)
                k = sim_record_new(&r, "0.0.0");
        if (k >= 0)
                k = record_read(r, s);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}
