/* SPDX-License-Identifier: Apache-2.0 */
#include "instruction.h"

#include "alloc-util.h"
#include "crypto.h"
#include "hex.h"
#include "log.h"
#include "messages.h"
#include "string-util.h"
#include "view.h"

#define EXPIRE_MAX 256U
#define KEPT_PER_AGENT 50U

void instruction_status_done(InstructionStatus *s) {
        free(s->instruction_id);
        free(s->agent);
        free(s->from_version);
        free(s->message);
        *s = (InstructionStatus){};
}

static int instruction_store(StoreJob *j, Store *s, InstructionRecord *i, bool progress, usec_t now) {
        int r;

        i->updated = now;
        r = s->ops->instruction_put(s, i);
        if (r < 0)
                return r;
        return store_job_emit(j, s, "update", i->agent, view_event_text(view_instruction(i)), progress, now);
}

static int instruction_log(StoreJob *j, const InstructionRecord *i) {
        bool bad = IN_SET(i->phase, UPDATE_PHASE_ROLLED_BACK, UPDATE_PHASE_FAILED, UPDATE_PHASE_TIMED_OUT);

        return store_job_log(
                        j, bad ? LOG_WARNING : LOG_INFO,
                        i->phase == UPDATE_PHASE_TIMED_OUT ? FLEET_MESSAGE_LEASE_EXPIRED_STR :
                                                             FLEET_MESSAGE_UPDATE_PHASE_STR,
                        "MESSAGE=Agent %s: update to %s: %s%s%s%s%s", i->agent, i->version,
                        update_phase_title(i->phase), i->verdict != UPDATE_VERDICT_NONE ? ", " : "",
                        i->verdict != UPDATE_VERDICT_NONE ? update_verdict_to_string(i->verdict) : "",
                        isempty(i->message) ? "" : ": ", strempty(i->message), "FLEET_AGENT_ID=%s", i->agent,
                        "FLEET_VERSION=%s", i->version, "FLEET_PHASE=%s", update_phase_to_string(i->phase),
                        "FLEET_VERDICT=%s", update_verdict_to_string(i->verdict), "FLEET_INSTRUCTION=%s",
                        i->id, NULL);
}

int instruction_note_ended(StoreJob *j, const InstructionRecord *i) {
        return store_job_note(
                        j, &(StoreNote){
                                           .kind = STORE_NOTE_UPDATE_ENDED,
                                           .text = update_phase_to_string(i->phase),
                                           .also = update_phase_to_string(i->failed_phase),
                                           .span = usec_sub(i->finished, i->created),
                           });
}

/* The one place where a phase changes. */
static int
instruction_set_phase(StoreJob *j, Store *s, InstructionRecord *i, UpdatePhase phase, usec_t now) {
        int r;

        i->phase = phase;
        i->finished = update_phase_is_terminal(phase) ? now : 0;
        r = instruction_store(j, s, i, /* progress= */ false, now);
        if (r >= 0 && update_phase_is_terminal(phase))
                r = instruction_note_ended(j, i);
        if (r >= 0)
                r = s->ops->instruction_phase_put(s, i->number, phase, now);
        return r < 0 ? r : instruction_log(j, i);
}

int instruction_create(
                StoreJob *j,
                Store *s,
                const InstructionOrder *order,
                usec_t now,
                usec_t lease,
                InstructionRecord *ret) {

        _cleanup_(instruction_record_done) InstructionRecord i = {
                .desired = order->desired,
                .generation = order->generation,
                .rollout = order->rollout,
                .attempt = order->attempt,
                .failed_phase = _UPDATE_PHASE_INVALID,
                .retry = order->retry,
                .back = order->back,
                .created = now,
                .deadline = usec_add(now, lease),
        };
        uint8_t id[INSTRUCTION_ID_SIZE];
        int r;

        random_bytes(id, sizeof(id));
        i.id = hex_encode_new(id, sizeof(id));
        i.agent = strdup(order->agent);
        i.version = strdup(order->version);
        i.from_version = strdup(strempty(order->from_version));
        if (!i.id || !i.agent || !i.version || !i.from_version)
                return -ENOMEM;
        r = instruction_set_phase(j, s, &i, UPDATE_PHASE_QUEUED, now);
        if (r >= 0)
                r = s->ops->instructions_prune(s, i.agent, KEPT_PER_AGENT);
        if (r < 0)
                return r;
        *ret = TAKE_GENERIC(i, InstructionRecord, (InstructionRecord){});
        return 0;
}

int instruction_offered(StoreJob *j, Store *s, InstructionRecord *i, usec_t now) {
        if (i->phase != UPDATE_PHASE_QUEUED)
                return 0;
        return instruction_set_phase(j, s, i, UPDATE_PHASE_OFFERED, now);
}

int instruction_request_cancel(StoreJob *j, Store *s, InstructionRecord *i, usec_t now) {
        if (i->phase == UPDATE_PHASE_QUEUED) /* nobody has heard of it */
                return instruction_set_phase(j, s, i, UPDATE_PHASE_CANCELLED, now);
        if (i->cancel_requested)
                return 0;
        i->cancel_requested = true;
        return instruction_store(j, s, i, /* progress= */ false, now);
}

static bool status_is_news(const InstructionRecord *i, const InstructionStatus *st) {
        if (update_phase_can_follow(i->phase, st->phase))
                return true;
        if (i->phase == st->phase) /* progress within a phase */
                return !update_phase_is_terminal(i->phase) && st->sequence > i->sequence;
        /* The machine knows best how it ended, even where that should not have been possible. */
        return !update_phase_is_terminal(i->phase) && update_phase_is_terminal(st->phase) &&
               st->phase != UPDATE_PHASE_TIMED_OUT;
}

static int status_copy(InstructionRecord *i, const InstructionStatus *st) {
        int r;

        i->sequence = MAX(i->sequence, st->sequence);
        i->verdict = st->verdict;
        i->failed_phase = st->failed_phase;
        i->bytes_done = st->bytes_done;
        i->bytes_total = st->bytes_total;
        r = free_and_strdup(&i->message, isempty(st->message) ? NULL : st->message);
        if (r >= 0 && !isempty(st->from_version))
                r = free_and_strdup(&i->from_version, st->from_version);
        return r < 0 ? r : 0;
}

/* A machine that goes on with an instruction whose lease ended gets a new lease, unless it was given another
 * since. */
static int revive(Store *s, InstructionRecord *i, usec_t now, usec_t lease) {
        _cleanup_(instruction_record_done) InstructionRecord other = {};
        int r;

        r = s->ops->instruction_outstanding(s, i->agent, &other);
        if (r != -ENOENT)
                return r < 0 ? r : 0;
        i->deadline = usec_add(now, lease);
        return 1;
}

int instruction_apply_status(
                StoreJob *j,
                Store *s,
                const InstructionStatus *st,
                usec_t now,
                usec_t lease,
                uint64_t *ret_rollout) {

        _cleanup_(instruction_record_done) InstructionRecord i = {};
        bool same_phase;
        int r;

        r = s->ops->instruction_get(s, st->instruction_id, &i);
        if (r < 0)
                return r;
        if (!streq(i.agent, st->agent))
                return -ENOENT;
        if (ret_rollout)
                *ret_rollout = i.rollout;
        if (!status_is_news(&i, st))
                return 0;
        if (update_phase_is_terminal(i.phase) && !update_phase_is_terminal(st->phase)) {
                r = revive(s, &i, now, lease);
                if (r <= 0)
                        return r;
        }

        same_phase = i.phase == st->phase;
        r = status_copy(&i, st);
        if (r < 0)
                return r;
        if (same_phase)
                return instruction_store(j, s, &i, /* progress= */ true, now);
        r = instruction_set_phase(j, s, &i, st->phase, now);
        if (r >= 0 && i.phase == UPDATE_PHASE_SUCCEEDED && !isempty(i.from_version) &&
            !streq(i.from_version, i.version))
                r = s->ops->agent_moved(s, i.agent, i.from_version, i.version);
        if (r < 0)
                return r;
        return update_phase_is_terminal(i.phase) ? 1 : 0;
}

typedef struct Expired {
        InstructionRecord *items;
        size_t n, n_allocated;
} Expired;

static void expired_done(Expired *e) {
        for (size_t k = 0; k < e->n; k++)
                instruction_record_done(&e->items[k]);
        free(e->items);
        *e = (Expired){};
}

static int expired_collect(InstructionRecord *i, void *userdata) {
        Expired *e = userdata;
        int r;

        r = ARRAY_GROW(e->items, e->n_allocated, e->n + 1);
        if (r < 0)
                return r;
        e->items[e->n++] = TAKE_GENERIC(*i, InstructionRecord, (InstructionRecord){});
        return 0;
}

int instruction_expire(StoreJob *j, Store *s, usec_t now, usec_t lease) {
        _cleanup_(expired_done) Expired expired = {};
        int r;

        r = s->ops->instructions_cap_deadline(s, usec_add(now, lease));
        if (r < 0)
                return r;
        r = s->ops->instructions_each(
                        s, &(InstructionFilter){ .expired_before = now, .limit = EXPIRE_MAX },
                        expired_collect, &expired);
        if (r < 0)
                return r;
        for (size_t k = 0; k < expired.n; k++) {
                InstructionRecord *i = &expired.items[k];

                i->failed_phase = i->phase;
                r = free_and_strdup(&i->message, "The machine did not say in time how the update went.");
                if (r < 0)
                        return r;
                r = instruction_set_phase(j, s, i, UPDATE_PHASE_TIMED_OUT, now);
                if (r < 0)
                        return r;
        }
        return (int) expired.n;
}
