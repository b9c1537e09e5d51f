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
                        log_error("What is desired under the number %" PRIu64 " for \"%s\" cannot be used and is "
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

static int collect_artifact(ArtifactRecord *a, void *userdata) {
        Fleet *f = userdata;
        int r;

        r = ARRAY_GROW(f->artifacts, f->n_artifacts_allocated, f->n_artifacts + 1);
        if (r < 0)
                return r;
        f->artifacts[f->n_artifacts++] = (DesiredArtifact){ .version = TAKE_PTR(a->version),
                                                            .arch = TAKE_PTR(a->arch) };
        return 0;
}

int fleet_load(Store *s, Fleet *ret) {
        int r;

        r = s->ops->desired_each(s, collect_row, ret);
        if (r < 0)
                return r;
        return s->ops->artifacts_each(s, collect_artifact, ret);
}

void fleet_done(Fleet *f) {
        for (size_t i = 0; i < f->n_rows; i++) {
                desired_record_done(&f->rows[i].record);
                selector_free(f->rows[i].selector);
        }
        for (size_t i = 0; i < f->n_artifacts; i++) {
                free(f->artifacts[i].version);
                free(f->artifacts[i].arch);
        }
        free(f->rows);
        free(f->artifacts);
        *f = (Fleet){};
}

void fleet_view_done(FleetView *v) {
        instruction_record_done(&v->outstanding);
        instruction_record_done(&v->last);
        *v = (FleetView){};
}

void fleet_order_done(FleetOrder *o) {
        free(o->instruction_id);
        free(o->version);
        *o = (FleetOrder){};
}

int fleet_decide(
                const Fleet *f,
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
                        .artifacts = f->artifacts,
                        .n_artifacts = f->n_artifacts,
                        .outstanding = ret->has_outstanding ? &ret->outstanding : NULL,
                        .last = ret->has_last ? &ret->last : NULL,
                        .policy = &rules->policy,
                        .now = now,
        });
        return 0;
}

static int order_fill(FleetOrder *o, FleetSend send, const InstructionRecord *i) {
        o->send = send;
        o->instruction_id = strdup(i->id);
        o->version = strdup(i->version);
        o->deadline = i->deadline;
        o->retry = i->retry;
        return o->instruction_id && o->version ? 0 : -ENOMEM;
}

int fleet_reconcile(
                const Fleet *f,
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
                if (v.decision.reason == DESIRED_REASON_WAITING)
                        ret->not_before = v.decision.not_before;
                return 0;
        case DESIRED_ACTION_CANCEL:
                r = instruction_request_cancel(j, s, i, now);
                if (r < 0)
                        return r;
                if (!update_phase_is_terminal(i->phase))
                        return order_fill(ret, FLEET_SEND_CANCEL, i);
                ret->not_before = now;       /* gone at once: what is wanted instead? */
                return 0;
        case DESIRED_ACTION_INSTRUCT:
                r = instruction_create(
                                j, s, a, &v.choice.row->record, v.decision.attempt, v.decision.retry, now,
                                rules->lease, &created);
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
