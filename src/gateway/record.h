/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the gateway keeps about agents, tokens, releases, desired versions and instructions, as plain
 * structures: the currency between store, desired state and API. Each owns its strings; *_done() frees what
 * is inside, so that records may live on the stack (zero-initialised is empty). Times: Unix time in
 * microseconds, 0: none. */

#include "macro.h"
#include "phase.h"
#include "time-util.h"

#define LABELS_MAX 64U

typedef struct Label {
        char *key, *value;
} Label;

typedef struct Labels {
        Label *items;                        /* sorted by key */
        size_t n, n_allocated;
} Labels;

int labels_set(Labels *l,
               const char *key,
               const char *value); /* empty value removes; -E2BIG above LABELS_MAX */
const char *labels_get(const Labels *l, const char *key);
int labels_copy(Labels *to, const Labels *from);                    /* replaces */
void labels_done(Labels *l);

typedef enum AgentState {
        AGENT_STATE_NEVER,
        AGENT_STATE_OFFLINE,
        AGENT_STATE_ONLINE,
        _AGENT_STATE_MAX,
        _AGENT_STATE_INVALID = -EINVAL,
} AgentState;

const char *agent_state_to_string(AgentState s);

typedef struct AgentFacts {
        char *hostname, *os_id, *os_version_id, *os_pretty_name, *kernel, *architecture, *boot_id;
        uint64_t packaging;
} AgentFacts;

typedef struct AgentRecord {
        char *id;
        AgentState state;
        char *version, *previous_version;
        char *session_token;                 /* of the last Welcome */
        uint64_t token_misses;               /* Hellos in a row that did not know it */
        bool clone_suspected;
        char *key_hash;                      /* SHA-256 of the key it has, hex; NULL: not known yet */
        char *next_key_hash;                 /* of the one it was given last and has not used */
        char *transaction_id, *config_revision;
        usec_t metadata_expires;
        bool pinned;
        char *pinned_version;
        usec_t enrolled, last_seen;
        usec_t connected;                    /* its last Hello; 0: none yet */
        char *address;                       /* where that came from, as gRPC writes it */
        AgentFacts facts;
        Labels labels;

        /* the store's own: not written with the rest */
        uint64_t revision;                   /* rises when people change something, such as labels */
        char *update_version;                /* of the newest instruction; NULL: there was none */
        UpdatePhase update_phase;            /* and where that is */
} AgentRecord;

void agent_record_done(AgentRecord *a);
/* May who shows this key speak for the agent? 0; 1 when the record changed by it: the first use of a new key
 * ends the old one, and an agent enrolled before keys were kept has the one that it shows first.
 * -EKEYREJECTED; -ENOMEM. */
int agent_record_show_key(AgentRecord *a, const char *key_hash);
/* A label, or "fact.os" and so on: a selector_lookup_t with an AgentRecord. */
const char *agent_record_lookup(const char *key, void *agent);

typedef struct JoinToken {
        char *id, *hash;                     /* SHA-256 of the secret, hex */
        uint64_t uses, uses_left;
        usec_t created, expires;
        char *agent;                         /* the only one it is for; NULL: whoever comes */
        char *description;
        Labels labels;
} JoinToken;
void join_token_done(JoinToken *t);

typedef enum ApiRole {
        API_ROLE_PUBLIC,
        API_ROLE_VIEWER,
        API_ROLE_OPERATOR,
        API_ROLE_ADMIN,
        _API_ROLE_MAX,
        _API_ROLE_INVALID = -EINVAL,
} ApiRole;
const char *api_role_to_string(ApiRole r);
ApiRole api_role_from_string(const char *s);     /* viewer, operator, admin */

/* What a route is about; a token may be made for some of them alone. */
typedef enum ApiArea {
        API_AREA_NONE,                       /* the caller itself: every caller may */
        API_AREA_AGENTS,
        API_AREA_ROLLOUTS,
        API_AREA_RELEASES,
        API_AREA_ENROLMENT,
        API_AREA_TOKENS,
        API_AREA_USERS,
        API_AREA_AUDIT,
        API_AREA_EVENTS,
        API_AREA_BACKUP,
        _API_AREA_MAX,
        _API_AREA_INVALID = -EINVAL,
} ApiArea;
const char *api_area_to_string(ApiArea a);
ApiArea api_area_from_string(const char *s);     /* not "none" */

/* A bit for each area. All: also those of a later gateway. */
typedef uint32_t ApiScopes;
#define API_SCOPES_ALL UINT32_MAX
#define API_SCOPE(area) (UINT32_C(1) << (area))
static inline bool api_scopes_include(ApiScopes s, ApiArea a) {
        return a == API_AREA_NONE || (s & API_SCOPE(a));
}
/* "agents,events"; NULL for all. Names that are not known, of a newer gateway, are left out. */
int api_scopes_format(ApiScopes s, char **ret);
int api_scopes_parse(const char *text, ApiScopes *ret);

typedef struct ApiToken {
        char *id, *hash;
        ApiRole role;
        ApiScopes scopes;
        usec_t created, expires, last_used;  /* expires 0: never */
        char *description;
        char *owner;                         /* who made it: "user:alice", "token:ID"; NULL: the gateway */
        char *parent; /* id of the token by which it was made, and with which it goes; NULL: none */
} ApiToken;
void api_token_done(ApiToken *t);
int api_token_copy(const ApiToken *t, ApiToken *ret);
/* The name of the user who answers for it, or NULL. */
const char *api_token_user(const ApiToken *t);

#define USER_NAME_MAX 32U

typedef struct UserRecord {
        char *name, *display_name;
        ApiRole role;
        char *password_hash;                 /* NULL: cannot sign in with a password */
        bool disabled;
        usec_t created, updated, last_login;
        uint64_t revision;                   /* from 1, with each change */
} UserRecord;
void user_record_done(UserRecord *u);
int user_record_copy(const UserRecord *u, UserRecord *ret);
bool user_name_is_valid(const char *s);          /* [a-z][a-z0-9._-]{0,31} */

typedef struct SessionRecord {
        char *id, *hash, *user;
        char *csrf;                          /* what the CSRF token is made with, besides the secret */
        usec_t created, expires, last_used;
        char *address, *user_agent;
} SessionRecord;
void session_record_done(SessionRecord *s);
int session_record_copy(const SessionRecord *s, SessionRecord *ret);

typedef struct ReleaseRecord {
        char *version, *product;
        usec_t imported;
        char *floor, *requires, *severity;
        uint64_t requires_packaging;
} ReleaseRecord;
void release_record_done(ReleaseRecord *r);

typedef struct ArtifactRecord {
        char *path, *version, *arch, *os, *sha256;
        uint64_t length;
} ArtifactRecord;
void artifact_record_done(ArtifactRecord *a);

typedef enum DesiredKind {
        DESIRED_KIND_AGENT,                  /* the more specific comes first */
        DESIRED_KIND_SELECTOR,
        DESIRED_KIND_ALL,
        _DESIRED_KIND_MAX,
        _DESIRED_KIND_INVALID = -EINVAL,
} DesiredKind;
const char *desired_kind_to_string(DesiredKind k);

typedef struct DesiredRecord {
        uint64_t id;
        DesiredKind kind;
        char *target;                        /* agent id, selector in its one spelling, or "" */
        char *version;
        uint64_t generation;
        bool retry;                          /* this generation was asked for explicitly */
        usec_t created, updated;
        char *actor;
} DesiredRecord;
void desired_record_done(DesiredRecord *d);

typedef struct InstructionRecord {
        uint64_t number;                     /* order of creation, given by the store */
        char *id, *agent;
        uint64_t desired, generation, attempt;
        uint64_t rollout;                    /* it is of this one, and desired is 0; 0: of none */
        bool back;                           /* to a version that the machine still keeps */
        char *version, *from_version;
        UpdatePhase phase;
        UpdateVerdict verdict;
        UpdatePhase failed_phase;            /* _UPDATE_PHASE_INVALID: none */
        char *message;
        bool retry, cancel_requested;
        uint64_t sequence, bytes_done, bytes_total;
        usec_t created, updated, deadline, finished;
} InstructionRecord;
void instruction_record_done(InstructionRecord *i);

typedef struct GroupRecord {
        char *name;                          /* a label's value */
        char *selector;                      /* in its one spelling */
        char *description;                   /* NULL: none */
        usec_t created, updated;
        uint64_t revision;                   /* rises with every change */
} GroupRecord;
void group_record_done(GroupRecord *g);

/* What was answered to a request that may be repeated. */
typedef struct AnswerRecord {
        char *fingerprint;                   /* of the request: SHA-256, hex */
        uint64_t status;
        char *body;                          /* NULL: none */
        usec_t created;
} AnswerRecord;
void answer_record_done(AnswerRecord *a);

typedef struct EventRecord {
        uint64_t id;                         /* 0: progress, not kept */
        usec_t time;
        char *topic, *agent, *data;          /* data: JSON in one line */
} EventRecord;
void event_record_done(EventRecord *e);
EventRecord *event_record_free(EventRecord *e);
DEFINE_POINTER_CLEANUP(EventRecord, event_record_free);

typedef struct AuditRecord {
        uint64_t seq;                        /* from 1, without gaps */
        usec_t time;
        char *actor, *action, *target;
        char *text, *hash;                   /* audit.h; the members above are in the text, too */
        bool damaged; /* one of them goes on behind a NUL, where nobody would look */
} AuditRecord;
void audit_record_done(AuditRecord *a);
