/* SPDX-License-Identifier: Apache-2.0 */
#include "view.h"

#include "string-util.h"

/* Members are set in a row and the failures added up: any of them can only be lack of memory. */
static json_t *finish(json_t *object, int r) {
        if (r >= 0)
                return object;
        json_decref(object);
        return NULL;
}

static int first_error(int r, int s) {
        return r < 0 ? r : s;
}

#define SET(r, expr) ((r) = first_error((r), (expr)))

static int set_text(json_t *object, const char *key, const char *v) {
        return json_set_string(object, key, isempty(v) ? NULL : v);
}

int view_set_time(json_t *object, const char *key, usec_t t) {
        char buf[RFC3339_MAX];

        return t == 0 || t == USEC_INFINITY ? 0 : json_set_string(object, key, rfc3339_format(t, buf));
}

json_t *view_labels(const Labels *l) {
        json_t *o = json_object();
        int r = o ? 0 : -ENOMEM;

        for (size_t i = 0; o && i < l->n; i++)
                SET(r, json_set_string(o, l->items[i].key, l->items[i].value));
        return finish(o, r);
}

static int set_object(json_t *object, const char *key, json_t *v) {
        return v ? json_set_take(object, key, v) : -ENOMEM;
}

static json_t *view_facts(const AgentFacts *f) {
        json_t *o = json_object();
        int r = o ? 0 : -ENOMEM;

        if (!o)
                return NULL;
        SET(r, set_text(o, "hostname", f->hostname));
        SET(r, set_text(o, "os", f->os_id));
        SET(r, set_text(o, "os_version", f->os_version_id));
        SET(r, set_text(o, "os_name", f->os_pretty_name));
        SET(r, set_text(o, "kernel", f->kernel));
        SET(r, set_text(o, "arch", f->architecture));
        SET(r, set_text(o, "boot_id", f->boot_id));
        if (f->packaging > 0)
                SET(r, json_set_u64(o, "packaging", f->packaging));
        return finish(o, r);
}

json_t *view_agent(const AgentRecord *a) {
        json_t *o = json_object();
        int r = 0;

        if (!o)
                return NULL;
        SET(r, json_set_string(o, "id", a->id));
        SET(r, json_set_string(o, "state", agent_state_to_string(a->state)));
        SET(r, set_text(o, "version", a->version));
        SET(r, set_text(o, "previous_version", a->previous_version));
        SET(r, set_object(o, "labels", view_labels(&a->labels)));
        SET(r, set_object(o, "facts", view_facts(&a->facts)));
        SET(r, json_set_bool(o, "pinned", a->pinned));
        SET(r, set_text(o, "pinned_version", a->pinned ? a->pinned_version : NULL));
        SET(r, json_set_bool(o, "clone_suspected", a->clone_suspected));
        SET(r, view_set_time(o, "metadata_expires", a->metadata_expires));
        SET(r, view_set_time(o, "enrolled", a->enrolled));
        SET(r, view_set_time(o, "last_seen", a->last_seen));
        SET(r, view_set_time(o, "connected", a->connected));
        SET(r, set_text(o, "address", a->address));
        SET(r, json_set_u64(o, "revision", a->revision));
        return finish(o, r);
}

json_t *view_agent_narrow(const AgentRecord *a) {
        json_t *o = json_object();
        int r = 0;

        if (!o)
                return NULL;
        SET(r, json_set_string(o, "id", a->id));
        SET(r, set_text(o, "hostname", a->facts.hostname));
        SET(r, json_set_string(o, "state", agent_state_to_string(a->state)));
        SET(r, set_text(o, "version", a->version));
        SET(r, set_text(o, "os", a->facts.os_id));
        SET(r, set_text(o, "arch", a->facts.architecture));
        SET(r, set_text(o, "kernel", a->facts.kernel));
        SET(r, set_object(o, "labels", view_labels(&a->labels)));
        if (a->update_version) {
                SET(r, set_text(o, "update_phase", update_phase_to_string(a->update_phase)));
                SET(r, set_text(o, "update_version", a->update_version));
        }
        if (a->pinned)
                SET(r, json_set_bool(o, "pinned", true));
        if (a->clone_suspected)
                SET(r, json_set_bool(o, "clone_suspected", true));
        SET(r, view_set_time(o, "enrolled", a->enrolled));
        SET(r, view_set_time(o, "connected", a->connected));
        SET(r, view_set_time(o, "last_seen", a->last_seen));
        SET(r, json_set_u64(o, "revision", a->revision));
        return finish(o, r);
}

json_t *view_instruction(const InstructionRecord *i) {
        json_t *o = json_object();
        int r = 0;

        if (!o)
                return NULL;
        SET(r, json_set_string(o, "id", i->id));
        SET(r, json_set_string(o, "agent", i->agent));
        if (i->rollout > 0)
                SET(r, json_set_u64(o, "rollout", i->rollout));
        else {
                SET(r, json_set_u64(o, "desired", i->desired));
                SET(r, json_set_u64(o, "generation", i->generation));
        }
        if (i->back)
                SET(r, json_set_bool(o, "back", true));
        SET(r, json_set_u64(o, "attempt", i->attempt));
        SET(r, json_set_string(o, "version", i->version));
        SET(r, set_text(o, "from_version", i->from_version));
        SET(r, json_set_string(o, "phase", update_phase_to_string(i->phase)));
        SET(r, json_set_string(o, "title", update_phase_title(i->phase)));
        SET(r, json_set_bool(o, "terminal", update_phase_is_terminal(i->phase)));
        if (i->phase == UPDATE_PHASE_DOWNLOADING && i->bytes_total > 0) {
                SET(r, json_set_u64(o, "bytes_done", i->bytes_done));
                SET(r, json_set_u64(o, "bytes_total", i->bytes_total));
        }
        if (i->verdict != UPDATE_VERDICT_NONE) {
                SET(r, json_set_string(o, "verdict", update_verdict_to_string(i->verdict)));
                SET(r, json_set_string(o, "verdict_text", update_verdict_explain(i->verdict)));
        }
        SET(r, json_set_string(o, "failed_phase", update_phase_to_string(i->failed_phase)));
        SET(r, set_text(o, "message", i->message));
        SET(r, json_set_bool(o, "retry", i->retry));
        SET(r, view_set_time(o, "created", i->created));
        SET(r, view_set_time(o, "updated", i->updated));
        SET(r, view_set_time(o, "deadline", i->deadline));
        SET(r, view_set_time(o, "finished", i->finished));
        return finish(o, r);
}

json_t *view_desired(const DesiredRecord *d) {
        json_t *o = json_object();
        int r = 0;

        if (!o)
                return NULL;
        SET(r, json_set_u64(o, "id", d->id));
        SET(r, json_set_string(o, "by", desired_kind_to_string(d->kind)));
        if (d->kind != DESIRED_KIND_ALL)
                SET(r, json_set_string(o, desired_kind_to_string(d->kind), d->target));
        SET(r, json_set_string(o, "version", d->version));
        SET(r, json_set_u64(o, "generation", d->generation));
        SET(r, view_set_time(o, "created", d->created));
        SET(r, view_set_time(o, "updated", d->updated));
        SET(r, set_text(o, "actor", d->actor));
        return finish(o, r);
}

json_t *view_group(const GroupRecord *g) {
        json_t *o = json_object();
        int r = 0;

        if (!o)
                return NULL;
        SET(r, json_set_string(o, "name", g->name));
        SET(r, json_set_string(o, "selector", g->selector));
        SET(r, set_text(o, "description", g->description));
        SET(r, view_set_time(o, "created", g->created));
        SET(r, view_set_time(o, "updated", g->updated));
        SET(r, json_set_u64(o, "revision", g->revision));
        return finish(o, r);
}

json_t *view_release(const ReleaseRecord *rel) {
        json_t *o = json_object();
        int r = 0;

        if (!o)
                return NULL;
        SET(r, json_set_string(o, "version", rel->version));
        SET(r, json_set_string(o, "product", rel->product));
        SET(r, view_set_time(o, "imported", rel->imported));
        SET(r, set_text(o, "floor", rel->floor));
        SET(r, set_text(o, "requires", rel->requires));
        if (rel->requires_packaging > 0)
                SET(r, json_set_u64(o, "requires_packaging", rel->requires_packaging));
        SET(r, set_text(o, "severity", rel->severity));
        return finish(o, r);
}

json_t *view_artifact(const ArtifactRecord *a) {
        json_t *o = json_object();
        int r = 0;

        if (!o)
                return NULL;
        SET(r, json_set_string(o, "path", a->path));
        SET(r, json_set_string(o, "arch", a->arch));
        SET(r, json_set_string(o, "os", a->os));
        SET(r, json_set_u64(o, "length", a->length));
        SET(r, json_set_string(o, "sha256", a->sha256));
        return finish(o, r);
}

json_t *view_join_token(const JoinToken *t) {
        json_t *o = json_object();
        int r = 0;

        if (!o)
                return NULL;
        SET(r, json_set_string(o, "id", t->id));
        SET(r, json_set_u64(o, "uses", t->uses));
        SET(r, json_set_u64(o, "uses_left", t->uses_left));
        SET(r, view_set_time(o, "created", t->created));
        SET(r, view_set_time(o, "expires", t->expires));
        SET(r, set_text(o, "agent", t->agent));
        SET(r, set_object(o, "labels", view_labels(&t->labels)));
        SET(r, set_text(o, "description", t->description));
        return finish(o, r);
}

int view_set_scopes(json_t *object, const char *key, ApiScopes s) {
        json_t *list;

        if (s == API_SCOPES_ALL)
                return 0;
        list = json_array();
        for (ApiArea a = API_AREA_NONE + 1; list && a < _API_AREA_MAX; a++)
                if ((s & API_SCOPE(a)) && json_array_append_new(list, json_string(api_area_to_string(a))) < 0) {
                        json_decref(list);
                        return -ENOMEM;
                }
        return set_object(object, key, list);
}

json_t *view_api_token(const ApiToken *t) {
        json_t *o = json_object();
        int r = 0;

        if (!o)
                return NULL;
        SET(r, json_set_string(o, "id", t->id));
        SET(r, json_set_string(o, "role", api_role_to_string(t->role)));
        SET(r, view_set_scopes(o, "scopes", t->scopes));
        SET(r, view_set_time(o, "created", t->created));
        SET(r, view_set_time(o, "expires", t->expires));
        SET(r, view_set_time(o, "last_used", t->last_used));
        SET(r, set_text(o, "owner", t->owner));
        SET(r, set_text(o, "description", t->description));
        return finish(o, r);
}

json_t *view_texts(char *const *v) {
        json_t *list = json_array();

        STRV_FOREACH(s, v)
                if (!list || json_array_append_new(list, json_string(*s)) < 0) {
                        json_decref(list);
                        return NULL;
                }
        return list;
}

char *view_event_text(json_t *object) {
        char *text;

        if (!object)
                return NULL;
        text = json_format(object, /* pretty= */ false);
        json_decref(object);
        return text;
}
