/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout-park.h"

#include "alloc-util.h"
#include "log.h"
#include "string-util.h"

bool rollout_error_is_its_own(int error) {
        return error < 0 &&
               !IN_SET(-error, ENOMEM, ENOBUFS, ENOSPC, EROFS, EIO, EACCES, EBUSY, EINTR, EMFILE, ENFILE);
}

const char *rollout_trouble(const char *unreadable, int error) {
        if (unreadable)
                return unreadable;
        switch (error) {
        case -EUCLEAN:
                return "What the database has about it is damaged, or was written by a newer fleet-gatewayd.";
        case -EEXIST:
                return "The database refuses what would follow: it breaks a rule that keeps rollouts apart.";
        default:
                return "Its next step cannot be made; the gateway's journal has more with LogLevel=debug.";
        }
}

/* ---- one among many ---- */

static int park(RolloutContext *c, uint64_t id, int error) {
        _cleanup_(rollout_set_done) RolloutSet set = {};
        RolloutRecord *r = &set.record;
        RolloutProgress before;
        const char *trouble;
        int k;

        k = c->store->ops->rollout_get(c->store, id, r);
        if (k >= 0)
                k = rollout_set_read_spec(&set);
        if (k < 0)
                return k == -ENOENT ? 0 : k;
        trouble = rollout_trouble(set.unreadable, error);
        before = r->progress;
        if (rollout_state_is_terminal(before.state)) {
                (void) log_warning_errno(
                                error, "Cannot take in what was said late about rollout %" PRIu64 ", ignoring: %s", id,
                                trouble);
                return 0;
        }
        if (before.state == ROLLOUT_STATE_ABORTING)
                k = c->store->ops->rollout_let_go(c->store, id, c->now);
        else if (before.reason == ROLLOUT_REASON_STEP_FAILED && streq_ptr(r->detail, trouble) && !r->damaged)
                return 0;
        else
                k = c->store->ops->rollout_park(c->store, id, trouble, c->now);
        if (k < 0)
                return k;
        if (r->damaged) /* it was only read as parked */
                before.reason = ROLLOUT_REASON_UPDATING;
        rollout_record_done(r);
        k = c->store->ops->rollout_get(c->store, id, r);
        return k < 0 ? k : rollout_work_tell(c, r, &before);
}

int rollout_step_alone(RolloutContext *c, uint64_t id, bool look_for_new) {
        size_t n_orders = c->orders->n;
        StoreJobPart part;
        int r, k;

        r = store_job_part_begin(c->job, c->store, &part);
        if (r < 0)
                return r;
        r = rollout_work_step(c, id, look_for_new);
        if (r >= 0)
                return store_job_part_keep(c->store);
        rollout_orders_cut(c->orders, n_orders);
        k = store_job_part_take_back(c->job, c->store, &part);
        if (k < 0)
                return k;
        return rollout_error_is_its_own(r) ? park(c, id, r) : r;
}

/* ---- its end ---- */

static int let_go(RolloutContext *c, RolloutSet *set, uint64_t *ret_concerned) {
        RolloutProgress before = set->record.progress;
        uint64_t id = set->record.id;
        int r;

        *ret_concerned = set->record.counts.n[MEMBER_STATE_PENDING];
        r = c->store->ops->rollout_let_go(c->store, id, c->now);
        if (r < 0)
                return r;
        rollout_record_done(&set->record);
        r = c->store->ops->rollout_get(c->store, id, &set->record);
        return r < 0 ? r : rollout_work_tell(c, &set->record, &before);
}

int rollout_abort_anyway(RolloutContext *c, RolloutSet *set, int load, uint64_t *ret_concerned) {
        size_t n_orders = c->orders->n;
        StoreJobPart part;
        int r, k;

        if (!IN_SET(set->record.progress.state, ROLLOUT_STATE_RUNNING, ROLLOUT_STATE_PAUSED))
                return -EBUSY;
        if (load < 0)
                return rollout_error_is_its_own(load) ? let_go(c, set, ret_concerned) : load;
        r = store_job_part_begin(c->job, c->store, &part);
        if (r < 0)
                return r;
        r = rollout_work_verb(c, set, ROLLOUT_VERB_ABORT, ret_concerned);
        if (r >= 0)
                return store_job_part_keep(c->store);
        rollout_orders_cut(c->orders, n_orders);
        k = store_job_part_take_back(c->job, c->store, &part);
        if (k < 0)
                return k;
        return rollout_error_is_its_own(r) ? let_go(c, set, ret_concerned) : r;
}
