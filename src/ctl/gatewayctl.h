/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* fleet-gatewayctl's parts: what was given, the connection to the gateway (docs/api.md), and the verbs.
 * Calls run the loop until they are answered. */

#include <systemd/sd-event.h>

#include "cli.h"
#include "http-client.h"
#include "json.h"

typedef enum Output {
        OUTPUT_TABLE,
        OUTPUT_WIDE,
        OUTPUT_JSON,
        OUTPUT_NAME,
} Output;

typedef struct GatewayCtl GatewayCtl;
struct GatewayCtl {
        /* options */
        Output output;
        CliJson json; /* with OUTPUT_JSON */
        bool yaml;    /* with OUTPUT_JSON: the same as YAML */
        bool no_legend, all, retry, wait, yes, allow_empty;
        const char *group, *state, *version_is, *update_is, *match, *sort;
        char *gateway, *ca_path, *token_path; /* then environment, ctl.conf, defaults */
        const char *role, *selector, *version, *description, *agent, *display_name, *password_file;
        char **labels, **scopes, **agents; /* agents: each that --agent= named */
        bool own, has_expires_in, has_timeout;
        unsigned uses;
        usec_t expires_in, timeout;
        struct {
                const char *actor, *action, *target, *from_file, *head, *head_file;
                usec_t since, until;         /* 0: any */
                unsigned lines;              /* 0: all */
                bool has_lines, follow;
        } audit;
        struct {
                json_t *said; /* what single options say of the strategy, as the API has it; NULL: nothing */
                const char *release, *strategy_file, *reason, *why, *batch;
                bool dry_run, active;
        } rollout;
        struct {
                bool force, database_only;
                const char *state_directory;
        } backup;

        /* What option (as it is shown) the member of a request came from; NULL, or of no option: NULL. */
        const char *(*blame)(const GatewayCtl *c, const char *pointer);
        int signal; /* that ends what is waited for; 0: none came */

        /* by api_open() */
        char *token, *ca_pem;
        sd_event *event;
        HttpClient *http;
};

void gatewayctl_done(GatewayCtl *c);

/* Settles address, CA and token. */
CliExit gatewayctl_configure(GatewayCtl *c);

/* ---- requests (gatewayctl-api.c) ---- */

/* Settles the configuration, makes loop and client; again is fine. */
CliExit api_open(GatewayCtl *c);

/* One JSON call. path: from "/api/..." on, arguments escaped. body and ret may be NULL. What goes wrong is
 * printed. */
CliExit api_call(GatewayCtl *c, const char *method, const char *path, json_t *body, json_t **ret);
/* A POST that takes an Idempotency-Key: when the connection breaks it is sent again under the same key, so
 * that nothing is done twice. */
CliExit api_post(GatewayCtl *c, const char *path, json_t *body, json_t **ret);
CliExit api_post_with(GatewayCtl *c, const char *path, const char *header /* or NULL */, json_t *body, json_t **ret);
/* GET as text, with another header. */
CliExit api_get_text(GatewayCtl *c, const char *path, const char *header, char **ret, size_t *ret_size);
/* The same with a header ("Name: value" or NULL), and with the ETag of the answer (allocated; NULL if there
 * was none), if that is asked for. */
CliExit
api_call_with(GatewayCtl *c,
              const char *method,
              const char *path,
              const char *header,
              json_t *body,
              json_t **ret,
              char **ret_etag);
CliExit api_put(GatewayCtl *c, const char *path, const void *data, size_t size);
CliExit api_exists(GatewayCtl *c, const char *path, bool *ret);

/* SIGINT and SIGTERM end what is waited for, instead of the process: GatewayCtl.signal. */
int api_catch_signals(GatewayCtl *c);

/* The parts of that, for event streams. headers: of a request that is authorized. */
int api_url(const GatewayCtl *c, const char *path, char **ret);
int api_headers(const GatewayCtl *c, const char *more /* or NULL */, char ***ret);
CliExit
api_fail(const GatewayCtl *c,
         int error,
         unsigned status,
         const char *message,
         const void *body,
         size_t size);

/* One of "DELETE PATH/ARGUMENT", without a body or an answer. */
CliExit api_delete(GatewayCtl *c, const char *path, const char *argument);

char *url_escape(const char *s);
bool agent_id_is_plain(const char *s);

/* Prints in the form that was asked for; OUTPUT_JSON alone, which may be YAML. */
CliExit print_json(const GatewayCtl *c, json_t *v);

/* ---- shared by verbs ---- */

/* A list of the gateway as names (the first of the members), JSON, or a table of its members. */
typedef struct ListForm {
        const char *path, *key;
        const char *const *titles, *const *members;
} ListForm;
CliExit list_show(GatewayCtl *c, const ListForm *f);
/* Asks unless --yes. */
CliExit confirm_or_fail(const GatewayCtl *c, const char *format, ...) _printf_(2, 3);

/* All pages of those that the options --selector=, --group= and so on name, in the order of --sort=. narrow:
 * what a table of names needs. ids: of these alone, joined by commas; NULL: of all. *ret is an array. */
CliExit agents_read(GatewayCtl *c, bool narrow, const char *ids, json_t **ret);
char *labels_text(json_t *labels);     /* "env=staging,role=web"; NULL on lack of memory */
const char *agent_name(json_t *agent); /* host name, or the id */
/* "1.0.0 -> 1.1.0  Downloading 12%" */
char *update_line(json_t *update);
CliStyle update_style(json_t *update);

/* RFC 3339, or a span before now. */
int audit_parse_when(const char *text, usec_t *ret);
/* Whom an action is for: the agent with this id (NULL: none), --selector=, --group= or --all; exactly one.
 * Into a body of docs/openapi.yaml. */
CliExit target_add(const GatewayCtl *c, const char *agent, json_t *body);
/* Asks, unless --yes; the number and digest that the person agreed to go along, so that the gateway refuses
 * when it is somebody else meanwhile. doing: "Update", what: "to version 1.1.0"; nothing is asked for one
 * agent. */
CliExit target_confirm(GatewayCtl *c, const char *agent, json_t *body, const char *doing, const char *what);

/* gatewayctl-update-wait.c: until what was asked for (desired is its id) has ended on every agent, or on this
 * one. */
CliExit update_wait(GatewayCtl *c, const char *agent, uint64_t desired);

/* ---- verbs ---- */

CliExit gatewayctl_agent_list(char *const *arguments, void *userdata);
CliExit gatewayctl_agent_show(char *const *arguments, void *userdata);
CliExit gatewayctl_agent_label(char *const *arguments, void *userdata);
CliExit gatewayctl_label_list(char *const *arguments, void *userdata);
CliExit gatewayctl_group_list(char *const *arguments, void *userdata);
CliExit gatewayctl_group_show(char *const *arguments, void *userdata);
CliExit gatewayctl_group_create(char *const *arguments, void *userdata);
CliExit gatewayctl_group_set(char *const *arguments, void *userdata);
CliExit gatewayctl_group_remove(char *const *arguments, void *userdata);
CliExit gatewayctl_release_list(char *const *arguments, void *userdata);
CliExit gatewayctl_release_import(char *const *arguments, void *userdata);
CliExit gatewayctl_token_create(char *const *arguments, void *userdata);
CliExit gatewayctl_token_list(char *const *arguments, void *userdata);
CliExit gatewayctl_token_delete(char *const *arguments, void *userdata);
CliExit gatewayctl_agent_remove(char *const *arguments, void *userdata);
CliExit gatewayctl_desired_list(char *const *arguments, void *userdata);
CliExit gatewayctl_desired_delete(char *const *arguments, void *userdata);
CliExit gatewayctl_api_token_create(char *const *arguments, void *userdata);
CliExit gatewayctl_api_token_list(char *const *arguments, void *userdata);
CliExit gatewayctl_api_token_delete(char *const *arguments, void *userdata);
CliExit gatewayctl_user_list(char *const *arguments, void *userdata);
CliExit gatewayctl_user_show(char *const *arguments, void *userdata);
CliExit gatewayctl_user_create(char *const *arguments, void *userdata);
CliExit gatewayctl_user_set_role(char *const *arguments, void *userdata);
CliExit gatewayctl_user_set_password(char *const *arguments, void *userdata);
CliExit gatewayctl_user_disable(char *const *arguments, void *userdata);
CliExit gatewayctl_user_enable(char *const *arguments, void *userdata);
CliExit gatewayctl_user_remove(char *const *arguments, void *userdata);
CliExit gatewayctl_audit_list(char *const *arguments, void *userdata);
CliExit gatewayctl_audit_tail(char *const *arguments, void *userdata);
CliExit gatewayctl_audit_verify(char *const *arguments, void *userdata);
CliExit gatewayctl_audit_export(char *const *arguments, void *userdata);
CliExit gatewayctl_rollout_create(char *const *arguments, void *userdata);
CliExit gatewayctl_rollout_list(char *const *arguments, void *userdata);
CliExit gatewayctl_rollout_show(char *const *arguments, void *userdata);
CliExit gatewayctl_rollout_members(char *const *arguments, void *userdata);
CliExit gatewayctl_rollout_watch(char *const *arguments, void *userdata);
CliExit gatewayctl_rollout_pause(char *const *arguments, void *userdata);
CliExit gatewayctl_rollout_resume(char *const *arguments, void *userdata);
CliExit gatewayctl_rollout_abort(char *const *arguments, void *userdata);
CliExit gatewayctl_rollout_approve(char *const *arguments, void *userdata);
CliExit gatewayctl_rollout_retry_failed(char *const *arguments, void *userdata);
CliExit gatewayctl_rollout_roll_back(char *const *arguments, void *userdata);
CliExit gatewayctl_backup(char *const *arguments, void *userdata);
CliExit gatewayctl_update(char *const *arguments, void *userdata);
CliExit gatewayctl_watch(char *const *arguments, void *userdata);
