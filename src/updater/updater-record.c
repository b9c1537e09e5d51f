/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-record.h"

#include <stdio.h>
#include <systemd/sd-id128.h>

#include "alloc-util.h"
#include "fs-util.h"
#include "hex.h"
#include "parse-util.h"
#include "string-util.h"
#include "version.h"

#define RECORD_NAME "transaction"
#define RESULT_NAME "last-result"
#define BOOT_NAME "boot-id"

static const char *const kind_table[_TRANSACTION_KIND_MAX] = {
        [TRANSACTION_INSTALL] = "install",
        [TRANSACTION_ROLLBACK] = "rollback",
        [TRANSACTION_ADOPT] = "adopt",
};

const char *transaction_kind_to_string(TransactionKind k) {
        return k >= 0 && k < _TRANSACTION_KIND_MAX ? kind_table[k] : NULL;
}

TransactionKind transaction_kind_from_string(const char *s) {
        for (TransactionKind k = 0; s && k < _TRANSACTION_KIND_MAX; k++)
                if (streq(kind_table[k], s))
                        return k;
        return _TRANSACTION_KIND_INVALID;
}

void boot_id_read(UpdaterRoot *root, char ret[static TRANSACTION_ID_MAX]) {
        _cleanup_free_ void *data = NULL;
        sd_id128_t id;
        size_t size;

        ret[0] = '\0';
        if (root->runtime_fd < 0)
                return;
        if (file_read_at(root->runtime_fd, BOOT_NAME, TRANSACTION_ID_MAX, &data, &size) >= 0 &&
            hex_is_valid(string_strip(data), sizeof(id))) {
                memcpy(ret, string_strip(data), TRANSACTION_ID_MAX);
                return;
        }

        char line[TRANSACTION_ID_MAX + 1];
        if (sd_id128_get_boot(&id) < 0)
                return;
        hex_encode(&id, sizeof(id), line);
        strcat(line, "\n");
        if (file_write_atomic_at(root->runtime_fd, BOOT_NAME, line, strlen(line), 0600) >= 0)
                hex_encode(&id, sizeof(id), ret);
}

void release_digest(
                const uint8_t agent[static SHA256_SIZE], const uint8_t updater[static SHA256_SIZE],
                char ret[static SHA256_HEX_MAX]) {

        uint8_t both[2 * SHA256_SIZE], digest[SHA256_SIZE];

        memcpy(both, agent, SHA256_SIZE);
        memcpy(both + SHA256_SIZE, updater, SHA256_SIZE);
        sha256_bytes(both, sizeof(both), digest);
        hex_encode(digest, sizeof(digest), ret);
}

int release_digest_hex(const char *agent, const char *updater, char ret[static SHA256_HEX_MAX]) {
        uint8_t a[SHA256_SIZE], u[SHA256_SIZE];

        if (hex_decode(agent, a, sizeof(a)) < 0 || hex_decode(updater, u, sizeof(u)) < 0)
                return -EINVAL;
        release_digest(a, u, ret);
        return 0;
}

int transaction_new(
                Transaction **ret, UpdaterRoot *root, TransactionKind kind, const char *from, const char *to, const char *instruction) {

        _cleanup_(transaction_freep) Transaction *t = new0(Transaction, 1);
        uint8_t id[16];
        if (!t)
                return -ENOMEM;

        *t = (Transaction) { .kind = kind, .phase = UPDATE_PHASE_STAGING, .failed_phase = UPDATE_PHASE_STAGING, .need_connection = true };
        t->from = strdup(from);
        t->to = strdup(to);
        if (!t->from || !t->to)
                return -ENOMEM;
        if (!isempty(instruction)) {
                t->instruction = strdup(instruction);
                if (!t->instruction)
                        return -ENOMEM;
        }
        random_bytes(id, sizeof(id));
        hex_encode(id, sizeof(id), t->id);
        boot_id_read(root, t->boot_id);

        *ret = TAKE_PTR(t);
        return 0;
}

Transaction *transaction_free(Transaction *t) {
        if (!t)
                return NULL;
        free(t->instruction);
        free(t->from);
        free(t->to);
        free(t->floor);
        free(t->message);
        free(t);
        return NULL;
}

int transaction_set_verdict(Transaction *t, UpdateVerdict verdict, const char *message) {
        _cleanup_free_ char *copy = NULL;

        if (message) {
                copy = strjoinf("%.*s", (int) MESSAGE_MAX, message);
                if (!copy)
                        return -ENOMEM;
                for (char *p = copy; *p; p++) /* it comes back through a strict reader */
                        if (*p < ' ' || *p > '~')
                                *p = '?';
        }
        if (t->phase != UPDATE_PHASE_ROLLING_BACK)
                t->failed_phase = t->phase;
        t->verdict = verdict;
        free(t->message);
        t->message = TAKE_PTR(copy);
        return 0;
}

static int take_version(StateFile *s, const char *key, bool required, char **ret) {
        const char *v = state_file_get(s, key);

        if (isempty(v))
                return required ? -EBADMSG : 0;
        if (!version_is_valid(v))
                return -EBADMSG;
        char *copy = strdup(v);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

static int take_text(StateFile *s, const char *key, size_t max, char **ret) {
        const char *v = state_file_get(s, key);

        if (isempty(v))
                return 0;
        if (!string_is_safe(v, max))
                return -EBADMSG;
        char *copy = strdup(v);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

static int take_hex(StateFile *s, const char *key, size_t bytes, bool required, char *ret) {
        const char *v = state_file_get(s, key);

        if (isempty(v) && !required)
                return 0;
        if (!v || !hex_is_valid(v, bytes))
                return -EBADMSG;
        memcpy(ret, v, 2 * bytes + 1);
        return 0;
}

static int take_bool(StateFile *s, const char *key, bool *ret) {
        const char *v = state_file_get(s, key);
        int b = v ? parse_boolean(v) : 0;
        if (b < 0)
                return -EBADMSG;
        *ret = b;
        return 0;
}

static int take_u64(StateFile *s, const char *key, uint64_t *ret) {
        int r = state_file_get_u64(s, key, ret);
        return r == -ENOENT ? 0 : r < 0 ? -EBADMSG : 0;
}

int transaction_from_state(StateFile *s, Transaction **ret) {
        _cleanup_(transaction_freep) Transaction *t = new0(Transaction, 1);
        int r;
        if (!t)
                return -ENOMEM;

        t->kind = transaction_kind_from_string(state_file_get(s, "kind"));
        t->phase = update_phase_from_string(state_file_get(s, "phase"));
        t->verdict = update_verdict_from_string(state_file_get(s, "verdict") ?: "none");
        t->failed_phase = update_phase_from_string(state_file_get(s, "failed_phase") ?: "staging");
        if (t->kind < 0 || t->verdict < 0 || t->failed_phase < 0 ||
            !IN_SET(t->phase, UPDATE_PHASE_STAGING, UPDATE_PHASE_RESTARTING, UPDATE_PHASE_CONFIRMING,
                    UPDATE_PHASE_ROLLING_BACK))
                return -EBADMSG;

        if ((r = take_hex(s, "id", 16, true, t->id)) < 0 ||
            (r = take_hex(s, "boot_id", 16, false, t->boot_id)) < 0 ||
            (r = take_hex(s, "digest", SHA256_SIZE, false, t->digest)) < 0 ||
            (r = take_version(s, "from", true, &t->from)) < 0 ||
            (r = take_version(s, "to", true, &t->to)) < 0 ||
            (r = take_version(s, "floor", false, &t->floor)) < 0 ||
            (r = take_text(s, "instruction", INSTRUCTION_MAX, &t->instruction)) < 0 ||
            (r = take_text(s, "message", MESSAGE_MAX, &t->message)) < 0 ||
            (r = take_u64(s, "deadline_usec", &t->deadline_usec)) < 0 ||
            (r = take_u64(s, "attempts", &t->attempts)) < 0 ||
            (r = take_bool(s, "staged", &t->staged)) < 0 ||
            (r = take_bool(s, "need_connection", &t->need_connection)) < 0 ||
            (r = take_bool(s, "extended", &t->extended)) < 0)
                return r;

        *ret = TAKE_PTR(t);
        return 0;
}

int transaction_load(UpdaterRoot *root, Transaction **ret) {
        _cleanup_(state_file_freep) StateFile *s = NULL;

        if (root->state_fd < 0)
                return -ENOENT;
        int r = state_file_load_at(root->state_fd, RECORD_NAME, &s);
        if (r < 0)
                return r;
        return transaction_from_state(s, ret);
}

int transaction_save(UpdaterRoot *root, const Transaction *t) {
        _cleanup_(state_file_freep) StateFile *s = NULL;
        int r;

        if (root->state_fd < 0)
                return -EBADF;
        r = state_file_new(&s);
        if (r < 0)
                return r;
        if ((r = state_file_set(s, "id", t->id)) < 0 ||
            (r = state_file_set(s, "kind", transaction_kind_to_string(t->kind))) < 0 ||
            (r = state_file_set(s, "instruction", t->instruction)) < 0 ||
            (r = state_file_set(s, "from", t->from)) < 0 ||
            (r = state_file_set(s, "to", t->to)) < 0 ||
            (r = state_file_set(s, "floor", t->floor)) < 0 ||
            (r = state_file_set(s, "digest", t->digest)) < 0 ||
            (r = state_file_set(s, "boot_id", t->boot_id)) < 0 ||
            (r = state_file_set_u64(s, "deadline_usec", t->deadline_usec)) < 0 ||
            (r = state_file_set(s, "staged", yes_no(t->staged))) < 0 ||
            (r = state_file_set(s, "need_connection", yes_no(t->need_connection))) < 0 ||
            (r = state_file_set(s, "extended", yes_no(t->extended))) < 0 ||
            (r = state_file_set_u64(s, "attempts", t->attempts)) < 0 ||
            (r = state_file_set(s, "phase", update_phase_to_string(t->phase))) < 0 ||
            (r = state_file_set(s, "failed_phase", update_phase_to_string(t->failed_phase))) < 0 ||
            (r = state_file_set(s, "verdict", update_verdict_to_string(t->verdict))) < 0 ||
            (r = state_file_set(s, "message", t->message)) < 0)
                return r;
        return state_file_save_at(s, root->state_fd, RECORD_NAME, 0600);
}

int transaction_remove(UpdaterRoot *root) {
        if (root->state_fd < 0)
                return -EBADF;
        return unlink_durable_at(root->state_fd, RECORD_NAME);
}

int result_save(UpdaterRoot *root, const Transaction *t, UpdatePhase phase) {
        _cleanup_(state_file_freep) StateFile *s = NULL;
        int r;

        if (root->state_fd < 0)
                return -EBADF;
        r = state_file_new(&s);
        if (r < 0)
                return r;

        const char *failed = phase == UPDATE_PHASE_SUCCEEDED ? NULL : update_phase_to_string(t->failed_phase);
        if ((r = state_file_set(s, "transaction", t->id)) < 0 ||
            (r = state_file_set(s, "instruction", strempty(t->instruction))) < 0 ||
            (r = state_file_set(s, "from", t->from)) < 0 ||
            (r = state_file_set(s, "to", t->to)) < 0 ||
            (r = state_file_set(s, "phase", update_phase_to_string(phase))) < 0 ||
            (r = state_file_set(s, "verdict", update_verdict_to_string(t->verdict))) < 0 ||
            (r = state_file_set(
                             s, "message",
                             t->message                               ? t->message :
                             t->verdict != UPDATE_VERDICT_NONE        ? update_verdict_explain(t->verdict) :
                                                                        "")) < 0 ||
            (r = state_file_set_u64(s, "time_usec", now(CLOCK_REALTIME))) < 0 ||
            (r = state_file_set(s, "failed_phase", strempty(failed))) < 0)
                return r;
        return state_file_save_at(s, root->state_fd, RESULT_NAME, 0600);
}

int result_load(UpdaterRoot *root, StateFile **ret) {
        if (root->state_fd < 0)
                return -ENOENT;
        return state_file_load_at(root->state_fd, RESULT_NAME, ret);
}
