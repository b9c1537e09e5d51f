/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the gateway must not forget, behind one table of operations; no SQL and no database header here. A
 * Store is used by the worker's thread alone (store-worker.h), within the transaction that the worker
 * opened, and blocks.
 *
 * Reading fills a zero-initialised record, which the caller empties with its *_done(). -ENOENT: there is no
 * such thing. -EEXIST: a rule of uniqueness was hurt. -EUCLEAN: the database is damaged or of a newer
 * gateway. A callback of an *_each() owns the record only while it runs; it may steal members; a negative
 * errno ends the iteration and is returned, > 0 ends it early and 0 is returned. */

#include "agent-query.h"
#include "rollout-record.h"
#include "store-stats.h"

typedef struct Store Store;
typedef struct StoreOps StoreOps;
typedef struct StoreBackup StoreBackup;

typedef int (*store_agent_t)(AgentRecord *a, void *userdata);
typedef int (*store_join_token_t)(JoinToken *t, void *userdata);
typedef int (*store_api_token_t)(ApiToken *t, void *userdata);
typedef int (*store_release_t)(ReleaseRecord *r, void *userdata);
typedef int (*store_artifact_t)(ArtifactRecord *a, void *userdata);
typedef int (*store_desired_t)(DesiredRecord *d, void *userdata);
typedef int (*store_user_t)(UserRecord *u, void *userdata);
typedef int (*store_session_t)(SessionRecord *s, void *userdata);
typedef int (*store_audit_t)(AuditRecord *a, void *userdata);
typedef int (*store_instruction_t)(InstructionRecord *i, void *userdata);
typedef int (*store_event_t)(EventRecord *e, void *userdata);
typedef int (*store_rollout_t)(RolloutRecord *r, void *userdata);
typedef int (*store_number_t)(uint64_t number, void *userdata);
typedef int (*store_rollout_member_t)(RolloutMemberRecord *m, void *userdata);
typedef int (*store_phase_t)(UpdatePhase phase, usec_t time, void *userdata);
typedef int (*store_phase_median_t)(UpdatePhase phase, usec_t median, uint64_t n, void *userdata);
typedef int (*store_release_failures_t)(const char *version, UpdatePhase phase, uint64_t agents, void *userdata);
typedef int (*store_group_t)(GroupRecord *g, void *userdata);
/* Texts that are the store's own, while the callback runs. */
typedef int (*store_id_t)(const char *id, void *userdata);
typedef int (*store_value_t)(const char *value, uint64_t n, void *userdata);

/* So many agents have this in common. The same may come more than once. */
typedef struct AgentFacet {
        AgentState state;
        const char *version, *phase, *os, *arch; /* "": none */
        uint64_t n;
} AgentFacet;
typedef int (*store_facet_t)(const AgentFacet *f, void *userdata);

typedef struct StoreRelabel {
        const Label *changes; /* an empty value removes */
        size_t n;
        uint64_t tell; /* the callback hears of so many of the agents that changed, by id */
        store_id_t callback;
        void *userdata;
        uint64_t *ret_changed;
        char **reterr_overfull; /* with -E2BIG: an agent that would have more than LABELS_MAX */
} StoreRelabel;

typedef struct InstructionFilter {
        const char *agent;           /* NULL: any */
        uint64_t desired;            /* 0: any */
        bool active;                 /* only those not ended */
        usec_t expired_before;       /* 0: any; only those not ended with an earlier deadline */
        uint64_t limit;
} InstructionFilter;

typedef struct RolloutFilter {
        bool active;                 /* only those not ended */
        RolloutState state;          /* _ROLLOUT_STATE_INVALID: any */
        const char *version;         /* NULL: any */
        uint64_t before;             /* only with smaller numbers; 0: any */
        uint64_t limit;              /* 0: all */
} RolloutFilter;

typedef struct RolloutMemberFilter {
        uint64_t rollout;
        MemberState state;           /* _MEMBER_STATE_INVALID: any */
        const char *reason;          /* or verdict; NULL: any */
        bool has_batch;
        uint32_t batch;
        uint64_t from_position, limit;
        uint64_t offset;             /* so many of them are left out */
} RolloutMemberFilter;

/* Each of the texts is NULL, a whole value, or the beginning of one and "*". Times: 0 and USEC_INFINITY: any. */
typedef struct AuditFilter {
        const char *actor, *action, *target;
        usec_t since, until;
        uint64_t after, before;              /* entries with numbers between these two */
        bool ascending;
        uint64_t limit;
} AuditFilter;

struct StoreOps {
        const char *name;
        void (*close)(Store *s);

        /* Transactions, for the worker: one around a batch, a savepoint around each job. */
        int (*begin)(Store *s);
        int (*commit)(Store *s);
        void (*rollback)(Store *s);
        int (*savepoint)(Store *s);
        int (*savepoint_release)(Store *s);
        int (*savepoint_rollback)(Store *s);

        int (*touch)(Store *s, usec_t when);                              /* a write that changes nothing */
        int (*stats)(Store *s, usec_t now, StoreStats *ret);              /* into an empty one */

        int (*agent_get)(Store *s, const char *id, AgentRecord *ret);
        int (*agent_put)(Store *s, const AgentRecord *a);                 /* without the labels */
        int (*agent_put_labels)(Store *s, const char *id, const Labels *labels);
        int (*agent_seen)(Store *s, const char *id, usec_t when, usec_t metadata_expires);
        /* It went from one version to another, if it runs that one still; until it says so itself when it comes next. */
        int (*agent_moved)(Store *s, const char *id, const char *from, const char *to);
        int (*agent_delete)(Store *s, const char *id);
        int (*agents_each)(Store *s, store_agent_t callback, void *userdata);   /* by id, with labels */
        int (*agents_all_offline)(Store *s);

        /* What an AgentQuery asks for. A page: in its order, from its position on, at most its limit, with
         * labels; and how many fit in all (NULL: not needed). The others take no heed of order, position and
         * limit. */
        int (*agents_page)(
                        Store *s,
                        const AgentQuery *q,
                        store_agent_t callback,
                        void *userdata,
                        uint64_t *ret_total);
        int (*agents_count)(Store *s, const AgentQuery *q, uint64_t *ret);
        int (*agents_ids)(Store *s, const AgentQuery *q, store_id_t callback, void *userdata); /* sorted */
        int (*agents_facets)(Store *s, const AgentQuery *q, store_facet_t callback, void *userdata);
        /* The values of a label among them; the same may come more than once. */
        int (*agents_values)(
                        Store *s,
                        const AgentQuery *q,
                        const char *key,
                        store_value_t callback,
                        void *userdata);
        int (*agents_relabel)(Store *s, const AgentQuery *q, const StoreRelabel *change);
        /* Of all agents: sorted, and how many have each. */
        int (*label_keys)(Store *s, uint64_t limit, store_value_t callback, void *userdata);
        int (*label_values)(
                        Store *s, const char *key, uint64_t limit, store_value_t callback, void *userdata);

        int (*group_get)(Store *s, const char *name, GroupRecord *ret);
        int (*group_put)(Store *s, const GroupRecord *g); /* new, or anew */
        int (*group_delete)(Store *s, const char *name);
        int (*groups_count)(Store *s, uint64_t *ret);
        /* By name; after: NULL: all. */
        int (*groups_each)(
                        Store *s, const char *after, uint64_t limit, store_group_t callback, void *userdata);
        /* A rollout that is not over and names it. */
        int (*group_rollout)(Store *s, const char *name, uint64_t *ret);

        int (*answer_get)(Store *s, const char *actor, const char *key, AnswerRecord *ret);
        int (*answer_put)(Store *s, const char *actor, const char *key, const AnswerRecord *a);
        /* Those from before, and of this actor all but the newest. */
        int (*answers_prune)(Store *s, usec_t before, const char *actor, uint64_t keep);

        int (*join_token_get)(Store *s, const char *id, JoinToken *ret);
        int (*join_token_put)(Store *s, const JoinToken *t);              /* labels only when it is new */
        /* That an agent has used it, with a key (SHA-256, hex; NULL asks for any); gone when either of them is. */
        int (*join_token_used)(Store *s, const char *id, const char *agent, const char *key_hash);
        int (*join_token_put_used)(Store *s, const char *id, const char *agent, const char *key_hash);
        int (*join_token_delete)(Store *s, const char *id);
        int (*join_tokens_each)(Store *s, store_join_token_t callback, void *userdata);

        int (*api_token_get)(Store *s, const char *id, ApiToken *ret);
        int (*api_token_put)(Store *s, const ApiToken *t);
        int (*api_token_seen)(Store *s, const char *id, usec_t when);
        int (*api_token_delete)(Store *s, const char *id);
        int (*api_tokens_delete_of)(Store *s, const char *owner, uint64_t *ret_n);
        int (*api_tokens_each)(Store *s, store_api_token_t callback, void *userdata);

        int (*release_put)(Store *s, const ReleaseRecord *r);             /* drops its artifacts */
        int (*release_delete)(Store *s, const char *version);
        int (*releases_each)(Store *s, store_release_t callback, void *userdata);
        int (*artifact_put)(Store *s, const ArtifactRecord *a);
        /* Agents whose newest update was to this version and did not succeed, by how it ended. */
        int (*release_failures_each)(Store *s, store_release_failures_t callback, void *userdata);
        int (*artifacts_each)(Store *s, store_artifact_t callback, void *userdata);

        int (*desired_get)(Store *s, uint64_t id, DesiredRecord *ret);
        int (*desired_find)(Store *s, DesiredKind kind, const char *target, DesiredRecord *ret);
        int (*desired_put)(Store *s, DesiredRecord *d); /* id 0: new, the id is filled in */
        int (*desired_delete)(Store *s, uint64_t id);
        int (*desired_each)(Store *s, store_desired_t callback, void *userdata);

        int (*instruction_get)(Store *s, const char *id, InstructionRecord *ret);
        int (*instruction_put)(Store *s, InstructionRecord *i);           /* number 0: new */
        int (*instruction_outstanding)(Store *s, const char *agent, InstructionRecord *ret);
        int (*instruction_latest)(Store *s, const char *agent, InstructionRecord *ret);
        /* The last one that came from this row and generation. */
        int (*instruction_last_for)(
                        Store *s,
                        const char *agent,
                        uint64_t desired,
                        uint64_t generation,
                        InstructionRecord *ret);
        int (*instructions_each)(
                        Store *s, const InstructionFilter *f, store_instruction_t callback, void *userdata);
        /* Of those not ended: no deadline later than this. */
        int (*instructions_cap_deadline)(Store *s, usec_t latest);
        /* All but the newest of one agent, those not ended, and those of a generation that is still desired. */
        int (*instructions_prune)(Store *s, const char *agent, uint64_t keep);
        int (*instruction_next_deadline)(Store *s, usec_t *ret);          /* USEC_INFINITY: none */

        /* When it reached a phase first. */
        int (*instruction_phase_put)(Store *s, uint64_t number, UpdatePhase phase, usec_t time);
        int (*instruction_phases_each)(Store *s, uint64_t number, store_phase_t callback, void *userdata);
        /* How long each phase took, of the last hundred that succeeded: the median, and of how many. */
        int (*instruction_phase_medians)(Store *s, store_phase_median_t callback, void *userdata);
        /* Of those without a rollout: how many are not ended, but for those to a single agent. */
        int (*instructions_standing)(Store *s, uint64_t *ret);
        /* From creation to the end, of the last hundred that succeeded: the median. -ENOENT: none did. */
        int (*instructions_duration)(Store *s, usec_t *ret);
        /* Of a desired row's generation: how many agents it was sent to, and on how many it failed. */
        int (*desired_tally)(Store *s, uint64_t desired, uint64_t generation, uint64_t *ret_sent, uint64_t *ret_failed);

        int (*rollout_get)(Store *s, uint64_t id, RolloutRecord *ret);
        int (*rollout_put)(Store *s, RolloutRecord *r);                   /* id 0: new, the id is filled in */
        int (*rollouts_each)(Store *s, const RolloutFilter *f, store_rollout_t callback, void *userdata); /* newest first */
        int (*rollouts_count)(Store *s, const RolloutFilter *f, uint64_t *ret);
        /* Ids of those that have not ended; now: that are due by then, USEC_INFINITY: all. */
        int (*rollouts_due)(Store *s, usec_t now, store_number_t callback, void *userdata);
        int (*rollout_next_look)(Store *s, usec_t *ret);                  /* USEC_INFINITY: none */
        /* Of one that cannot be read or stepped, so that nothing else of it is relied upon or changed. It waits
         * for a person; or it is aborted: who waits is cancelled, who is in flight counts as timed out, and all
         * may take part elsewhere. */
        int (*rollout_park)(Store *s, uint64_t id, const char *detail, usec_t now);
        int (*rollout_let_go)(Store *s, uint64_t id, usec_t now);
        /* By position, with what is known of their agents. */
        int (*rollout_members_each)(Store *s, uint64_t rollout, store_rollout_member_t callback, void *userdata);
        int (*rollout_members_page)(
                        Store *s,
                        const RolloutMemberFilter *f,
                        store_rollout_member_t callback,
                        void *userdata,
                        uint64_t *ret_total);
        int (*rollout_member_put)(Store *s, uint64_t rollout, const RolloutMemberRecord *m);
        /* -ENOENT: the agent waits in no rollout and is in flight in none. */
        int (*rollout_membership)(Store *s, const char *agent, RolloutMembership *ret);

        int (*event_put)(Store *s, EventRecord *e);                       /* fills in the id */
        int (*events_each)(Store *s, uint64_t after, uint64_t limit, store_event_t callback, void *userdata);
        int (*events_last)(Store *s, uint64_t *ret);
        int (*events_prune)(Store *s, uint64_t keep);                     /* the newest */

        int (*user_get)(Store *s, const char *name, UserRecord *ret);
        int (*user_put)(Store *s, const UserRecord *u);
        int (*user_delete)(Store *s, const char *name);                   /* and the sessions */
        int (*users_each)(Store *s, store_user_t callback, void *userdata); /* by name */
        int (*session_put)(Store *s, const SessionRecord *e);
        int (*session_seen)(Store *s, const char *id, usec_t when);
        int (*session_delete)(Store *s, const char *id);
        int (*sessions_each)(Store *s, store_session_t callback, void *userdata); /* the newest first */
        /* All of a user but one; keep NULL: all. */
        int (*sessions_delete_of)(Store *s, const char *user, const char *keep);
        /* Those that end before now, or were not used since. */
        int (*sessions_prune)(Store *s, usec_t now, usec_t used_since);

        int (*setting_get)(Store *s, const char *key, char **ret);
        int (*setting_put)(Store *s, const char *key, const char *value);
        int (*setting_delete)(Store *s, const char *key);                 /* one that is not there is fine */

        /* Only audit.c appends. *ret_seq 0: there is nothing yet. */
        int (*audit_put)(Store *s, const AuditRecord *a);
        int (*audit_last)(Store *s, uint64_t *ret_seq, char **ret_hash);
        /* At most f->limit rows are looked at; what is not exact in the filter is the callback's to judge. */
        int (*audit_each)(Store *s, const AuditFilter *f, store_audit_t callback, void *userdata);

        /* How many bytes a copy of everything takes. */
        int (*backup_size)(Store *s, uint64_t *ret);
        /* A copy of everything, as it is when the last step is done, into the empty file at path. Outside of a
         * transaction. What is changed between two steps is in the copy, too. */
        int (*backup_begin)(Store *s, const char *path, StoreBackup **ret);
};

/* A copy that is being made. */
struct StoreBackup {
        int (*step)(StoreBackup *b); /* a few milliseconds of it. 1: there is more; 0: the copy is whole */
        StoreBackup *(*end)(StoreBackup *b); /* done, or given up */
};

struct Store {
        const StoreOps *ops;
};

/* The embedded default. Opens or creates, and brings the schema up to date. */
int store_sqlite_open(const char *path, Store **ret);

/* Also after the store was closed. NULL is fine. */
StoreBackup *store_backup_end(StoreBackup *b);
Store *store_close(Store *s);
DEFINE_POINTER_CLEANUP(Store, store_close);
