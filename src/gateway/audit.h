/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The audit log: what was changed, by whom, from where, and how many it concerned. An entry is written in
 * the transaction of the change itself, so that either both are there or neither. Its text is one line of
 * JSON with sorted members and no spaces; its hash is the SHA-256 of these bytes; and each text holds the
 * hash of the entry before ("prev"), so that none can be changed, taken out or put in between unnoticed.
 * After the commit the hash is told to the journal: who reads that elsewhere can see that the end was cut
 * off.
 *
 * Entries never hold a secret. They are never deleted. Worker's thread, but for the pure functions and the
 * actors. */

#include "json.h"
#include "store-worker.h"

#define AUDIT_TEXT_MAX KIB(16)
#define AUDIT_HASH_HEX 64U
/* What the first entry has in place of the hash before it. */
#define AUDIT_NO_HASH "0000000000000000000000000000000000000000000000000000000000000000"

typedef struct AuditActor {
        char *name;       /* "user:alice", "token:0123456789abcdef", "join-token:…", "gateway" */
        char *method;     /* how it was known: "session", "token", "join-token", "none" */
        char *source;     /* address without port; NULL: none */
        char *request_id; /* NULL: none */
} AuditActor;

int audit_actor_copy(AuditActor *ret, const AuditActor *from);
void audit_actor_done(AuditActor *a);

/* What the gateway does by itself. */
extern const AuditActor audit_actor_gateway;

/* Takes the detail over, also on failure; NULL: none. One that is too large is replaced by its size and
 * hash. action: "noun.verb"; target: "noun:name", or "" when nothing has a name. The errors never are
 * -ENOENT or -EEXIST, which callers take for an answer to their own question. */
int audit_append(
                StoreJob *j,
                Store *s,
                const AuditActor *actor,
                const char *action,
                const char *target,
                uint64_t count,
                json_t *detail);

/* ---- pure ---- */

typedef struct AuditEntry {
        uint64_t seq, count;
        usec_t time;
        const AuditActor *actor;
        const char *action, *target, *prev;
        json_t *detail; /* borrowed; NULL: none */
} AuditEntry;

/* The text of an entry and its hash. */
int audit_format(const AuditEntry *e, char **ret_text, char ret_hash[static AUDIT_HASH_HEX + 1]);

/* An entry as JSON, and whether it is what the columns beside it say. NULL: the text is none that was
 * written here. */
json_t *audit_parse(const AuditRecord *a, bool *ret_consistent);

bool audit_filter_matches(const AuditFilter *f, const AuditRecord *a);

/* ---- for the worker ---- */

/* Entries of a job, until they are committed. Loop's thread; takes the list. */
void audit_notes_publish(AuditNote *notes);
AuditNote *audit_notes_free(AuditNote *notes);
size_t audit_notes_count(const AuditNote *notes);
/* All but the first of them were not entered after all. */
void audit_notes_cut(AuditNote **notes, size_t keep);
