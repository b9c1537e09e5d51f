/* SPDX-License-Identifier: Apache-2.0 */
#include "audit.h"

#include "alloc-util.h"
#include "crypto.h"
#include "hex.h"
#include "list.h"
#include "log.h"
#include "messages.h"
#include "string-util.h"

const AuditActor audit_actor_gateway = { .name = (char *) "gateway", .method = (char *) "none" };

static int copy_text(char **to, const char *from) {
        *to = from ? strdup(from) : NULL;
        return from && !*to ? -ENOMEM : 0;
}

int audit_actor_copy(AuditActor *ret, const AuditActor *from) {
        AuditActor a = {};
        int r;

        r = copy_text(&a.name, from->name);
        if (r >= 0)
                r = copy_text(&a.method, from->method);
        if (r >= 0)
                r = copy_text(&a.source, from->source);
        if (r >= 0)
                r = copy_text(&a.request_id, from->request_id);
        if (r < 0) {
                audit_actor_done(&a);
                return r;
        }
        *ret = a;
        return 0;
}

void audit_actor_done(AuditActor *a) {
        free(a->name);
        free(a->method);
        free(a->source);
        free(a->request_id);
        *a = (AuditActor){};
}

/* ---- the text ---- */

static void hash_text(const char *text, char ret[static AUDIT_HASH_HEX + 1]) {
        uint8_t hash[SHA256_SIZE];

        sha256_bytes(text, strlen(text), hash);
        hex_encode(hash, sizeof(hash), ret);
}

static int entry_object(const AuditEntry *e, json_t *detail, json_t **ret) {
        _cleanup_json_ json_t *o = json_object();
        char time[RFC3339_MAX];
        int r;

        r = o ? json_set_u64(o, "seq", e->seq) : -ENOMEM;
        if (r >= 0)
                r = json_set_string(o, "time", rfc3339_format(e->time, time));
        if (r >= 0)
                r = json_set_string(o, "actor", e->actor->name);
        if (r >= 0)
                r = json_set_string(o, "method", e->actor->method);
        if (r >= 0)
                r = json_set_string(o, "source", e->actor->source);
        if (r >= 0)
                r = json_set_string(o, "request_id", e->actor->request_id);
        if (r >= 0)
                r = json_set_string(o, "action", e->action);
        if (r >= 0)
                r = json_set_string(o, "target", e->target);
        if (r >= 0)
                r = json_set_u64(o, "count", e->count);
        if (r >= 0)
                r = json_set_string(o, "prev", e->prev);
        if (r >= 0 && detail)
                r = json_set_take(o, "detail", json_incref(detail));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(o);
        return 0;
}

static int entry_text(const AuditEntry *e, json_t *detail, char **ret) {
        _cleanup_json_ json_t *o = NULL;
        int r;

        r = entry_object(e, detail, &o);
        if (r < 0)
                return r;
        *ret = json_format_sorted(o);
        return *ret ? 0 : -ENOMEM;
}

/* What is left of a detail that is too large: enough to compare it with what somebody else has kept. */
static int shrink(json_t *detail, json_t **ret) {
        _cleanup_free_ char *text = json_format_sorted(detail);
        _cleanup_json_ json_t *o = json_object();
        char hash[AUDIT_HASH_HEX + 1];
        int r;

        if (!text || !o)
                return -ENOMEM;
        hash_text(text, hash);
        r = json_set_u64(o, "omitted_bytes", strlen(text));
        if (r >= 0)
                r = json_set_string(o, "sha256", hash);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(o);
        return 0;
}

int audit_format(const AuditEntry *e, char **ret_text, char ret_hash[static AUDIT_HASH_HEX + 1]) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = entry_text(e, e->detail, &text);
        if (r < 0)
                return r;
        if (strlen(text) > AUDIT_TEXT_MAX && e->detail) {
                _cleanup_json_ json_t *less = NULL;

                text = (free(text), NULL);
                r = shrink(e->detail, &less);
                if (r >= 0)
                        r = entry_text(e, less, &text);
                if (r < 0)
                        return r;
        }
        hash_text(text, ret_hash);
        *ret_text = TAKE_PTR(text);
        return 0;
}

static bool text_is(json_t *entry, const char *key, const char *value) {
        const char *text;

        return json_get_string(entry, key, &text) >= 0 && streq(text, strempty(value));
}

json_t *audit_parse(const AuditRecord *a, bool *ret_consistent) {
        _cleanup_json_ json_t *entry = NULL;
        char time[RFC3339_MAX];
        uint64_t seq;

        if (isempty(a->text) || strchr(a->text, '\n') || !hex_is_valid(strempty(a->hash), SHA256_SIZE) ||
            json_parse(a->text, strlen(a->text), 2 * AUDIT_TEXT_MAX, &entry, NULL) < 0 ||
            !json_is_object(entry))
                return NULL;
        *ret_consistent = json_get_u64(entry, "seq", &seq) >= 0 && seq == a->seq &&
                          text_is(entry, "actor", a->actor) && text_is(entry, "action", a->action) &&
                          text_is(entry, "target", a->target) &&
                          text_is(entry, "time", rfc3339_format(a->time, time));
        return TAKE_PTR(entry);
}

static bool pattern_matches(const char *pattern, const char *text) {
        size_t n;

        if (!pattern)
                return true;
        n = strlen(pattern);
        return n > 0 && pattern[n - 1] == '*' ? strncmp(pattern, text, n - 1) == 0 : streq(pattern, text);
}

bool audit_filter_matches(const AuditFilter *f, const AuditRecord *a) {
        return pattern_matches(f->actor, a->actor) && pattern_matches(f->action, a->action) &&
               pattern_matches(f->target, a->target) && a->time >= f->since && a->time < f->until;
}

/* ---- writing ---- */

struct AuditNote {
        LIST_FIELDS(AuditNote, notes);
        uint64_t seq;
        char hash[AUDIT_HASH_HEX + 1];
        char *actor, *action, *target;
};

static AuditNote *note_free(AuditNote *n) {
        if (!n)
                return NULL;
        free(n->actor);
        free(n->action);
        free(n->target);
        free(n);
        return NULL;
}
DEFINE_POINTER_CLEANUP(AuditNote, note_free);

static int note_add(StoreJob *j, const AuditRecord *a) {
        _cleanup_(note_freep) AuditNote *n = new0(AuditNote, 1);

        if (!n)
                return -ENOMEM;
        n->seq = a->seq;
        memcpy(n->hash, a->hash, sizeof(n->hash));
        n->actor = strdup(a->actor);
        n->action = strdup(a->action);
        n->target = strdup(a->target);
        if (!n->actor || !n->action || !n->target)
                return -ENOMEM;
        LIST_APPEND(notes, j->audit, n);
        (void) TAKE_PTR(n);
        return 0;
}

static int
append(StoreJob *j,
       Store *s,
       const AuditActor *actor,
       const char *action,
       const char *target,
       uint64_t count,
       json_t *detail) {

        _cleanup_free_ char *prev = NULL, *text = NULL;
        char hash[AUDIT_HASH_HEX + 1];
        AuditRecord record;
        AuditEntry e;
        uint64_t last;
        int r;

        r = s->ops->audit_last(s, &last, &prev);
        if (r < 0)
                return r;
        e = (AuditEntry){
                .seq = last + 1,
                .count = count,
                .time = now(CLOCK_REALTIME),
                .actor = actor,
                .action = action,
                .target = target,
                .prev = prev ?: AUDIT_NO_HASH,
                .detail = detail,
        };
        r = audit_format(&e, &text, hash);
        if (r < 0)
                return r;
        record = (AuditRecord){
                .seq = e.seq,
                .time = e.time,
                .actor = actor->name,
                .action = (char *) action,
                .target = (char *) target,
                .text = text,
                .hash = hash,
        };
        r = s->ops->audit_put(s, &record);
        return r < 0 ? r : note_add(j, &record);
}

int audit_append(
                StoreJob *j,
                Store *s,
                const AuditActor *actor,
                const char *action,
                const char *target,
                uint64_t count,
                json_t *detail) {

        int r;

        r = append(j, s, actor, action, target, count, detail);
        json_decref(detail);
        if (r >= 0)
                return 0;
        (void) log_error_errno(
                        r, "Failed to enter %s on %s by %s into the audit log, taking it back: %m", action,
                        target, actor->name);
        (void) store_job_note(j, &(StoreNote){ .kind = STORE_NOTE_AUDIT_FAILURE, .survives = true });
        return IN_SET(r, -ENOENT, -EEXIST) ? -EIO : r;
}

/* ---- what the journal gets ---- */

void audit_notes_publish(AuditNote *notes) {
        LIST_FOREACH(notes, n, notes)
                log_event(LOG_NOTICE, FLEET_MESSAGE_AUDIT_STR,
                          "MESSAGE=Audit entry %" PRIu64 ": %s by %s on \"%s\", hash %s.", n->seq, n->action,
                          n->actor, n->target, n->hash,
                          "FLEET_AUDIT_SEQ=%" PRIu64, n->seq,
                          "FLEET_AUDIT_HASH=%s", n->hash,
                          "FLEET_AUDIT_ACTOR=%s", n->actor,
                          "FLEET_AUDIT_ACTION=%s", n->action,
                          "FLEET_AUDIT_TARGET=%s", n->target, NULL);
        audit_notes_free(notes);
}

AuditNote *audit_notes_free(AuditNote *notes) {
        audit_notes_cut(&notes, 0);
        return NULL;
}

size_t audit_notes_count(const AuditNote *notes) {
        size_t n = 0;

        LIST_FOREACH(notes, i, notes)
                n++;
        return n;
}

void audit_notes_cut(AuditNote **notes, size_t keep) {
        LIST_FOREACH_SAFE(notes, n, *notes) {
                if (keep > 0) {
                        keep--;
                        continue;
                }
                LIST_REMOVE(notes, *notes, n);
                note_free(n);
        }
}
