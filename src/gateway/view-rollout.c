/* SPDX-License-Identifier: Apache-2.0 */
#include "view-rollout.h"

#include "string-util.h"

#define EXAMPLES_MAX 10U
#define SPEC_TEXT_MAX MIB(2)
/* Batches of a preview that are shown; what lies between is told by the last. */
#define BATCHES_MAX 500U

static int first_error(int r, int s) {
        return r < 0 ? r : s;
}

#define SET(r, expr) ((r) = first_error((r), (expr)))

static int set_object(json_t *object, const char *key, json_t *v) {
        return v ? json_set_take(object, key, v) : -ENOMEM;
}

static json_t *finish(json_t *object, int r) {
        if (r >= 0)
                return object;
        json_decref(object);
        return NULL;
}

static json_t *view_counts(const RolloutCounts *c) {
        json_t *o = json_object();
        int r = o ? 0 : -ENOMEM;

        for (MemberState s = 0; o && s < _MEMBER_STATE_MAX; s++)
                SET(r, json_set_u64(o, member_state_to_string(s), c->n[s]));
        return finish(o, r);
}

/* What max_failures is compared with: those since somebody resumed it. */
static json_t *view_counted(const RolloutRecord *rollout) {
        const RolloutProgress *p = &rollout->progress;
        const RolloutCounts *c = &rollout->counts;
        json_t *o = json_object();
        int r = o ? 0 : -ENOMEM;

        SET(r, json_set_u64(o, "failures", usec_sub(c->failures, p->failures_base)));
        SET(r, json_set_u64(o, "admitted", usec_sub(c->admitted, p->admitted_base)));
        return finish(o, r);
}

json_t *view_rollout(const RolloutRecord *rollout) {
        const RolloutProgress *p = &rollout->progress;
        json_t *o = json_object();
        int r = 0;

        if (!o)
                return NULL;
        SET(r, json_set_u64(o, "id", rollout->id));
        SET(r, json_set_string(o, "kind", rollout_kind_to_string(rollout->kind)));
        if (rollout->parent > 0)
                SET(r, json_set_u64(o, "parent", rollout->parent));
        SET(r, json_set_string(o, "version", rollout->version));
        SET(r,
            json_set_string(o, "description", isempty(rollout->description) ? NULL : rollout->description));
        SET(r, json_set_string(o, "state", rollout_state_to_string(p->state)));
        SET(r, json_set_bool(o, "terminal", rollout_state_is_terminal(p->state)));
        SET(r, json_set_string(o, "reason", rollout_reason_to_string(p->reason)));
        SET(r, json_set_string(o, "reason_text", rollout_reason_explain(p->reason)));
        SET(r, json_set_string(o, "reason_detail", rollout->detail));
        if (p->state == ROLLOUT_STATE_RUNNING && p->next_look > 0)
                SET(r, view_set_time(o, "next_look", p->next_look));
        SET(r, json_set_u64(o, "batch", p->batch));
        SET(r, json_set_u64(o, "cohort", rollout->counts.cohort));
        SET(r, json_set_u64(o, "admitted", rollout->counts.admitted));
        SET(r, json_set_u64(o, "failures", rollout->counts.failures));
        SET(r, set_object(o, "counted", view_counted(rollout)));
        SET(r, set_object(o, "counts", view_counts(&rollout->counts)));
        SET(r, view_set_time(o, "created", rollout->created));
        SET(r, view_set_time(o, "updated", rollout->updated));
        SET(r, view_set_time(o, "finished", rollout->finished));
        if (p->state == ROLLOUT_STATE_PAUSED)
                SET(r, view_set_time(o, "paused_since", p->paused_since));
        SET(r, json_set_string(o, "actor", isempty(rollout->actor) ? NULL : rollout->actor));
        SET(r, json_set_u64(o, "revision", rollout->revision));
        return finish(o, r);
}

/* Longer ones hold ids by the thousand, which need not be read to be counted. */
#define SPEC_READ_MAX KIB(64)

static char *describe_target(const RolloutRecord *rollout) {
        _cleanup_json_ json_t *spec = NULL;
        uint64_t all = rollout->counts.cohort + rollout->counts.n[MEMBER_STATE_EXCLUDED];
        json_t *target, *ids;

        if (rollout->spec && strlen(rollout->spec) <= SPEC_READ_MAX &&
            json_parse(rollout->spec, strlen(rollout->spec), SPEC_READ_MAX, &spec, NULL) == -ENOMEM)
                return NULL;
        target = json_object_get(spec, "target");
        ids = json_object_get(target, "ids");
        if (json_is_true(json_object_get(target, "all")))
                return strdup("all agents");
        if (json_object_get(target, "selector"))
                return strdup(json_text(target, "selector"));
        if (json_object_get(target, "group"))
                return strjoinf("group %s", json_text(target, "group"));
        if (json_array_size(ids) == 1)
                return strjoinf("agent %s", strempty(json_string_value(json_array_get(ids, 0))));
        return strjoinf("%" PRIu64 " agents", all);
}

json_t *view_rollout_listed(const RolloutRecord *rollout) {
        _cleanup_free_ char *whom = describe_target(rollout);
        json_t *o = view_rollout(rollout);

        return finish(o, o && whom ? json_set_string(o, "target_text", whom) : -ENOMEM);
}

json_t *view_rollout_whole(const RolloutRecord *rollout) {
        _cleanup_json_ json_t *spec = NULL;
        json_t *o = view_rollout_listed(rollout);
        int r = o ? 0 : -ENOMEM;

        if (r >= 0 && rollout->spec)
                r = json_parse(rollout->spec, strlen(rollout->spec), SPEC_TEXT_MAX, &spec, NULL);
        if (r == -EBADMSG || r == -EFBIG) /* damaged: the rest of it is shown */
                r = 0;
        else if (r >= 0 && json_is_object(spec) && json_object_update(o, spec) < 0)
                r = -ENOMEM;
        return finish(o, r);
}

json_t *view_rollout_member(const RolloutMemberRecord *record) {
        const RolloutMember *m = &record->member;
        const RolloutView *v = &record->view;
        json_t *o = json_object();
        bool failed = m->reason == MEMBER_REASON_VERDICT;
        int r = 0;

        if (!o)
                return NULL;
        SET(r, json_set_string(o, "agent", record->agent));
        SET(r, json_set_string(o, "hostname", record->hostname));
        SET(r, json_set_string(o, "os", record->os));
        SET(r, json_set_string(o, "kernel", record->kernel));
        SET(r, json_set_string(o, "arch", record->arch));
        SET(r, json_set_string(o, "state", member_state_to_string(m->state)));
        if (m->reason != MEMBER_REASON_NONE && !failed) {
                SET(r, json_set_string(o, "reason", member_reason_to_string(m->reason)));
                SET(r, json_set_string(o, "reason_text", member_reason_explain(m->reason)));
        } else if (failed && m->verdict != UPDATE_VERDICT_NONE) {
                SET(r, json_set_string(o, "reason", update_verdict_to_string(m->verdict)));
                SET(r, json_set_string(o, "reason_text", update_verdict_explain(m->verdict)));
        }
        SET(r, json_set_u64(o, "position", m->position));
        SET(r, json_set_bool(o, "canary", m->canary));
        if (m->batch != ROLLOUT_BATCH_NONE)
                SET(r, json_set_u64(o, "batch", m->batch));
        SET(r, json_set_string(o, "goal", record->goal));
        SET(r, json_set_string(o, "from", isempty(record->from) ? NULL : record->from));
        SET(r, json_set_u64(o, "attempts", m->attempts));
        SET(r, json_set_string(o, "update", record->instruction));
        if (v->has_instruction)
                SET(r, json_set_string(o, "phase", update_phase_to_string(v->phase)));
        SET(r, json_set_bool(o, "online", v->online));
        SET(r, json_set_string(o, "version", v->version));
        if (m->state == MEMBER_STATE_PENDING)
                SET(r, view_set_time(o, "not_before", m->not_before));
        SET(r, view_set_time(o, "updated", m->updated));
        return finish(o, r);
}

static json_t *view_reason(const RolloutSet *set, MemberReason reason) {
        json_t *o = json_object(), *examples = json_array();
        uint64_t n = 0;
        int r = o && examples ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < set->n; i++) {
                if (set->members[i].state != MEMBER_STATE_EXCLUDED || set->members[i].reason != reason)
                        continue;
                if (n++ < EXAMPLES_MAX &&
                    json_array_append_new(examples, json_string(set->members[i].agent)) < 0)
                        r = -ENOMEM;
        }
        if (r >= 0)
                r = json_set_string(o, "reason", member_reason_to_string(reason));
        if (r >= 0)
                r = json_set_string(o, "reason_text", member_reason_explain(reason));
        if (r >= 0)
                r = json_set_u64(o, "count", n);
        if (r < 0) {
                json_decref(examples);
                return finish(o, r);
        }
        return finish(o, json_set_take(o, "examples", examples));
}

json_t *view_rollout_excluded(const RolloutSet *set) {
        json_t *list = json_array();
        bool there[_MEMBER_REASON_MAX] = {};
        int r = list ? 0 : -ENOMEM;

        for (size_t i = 0; i < set->n; i++)
                if (set->members[i].state == MEMBER_STATE_EXCLUDED)
                        there[set->members[i].reason] = true;
        for (MemberReason k = 0; r >= 0 && k < _MEMBER_REASON_MAX; k++)
                if (there[k] && json_array_append_new(list, view_reason(set, k)) < 0)
                        r = -ENOMEM;
        return finish(list, r);
}

json_t *view_rollout_preview(const RolloutPreview *p) {
        json_t *o = json_object(), *list = json_array();
        int r = 0;

        if (!o || !list) {
                json_decref(o);
                json_decref(list);
                return NULL;
        }
        SET(r, json_set_take(o, "batches", list));
        for (size_t i = 0; r >= 0 && i < p->n && i < BATCHES_MAX; i++) {
                json_t *b = json_object();

                r = b && json_array_append_new(list, b) >= 0 ? 0 : -ENOMEM;
                if (r < 0)
                        break;
                SET(r, json_set_u64(b, "batch", p->batches[i].batch));
                SET(r, view_set_time(b, "begins", p->batches[i].begins));
                SET(r, json_set_u64(b, "agents", p->batches[i].agents));
        }
        SET(r, json_set_u64(o, "batches_total", p->n));
        SET(r, view_set_time(o, "ends", p->ends));
        SET(r, json_set_u64(o, "waiting_offline", p->waiting_offline));
        SET(r, json_set_bool(o, "approvals", p->approvals));
        SET(r, json_set_bool(o, "approximate", p->approximate));
        return finish(o, r);
}
