/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout-record.h"

#include "json.h"
#include "string-util.h"

void rollout_record_done(RolloutRecord *r) {
        free(r->version);
        free(r->description);
        free(r->actor);
        free(r->spec);
        free(r->detail);
        *r = (RolloutRecord){};
}

void rollout_member_record_done(RolloutMemberRecord *m) {
        free(m->agent);
        free(m->goal);
        free(m->from);
        free(m->instruction);
        free(m->hostname);
        free(m->os);
        free(m->kernel);
        free(m->arch);
        free(m->seen.version);
        free(m->seen.arch);
        free(m->seen.previous_version);
        free(m->seen.pinned_version);
        free(m->seen.instruction_version);
        *m = (RolloutMemberRecord){};
}

static const char *text_or_null(const char *s) {
        return isempty(s) ? NULL : s;
}

void rollout_member_record_link(RolloutMemberRecord *m) {
        m->member.agent = m->agent;
        m->member.goal = m->goal;
        m->member.from = text_or_null(m->from);
        m->view.version = text_or_null(m->seen.version);
        m->view.arch = text_or_null(m->seen.arch);
        m->view.previous_version = text_or_null(m->seen.previous_version);
        m->view.pinned_version = text_or_null(m->seen.pinned_version);
        m->view.instruction_version = text_or_null(m->seen.instruction_version);
}

void rollout_membership_done(RolloutMembership *m) {
        free(m->version);
        *m = (RolloutMembership){};
}

char *rollout_counts_format(const RolloutCounts *c) {
        _cleanup_json_ json_t *o = json_object();
        int r = o ? 0 : -ENOMEM;

        for (MemberState s = 0; r >= 0 && s < _MEMBER_STATE_MAX; s++)
                r = json_set_u64(o, member_state_to_string(s), c->n[s]);
        if (r >= 0)
                r = json_set_u64(o, "admitted", c->admitted);
        if (r >= 0)
                r = json_set_u64(o, "counted-admitted", c->counted_admitted);
        if (r >= 0)
                r = json_set_u64(o, "counted-failures", c->counted_failures);
        return r < 0 ? NULL : json_format(o, /* pretty= */ false);
}

int rollout_counts_parse(const char *text, RolloutCounts *ret) {
        _cleanup_json_ json_t *o = NULL;
        int r;

        *ret = (RolloutCounts){};
        r = json_parse(text, strlen(text), KIB(1), &o, NULL);
        for (MemberState s = 0; r >= 0 && s < _MEMBER_STATE_MAX; s++) {
                r = json_get_u64(o, member_state_to_string(s), &ret->n[s]);
                if (s != MEMBER_STATE_EXCLUDED)
                        ret->cohort += ret->n[s];
                if (member_state_is_failure(s))
                        ret->failures += ret->n[s];
        }
        if (r >= 0)
                r = json_get_u64(o, "admitted", &ret->admitted);
        if (r < 0)
                return r == -ENOMEM ? r : -EUCLEAN;
        /* written before these were kept: its next step counts anew */
        if (json_get_u64(o, "counted-admitted", &ret->counted_admitted) < 0 ||
            json_get_u64(o, "counted-failures", &ret->counted_failures) < 0) {
                ret->counted_admitted = ret->admitted;
                ret->counted_failures = ret->failures;
        }
        return 0;
}
