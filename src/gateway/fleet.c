/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet.h"

#include "alloc-util.h"
#include "instruction.h"
#include "log.h"
#include "string-util.h"

static int collect_row(DesiredRecord *d, void *userdata) {
        Fleet *f = userdata;
        DesiredRow *row;
        int r;

        r = ARRAY_GROW(f->rows, f->n_rows_allocated, f->n_rows + 1);
        if (r < 0)
                return r;
        row = &f->rows[f->n_rows];
        *row = (DesiredRow){};
        if (d->kind == DESIRED_KIND_SELECTOR) {
                _cleanup_free_ char *why = NULL;

                r = selector_parse(d->target, &row->selector, &why);
                if (r == -EINVAL) {
                        /* of an older gateway, or damaged: that must not stop the rest of the fleet */
                        log_error("What is desired under the number %" PRIu64
                                  " for \"%s\" cannot be used and is "
                                  "left out, delete it and set it anew: %s",
                                  d->id, d->target, why);
                        return 0;
                }
                if (r < 0)
                        return r;
        }
        row->record = TAKE_GENERIC(*d, DesiredRecord, (DesiredRecord){});
        f->n_rows++;
        return 0;
}

static int collect_release(ReleaseRecord *rel, void *userdata) {
        Fleet *f = userdata;
        int r;

        r = ARRAY_GROW(f->kept, f->n_kept_allocated, f->n_kept + 1);
        if (r < 0)
                return r;
        f->kept[f->n_kept++] = (FleetRelease){ .version = TAKE_PTR(rel->version),
                                               .requires = TAKE_PTR(rel->requires),
                                               .floor = TAKE_PTR(rel->floor) };
        return 0;
}

static int collect_artifact(ArtifactRecord *a, void *userdata) {
        Fleet *f = userdata;

        for (size_t i = 0; i < f->n_kept; i++)
                if (streq(f->kept[i].version, a->version))
                        return strv_contains(f->kept[i].archs, a->arch) ?
                                               0 :
                                               strv_extend(&f->kept[i].archs, a->arch);
        return 0;
}

static const char *text_or_null(const char *s) {
        return isempty(s) ? NULL : s;
}

int fleet_load(Store *s, Fleet *ret) {
        int r;

        r = s->ops->desired_each(s, collect_row, ret);
        if (r >= 0)
                r = s->ops->releases_each(s, collect_release, ret);
        if (r >= 0)
                r = s->ops->artifacts_each(s, collect_artifact, ret);
        if (r < 0)
                return r;
        ret->releases = new0(ReleaseInfo, ret->n_kept);
        if (!ret->releases)
                return -ENOMEM;
        for (size_t i = 0; i < ret->n_kept; i++)
                ret->releases[i] = (ReleaseInfo){ .version = ret->kept[i].version,
                                                  .requires = text_or_null(ret->kept[i].requires),
                                                  .floor = text_or_null(ret->kept[i].floor),
                                                  .archs = ret->kept[i].archs };
        ret->n_releases = ret->n_kept;
        return 0;
}

void fleet_done(Fleet *f) {
        for (size_t i = 0; i < f->n_rows; i++) {
                desired_record_done(&f->rows[i].record);
                selector_free(f->rows[i].selector);
        }
        for (size_t i = 0; i < f->n_kept; i++) {
                free(f->kept[i].version);
                free(f->kept[i].requires);
                free(f->kept[i].floor);
                strv_free(f->kept[i].archs);
        }
        free(f->rows);
        free(f->kept);
        free(f->releases);
        *f = (Fleet){};
}

void fleet_view_done(FleetView *v) {
        instruction_record_done(&v->outstanding);
        instruction_record_done(&v->last);
        rollout_membership_done(&v->membership);
        *v = (FleetView){};
}

void fleet_order_done(FleetOrder *o) {
        free(o->instruction_id);
        free(o->version);
        *o = (FleetOrder){};
}

/* How many are under way without anybody who leads them, and how the row's version has fared. */
static int fleet_look_at_load(Fleet *f, Store *s, const DesiredRecord *d) {
        int r = 0;

        if (!f->has_standing) {
                r = s->ops->instructions_standing(s, &f->standing);
                f->has_standing = r >= 0;
        }
        if (r >= 0 && f->tallied != d->id) {
                r = s->ops->desired_tally(s, d->id, d->generation, &f->sent, &f->failed);
                f->tallied = r >= 0 ? d->id : 0;
        }
        return r;
}

static int fleet_limit(Fleet *f, Store *s, const FleetRules *rules, usec_t now, FleetView *v) {
        const DesiredRecord *d = v->choice.row ? &v->choice.row->record : NULL;
        int r;

        if (v->decision.action != DESIRED_ACTION_INSTRUCT || d->kind == DESIRED_KIND_AGENT)
                return 0;
        r = fleet_look_at_load(f, s, d);
        if (r < 0)
                return r;
        v->decision =
                        desired_limit(v->decision, d->kind,
                                      &(DesiredLoad){ .standing = f->standing,
                                                      .standing_max = rules->standing_max,
                                                      .sent = f->sent,
                                                      .failed = f->failed },
                                      now);
        return 0;
}

int fleet_decide(
                Fleet *f,
                Store *s,
                const AgentRecord *a,
                bool connected,
                const FleetRules *rules,
                usec_t now,
                FleetView *ret) {

        int r;

        ret->choice = desired_choose(a, f->rows, f->n_rows);
        r = s->ops->instruction_outstanding(s, a->id, &ret->outstanding);
        if (r < 0 && r != -ENOENT)
                return r;
        ret->has_outstanding = r >= 0;
        r = s->ops->rollout_membership(s, a->id, &ret->membership);
        if (r < 0 && r != -ENOENT)
                return r;
        ret->in_rollout = r >= 0;
        if (ret->choice.row) {
                const DesiredRecord *d = &ret->choice.row->record;

                r = s->ops->instruction_last_for(s, a->id, d->id, d->generation, &ret->last);
                if (r < 0 && r != -ENOENT)
                        return r;
                ret->has_last = r >= 0;
        }
        ret->decision = desired_decide(&(DesiredInput){
                        .agent = a,
                        .connected = connected,
                        .choice = ret->choice,
                        .in_rollout = ret->in_rollout,
                        .releases = f->releases,
                        .n_releases = f->n_releases,
                        .outstanding = ret->has_outstanding ? &ret->outstanding : NULL,
                        .last = ret->has_last ? &ret->last : NULL,
                        .policy = &rules->policy,
                        .now = now,
        });
        return fleet_limit(f, s, rules, now, ret);
}

static int order_fill(FleetOrder *o, FleetSend send, const InstructionRecord *i) {
        o->send = send;
        o->instruction_id = strdup(i->id);
        o->version = strdup(i->version);
        o->deadline = i->deadline;
        o->retry = i->retry;
        o->back = i->back;
        return o->instruction_id && o->version ? 0 : -ENOMEM;
}

int fleet_order_instruct(FleetOrder *o, const InstructionRecord *i) {
        o->not_before = USEC_INFINITY;
        return order_fill(o, FLEET_SEND_INSTRUCTION, i);
}

static int
fleet_instruct(Fleet *f,
               StoreJob *j,
               Store *s,
               const AgentRecord *a,
               const FleetView *v,
               const FleetRules *rules,
               usec_t now,
               InstructionRecord *ret) {

        const DesiredRecord *d = &v->choice.row->record;

        f->standing += d->kind != DESIRED_KIND_AGENT;
        return instruction_create(
                        j, s,
                        &(InstructionOrder){ .agent = a->id,
                                             .from_version = a->version,
                                             .version = v->decision.version,
                                             .desired = d->id,
                                             .generation = d->generation,
                                             .attempt = v->decision.attempt,
                                             .retry = v->decision.retry },
                        now, rules->lease, ret);
}

int fleet_reconcile(
                Fleet *f,
                StoreJob *j,
                Store *s,
                const AgentRecord *a,
                const FleetRules *rules,
                usec_t now,
                FleetOrder *ret) {

        _cleanup_(fleet_view_done) FleetView v = {};
        _cleanup_(instruction_record_done) InstructionRecord created = {};
        InstructionRecord *i = &v.outstanding;
        int r;

        ret->not_before = USEC_INFINITY;
        r = fleet_decide(f, s, a, /* connected= */ true, rules, now, &v);
        if (r < 0)
                return r;

        switch (v.decision.action) {
        case DESIRED_ACTION_NOTHING:
                if (v.decision.not_before > 0)
                        ret->not_before = v.decision.not_before;
                return 0;
        case DESIRED_ACTION_CANCEL:
                r = instruction_request_cancel(j, s, i, now);
                if (r < 0)
                        return r;
                if (!update_phase_is_terminal(i->phase))
                        return order_fill(ret, FLEET_SEND_CANCEL, i);
                ret->not_before = now; /* gone at once: what is wanted instead? */
                return 0;
        case DESIRED_ACTION_INSTRUCT:
                r = fleet_instruct(f, j, s, a, &v, rules, now, &created);
                if (r < 0)
                        return r;
                i = &created;
                break;
        case DESIRED_ACTION_REPEAT:
                break;
        }
        ret->is_new = i->phase == UPDATE_PHASE_QUEUED;
        r = instruction_offered(j, s, i, now);
        if (r < 0)
                return r;
        return order_fill(ret, FLEET_SEND_INSTRUCTION, i);
}
