/* SPDX-License-Identifier: Apache-2.0 */
#include "record.h"

#include "alloc-util.h"
#include "selector.h"
#include "string-util.h"

static size_t labels_find(const Labels *l, const char *key, bool *ret_found) {
        size_t i = 0;
        int c = 1;

        for (; i < l->n; i++) {
                c = strcmp(l->items[i].key, key);
                if (c >= 0)
                        break;
        }
        *ret_found = i < l->n && c == 0;
        return i;
}

static int labels_insert(Labels *l, size_t at, const char *key, const char *value) {
        _cleanup_free_ char *k = NULL, *v = NULL;
        int r;

        if (l->n >= LABELS_MAX)
                return -E2BIG;
        r = ARRAY_GROW(l->items, l->n_allocated, l->n + 1);
        if (r < 0)
                return r;
        k = strdup(key);
        v = strdup(value);
        if (!k || !v)
                return -ENOMEM;
        memmove(l->items + at + 1, l->items + at, (l->n - at) * sizeof(Label));
        l->items[at] = (Label){ .key = TAKE_PTR(k), .value = TAKE_PTR(v) };
        l->n++;
        return 0;
}

int labels_set(Labels *l, const char *key, const char *value) {
        bool found;
        size_t i = labels_find(l, key, &found);
        int r;

        if (!isempty(value)) {
                if (!found)
                        return labels_insert(l, i, key, value);
                r = free_and_strdup(&l->items[i].value, value);
                return r < 0 ? r : 0;
        }
        if (found) {
                free(l->items[i].key);
                free(l->items[i].value);
                memmove(l->items + i, l->items + i + 1, (l->n - i - 1) * sizeof(Label));
                l->n--;
        }
        return 0;
}

const char *labels_get(const Labels *l, const char *key) {
        bool found;
        size_t i = labels_find(l, key, &found);

        return found ? l->items[i].value : NULL;
}

void labels_done(Labels *l) {
        for (size_t i = 0; i < l->n; i++) {
                free(l->items[i].key);
                free(l->items[i].value);
        }
        free(l->items);
        *l = (Labels){};
}

int labels_copy(Labels *to, const Labels *from) {
        _cleanup_(labels_done) Labels copy = {};
        int r;

        for (size_t i = 0; i < from->n; i++) {
                r = labels_set(&copy, from->items[i].key, from->items[i].value);
                if (r < 0)
                        return r;
        }
        labels_done(to);
        *to = TAKE_GENERIC(copy, Labels, (Labels){});
        return 0;
}

static const char *const agent_state_table[_AGENT_STATE_MAX] = {
        [AGENT_STATE_NEVER] = "never",
        [AGENT_STATE_OFFLINE] = "offline",
        [AGENT_STATE_ONLINE] = "online",
};

const char *agent_state_to_string(AgentState s) {
        return s >= 0 && s < _AGENT_STATE_MAX ? agent_state_table[s] : NULL;
}

static void agent_facts_done(AgentFacts *f) {
        free(f->hostname);
        free(f->os_id);
        free(f->os_version_id);
        free(f->os_pretty_name);
        free(f->kernel);
        free(f->architecture);
        free(f->boot_id);
        *f = (AgentFacts){};
}

void agent_record_done(AgentRecord *a) {
        free(a->id);
        free(a->version);
        free(a->previous_version);
        free(a->session_token);
        free(a->key_hash);
        free(a->next_key_hash);
        free(a->transaction_id);
        free(a->config_revision);
        free(a->pinned_version);
        free(a->address);
        free(a->update_version);
        agent_facts_done(&a->facts);
        labels_done(&a->labels);
        *a = (AgentRecord){};
}

int agent_record_show_key(AgentRecord *a, const char *key_hash) {
        int r;

        if (streq_ptr(a->key_hash, key_hash))
                return 0;
        if (a->next_key_hash ? !streq(a->next_key_hash, key_hash) : !!a->key_hash)
                return -EKEYREJECTED;
        r = free_and_strdup(&a->key_hash, key_hash);
        if (r < 0)
                return r;
        free(a->next_key_hash);
        a->next_key_hash = NULL;
        return 1;
}

const char *agent_record_lookup(const char *key, void *agent) {
        const AgentRecord *a = agent;
        const struct {
                const char *key, *value;
        } facts[] = {
                { "os", a->facts.os_id },           { "os_version", a->facts.os_version_id },
                { "arch", a->facts.architecture },  { "kernel", a->facts.kernel },
                { "hostname", a->facts.hostname },  { "version", a->version },
        };
        const char *fact = startswith(key, SELECTOR_FACT_PREFIX);

        if (!fact)
                return labels_get(&a->labels, key);
        for (size_t i = 0; i < ELEMENTSOF(facts); i++)
                if (streq(facts[i].key, fact))
                        return isempty(facts[i].value) ? NULL : facts[i].value;
        return NULL;
}

void join_token_done(JoinToken *t) {
        free(t->id);
        free(t->hash);
        free(t->agent);
        free(t->description);
        labels_done(&t->labels);
        *t = (JoinToken){};
}

static const char *const api_role_table[_API_ROLE_MAX] = {
        [API_ROLE_PUBLIC] = "public",
        [API_ROLE_VIEWER] = "viewer",
        [API_ROLE_OPERATOR] = "operator",
        [API_ROLE_ADMIN] = "admin",
};

const char *api_role_to_string(ApiRole r) {
        return r >= 0 && r < _API_ROLE_MAX ? api_role_table[r] : NULL;
}

ApiRole api_role_from_string(const char *s) {
        for (ApiRole r = API_ROLE_VIEWER; s && r < _API_ROLE_MAX; r++)
                if (streq(api_role_table[r], s))
                        return r;
        return _API_ROLE_INVALID;
}

static const char *const api_area_table[_API_AREA_MAX] = {
        [API_AREA_NONE] = "none",
        [API_AREA_AGENTS] = "agents",
        [API_AREA_ROLLOUTS] = "rollouts",
        [API_AREA_RELEASES] = "releases",
        [API_AREA_ENROLMENT] = "enrolment",
        [API_AREA_TOKENS] = "tokens",
        [API_AREA_USERS] = "users",
        [API_AREA_AUDIT] = "audit",
        [API_AREA_EVENTS] = "events",
        [API_AREA_BACKUP] = "backup",
};

const char *api_area_to_string(ApiArea a) {
        return a >= 0 && a < _API_AREA_MAX ? api_area_table[a] : NULL;
}

ApiArea api_area_from_string(const char *s) {
        for (ApiArea a = API_AREA_NONE + 1; s && a < _API_AREA_MAX; a++)
                if (streq(api_area_table[a], s))
                        return a;
        return _API_AREA_INVALID;
}

int api_scopes_format(ApiScopes s, char **ret) {
        _cleanup_strv_free_ char **names = NULL;
        int r = 0;

        *ret = NULL;
        if (s == API_SCOPES_ALL)
                return 0;
        for (ApiArea a = API_AREA_NONE + 1; r >= 0 && a < _API_AREA_MAX; a++)
                if (s & API_SCOPE(a))
                        r = strv_extend(&names, api_area_table[a]);
        if (r < 0)
                return r;
        *ret = names ? strv_join(names, ",") : strdup("");
        return *ret ? 0 : -ENOMEM;
}

int api_scopes_parse(const char *text, ApiScopes *ret) {
        _cleanup_strv_free_ char **names = NULL;
        ApiScopes scopes = 0;
        int r;

        if (!text) {
                *ret = API_SCOPES_ALL;
                return 0;
        }
        r = strv_split(text, ",", &names);
        if (r < 0)
                return r;
        STRV_FOREACH(name, names) {
                ApiArea a = api_area_from_string(*name);

                if (a >= 0)
                        scopes |= API_SCOPE(a);
        }
        *ret = scopes;
        return 0;
}

static int copy_text(char **to, const char *from) {
        *to = from ? strdup(from) : NULL;
        return from && !*to ? -ENOMEM : 0;
}

void api_token_done(ApiToken *t) {
        free(t->id);
        free(t->hash);
        free(t->description);
        free(t->owner);
        free(t->parent);
        *t = (ApiToken){};
}

int api_token_copy(const ApiToken *t, ApiToken *ret) {
        int r;

        *ret = (ApiToken){
                .role = t->role,
                .scopes = t->scopes,
                .created = t->created,
                .expires = t->expires,
                .last_used = t->last_used,
        };
        r = copy_text(&ret->id, t->id);
        if (r >= 0)
                r = copy_text(&ret->hash, t->hash);
        if (r >= 0)
                r = copy_text(&ret->description, t->description);
        if (r >= 0)
                r = copy_text(&ret->owner, t->owner);
        if (r >= 0)
                r = copy_text(&ret->parent, t->parent);
        if (r < 0)
                api_token_done(ret);
        return r;
}

const char *api_token_user(const ApiToken *t) {
        return t->owner ? startswith(t->owner, "user:") : NULL;
}

void user_record_done(UserRecord *u) {
        free(u->name);
        free(u->display_name);
        free(u->password_hash);
        *u = (UserRecord){};
}

int user_record_copy(const UserRecord *u, UserRecord *ret) {
        int r;

        *ret = (UserRecord){
                .role = u->role,
                .disabled = u->disabled,
                .created = u->created,
                .updated = u->updated,
                .last_login = u->last_login,
                .revision = u->revision,
        };
        r = copy_text(&ret->name, u->name);
        if (r >= 0)
                r = copy_text(&ret->display_name, u->display_name);
        if (r >= 0)
                r = copy_text(&ret->password_hash, u->password_hash);
        if (r < 0)
                user_record_done(ret);
        return r;
}

bool user_name_is_valid(const char *s) {
        size_t n = strlen(s);

        return n > 0 && n <= USER_NAME_MAX && s[0] >= 'a' && s[0] <= 'z' &&
               strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

void session_record_done(SessionRecord *s) {
        free(s->id);
        free(s->hash);
        free(s->user);
        free(s->csrf);
        free(s->address);
        free(s->user_agent);
        *s = (SessionRecord){};
}

int session_record_copy(const SessionRecord *s, SessionRecord *ret) {
        int r;

        *ret = (SessionRecord){ .created = s->created, .expires = s->expires, .last_used = s->last_used };
        r = copy_text(&ret->id, s->id);
        if (r >= 0)
                r = copy_text(&ret->hash, s->hash);
        if (r >= 0)
                r = copy_text(&ret->user, s->user);
        if (r >= 0)
                r = copy_text(&ret->csrf, s->csrf);
        if (r >= 0)
                r = copy_text(&ret->address, s->address);
        if (r >= 0)
                r = copy_text(&ret->user_agent, s->user_agent);
        if (r < 0)
                session_record_done(ret);
        return r;
}

void release_record_done(ReleaseRecord *r) {
        free(r->version);
        free(r->product);
        free(r->floor);
        free(r->requires);
        free(r->severity);
        *r = (ReleaseRecord){};
}

void artifact_record_done(ArtifactRecord *a) {
        free(a->path);
        free(a->version);
        free(a->arch);
        free(a->os);
        free(a->sha256);
        *a = (ArtifactRecord){};
}

static const char *const desired_kind_table[_DESIRED_KIND_MAX] = {
        [DESIRED_KIND_AGENT] = "agent",
        [DESIRED_KIND_SELECTOR] = "selector",
        [DESIRED_KIND_ALL] = "all",
};

const char *desired_kind_to_string(DesiredKind k) {
        return k >= 0 && k < _DESIRED_KIND_MAX ? desired_kind_table[k] : NULL;
}

void desired_record_done(DesiredRecord *d) {
        free(d->target);
        free(d->version);
        free(d->actor);
        *d = (DesiredRecord){};
}

void instruction_record_done(InstructionRecord *i) {
        free(i->id);
        free(i->agent);
        free(i->version);
        free(i->from_version);
        free(i->message);
        *i = (InstructionRecord){};
}

void group_record_done(GroupRecord *g) {
        free(g->name);
        free(g->selector);
        free(g->description);
        *g = (GroupRecord){};
}

void answer_record_done(AnswerRecord *a) {
        free(a->fingerprint);
        free(a->body);
        *a = (AnswerRecord){};
}

void event_record_done(EventRecord *e) {
        free(e->topic);
        free(e->agent);
        free(e->data);
        *e = (EventRecord){};
}

EventRecord *event_record_free(EventRecord *e) {
        if (!e)
                return NULL;
        event_record_done(e);
        free(e);
        return NULL;
}

void audit_record_done(AuditRecord *a) {
        free(a->actor);
        free(a->action);
        free(a->target);
        free(a->text);
        free(a->hash);
        *a = (AuditRecord){};
}
