/* SPDX-License-Identifier: Apache-2.0 */
#include "update-record.h"

#include "alloc-util.h"
#include "hex.h"
#include "state-file.h"
#include "string-util.h"
#include "version.h"

bool update_id_is_valid(const char *id) {
        return id && hex_is_valid(id, UPDATE_ID_HEX / 2);
}

UpdateRecord *update_record_free(UpdateRecord *u) {
        if (u) {
                free(u->instruction);
                free(u->transaction);
                free(u->from);
                free(u->to);
                free(u->repository_url);
                free(u->message);
                free(u);
        }
        return NULL;
}

int update_record_new(UpdateRecord **ret, const char *instruction, const char *from, const char *to) {
        _cleanup_(update_record_freep) UpdateRecord *u = new0(UpdateRecord, 1);
        if (!u)
                return -ENOMEM;
        u->phase = UPDATE_PHASE_OFFERED;
        u->failed_phase = _UPDATE_PHASE_INVALID;
        u->instruction = strdup(strempty(instruction));
        u->transaction = strdup("");
        u->from = strdup(strempty(from));
        u->to = strdup(strempty(to));
        u->repository_url = strdup("");
        u->message = strdup("");
        if (!u->instruction || !u->transaction || !u->from || !u->to || !u->repository_url || !u->message)
                return -ENOMEM;
        u->time_usec = now(CLOCK_REALTIME);
        *ret = TAKE_PTR(u);
        return 0;
}

int update_record_copy(const UpdateRecord *u, UpdateRecord **ret) {
        _cleanup_(update_record_freep) UpdateRecord *c = NULL;
        int r = update_record_new(&c, u->instruction, u->from, u->to);
        if (r < 0)
                return r;
        if (free_and_strdup(&c->transaction, u->transaction) < 0 ||
            free_and_strdup(&c->repository_url, u->repository_url) < 0 ||
            free_and_strdup(&c->message, u->message) < 0)
                return -ENOMEM;
        c->retry = u->retry;
        c->back = u->back;
        c->phase = u->phase;
        c->failed_phase = u->failed_phase;
        c->verdict = u->verdict;
        c->time_usec = u->time_usec;
        c->sequence = u->sequence;
        c->bytes_done = u->bytes_done;
        c->bytes_total = u->bytes_total;
        c->acked = u->acked;
        *ret = TAKE_PTR(c);
        return 0;
}

int update_record_set_message(UpdateRecord *u, const char *message) {
        _cleanup_free_ char *safe = string_escape(strempty(message));
        if (!safe)
                return -ENOMEM;
        if (strlen(safe) > UPDATE_MESSAGE_MAX) {
                size_t n = UPDATE_MESSAGE_MAX;
                while (n > 0 && ((unsigned char) safe[n] & 0xC0) == 0x80)
                        n--;
                safe[n] = '\0';
        }
        free(u->message);
        u->message = TAKE_PTR(safe);
        return 0;
}

static int record_set_all(const UpdateRecord *u, StateFile *s) {
        const struct {
                const char *key, *value;
        } texts[] = {
                { "instruction", u->instruction },
                { "transaction", u->transaction },
                { "from", u->from },
                { "to", u->to },
                { "repository_url", u->repository_url },
                { "message", u->message },
                { "phase", update_phase_to_string(u->phase) },
                { "failed_phase", update_phase_to_string(u->failed_phase) },
                { "verdict", update_verdict_to_string(u->verdict) },
                { "retry", u->retry ? "1" : "0" },
                { "back", u->back ? "1" : "0" },
                { "acked", u->acked ? "1" : "0" },
        };
        int r = 0;
        for (size_t i = 0; i < ELEMENTSOF(texts) && r >= 0; i++)
                r = state_file_set(s, texts[i].key, texts[i].value);
        if (r >= 0)
                r = state_file_set_u64(s, "time_usec", u->time_usec);
        if (r >= 0)
                r = state_file_set_u64(s, "sequence", u->sequence);
        if (r >= 0)
                r = state_file_set_u64(s, "bytes_total", u->bytes_total);
        return r;
}

int update_record_save_at(const UpdateRecord *u, int dir_fd, const char *path) {
        _cleanup_(state_file_freep) StateFile *s = NULL;
        int r = state_file_new(&s);
        if (r >= 0)
                r = record_set_all(u, s);
        if (r >= 0)
                r = state_file_save_at(s, dir_fd, path, 0600);
        return r;
}

/* Our own file, but a disk may hand back anything: nothing that would not be valid on the wire gets in. */
static int record_check(UpdateRecord *u) {
        if ((*u->instruction && !update_id_is_valid(u->instruction)) ||
            (*u->transaction && !update_id_is_valid(u->transaction)) ||
            (*u->from && !version_is_valid(u->from)) || (*u->to && !version_is_valid(u->to)) ||
            u->phase < 0 || u->verdict < 0)
                return -EBADMSG;
        return 0;
}

int update_record_load_at(int dir_fd, const char *path, UpdateRecord **ret) {
        _cleanup_(state_file_freep) StateFile *s = NULL;
        _cleanup_(update_record_freep) UpdateRecord *u = NULL;

        int r = state_file_load_at(dir_fd, path, &s);
        if (r < 0)
                return r;
        r = update_record_new(
                        &u, state_file_get(s, "instruction"), state_file_get(s, "from"),
                        state_file_get(s, "to"));
        if (r < 0)
                return r;
        if (free_and_strdup(&u->transaction, strempty(state_file_get(s, "transaction"))) < 0 ||
            free_and_strdup(&u->repository_url, strempty(state_file_get(s, "repository_url"))) < 0 ||
            update_record_set_message(u, state_file_get(s, "message")) < 0)
                return -ENOMEM;
        u->phase = update_phase_from_string(state_file_get(s, "phase"));
        u->failed_phase = update_phase_from_string(state_file_get(s, "failed_phase"));
        u->verdict = update_verdict_from_string(state_file_get(s, "verdict"));
        u->retry = streq_ptr(state_file_get(s, "retry"), "1");
        u->back = streq_ptr(state_file_get(s, "back"), "1");
        u->acked = streq_ptr(state_file_get(s, "acked"), "1");
        (void) state_file_get_u64(s, "time_usec", &u->time_usec);
        (void) state_file_get_u64(s, "bytes_total", &u->bytes_total);
        if (state_file_get_u64(s, "sequence", &u->sequence) < 0 || record_check(u) < 0)
                return -EBADMSG;
        *ret = TAKE_PTR(u);
        return 0;
}
