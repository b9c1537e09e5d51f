/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "alloc-util.h"
#include "rollout.h"
#include "string-util.h"

#define LONGEST (366 * USEC_PER_DAY)

/* What "ten or a tenth", "10 %" or nothing at all means for this many agents. */
static void settle_amounts(RolloutSpec *s, uint64_t cohort) {
        if (!s->canary.ids) {
                uint64_t n = rollout_canaries(s, cohort);

                if (s->canary.amount.is_share)
                        s->canary.amount = (RolloutAmount){ .value = (uint32_t) n };
                s->canary.at_most = 0;
        }
        if (s->batch.amount.is_share)
                s->batch.amount = (RolloutAmount){ .value = (uint32_t) rollout_batch_size(
                                                                   s, UINT32_MAX, cohort) };
        if (s->max_in_flight == 0)
                s->max_in_flight = s->batch.amount.value;
}

static uint64_t batches_needed(const RolloutSpec *s, uint64_t cohort) {
        uint64_t left = usec_sub(cohort, rollout_canaries(s, cohort)), n = 0;

        while (left > 0 && n < s->batch.n_ramp) {
                left = usec_sub(left, s->batch.ramp[n]);
                n++;
        }
        return n + (left + s->batch.amount.value - 1) / s->batch.amount.value;
}

int rollout_spec_settle(RolloutSpec *s, uint64_t cohort, const char **reterr_pointer, char **reterr_detail) {
        uint64_t batches, rest;
        usec_t each;

        if (!s->canary.amount.is_share && s->canary.amount.value > cohort) {
                *reterr_pointer = "/canary/count";
                *reterr_detail =
                                strjoinf("%" PRIu32 " canaries cannot be drawn from %" PRIu64 " agents.",
                                         s->canary.amount.value, cohort);
                return *reterr_detail ? -EINVAL : -ENOMEM;
        }
        settle_amounts(s, cohort);
        if (s->canary.approval && rollout_canaries(s, cohort) == 0) {
                *reterr_pointer = "/canary/approval";
                *reterr_detail = strdup(
                                "An approval after the canaries is never asked for when there are none.");
                return *reterr_detail ? -EINVAL : -ENOMEM;
        }
        batches = batches_needed(s, cohort);
        each = usec_add(s->batch.period, s->batch.soak);
        rest = batches > 0 ? batches - 1 : 0;
        if (each > 0 && rest > LONGEST / each) {
                *reterr_pointer = "/batch";
                *reterr_detail = strjoinf(
                                "%" PRIu64 " batches would take longer than a year; make them larger or the "
                                "period shorter.",
                                batches);
                return *reterr_detail ? -EINVAL : -ENOMEM;
        }
        return 0;
}

int rollout_check_end(
                const RolloutProgress *p,
                const RolloutInput *in,
                usec_t update_takes,
                const char **reterr_pointer,
                char **reterr_detail) {

        _cleanup_free_ RolloutView *views = memdup(in->views, in->n * sizeof(RolloutView));
        _cleanup_(rollout_preview_done) RolloutPreview preview = {};
        RolloutInput all = *in;
        int r;

        if (!views)
                return -ENOMEM;
        for (size_t i = 0; i < in->n; i++)
                views[i].online = views[i].version;
        all.views = views;
        r = rollout_preview(p, &all, update_takes, &preview);
        if (r < 0 || usec_sub(preview.ends, in->now) <= LONGEST)
                return r;
        *reterr_pointer = in->spec->n_windows > 0 ? "/windows" : "/batch";
        *reterr_detail = strdup(in->spec->n_windows > 0 ?
                                                "With these windows it would take longer than a year; make them "
                                                "longer, or the batches larger, or the period shorter." :
                                                "It would take longer than a year; make the batches larger, or the "
                                                "period shorter.");
        return *reterr_detail ? -EINVAL : -ENOMEM;
}
