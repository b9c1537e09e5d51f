/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* agent.conf(5): what the owner of the machine decides. Read once at start; never written by the agent,
 * never changed by the gateway. After agent_conf_load() every field has a usable value, except that address
 * and url are NULL when no gateway is configured. Plain data, owned by whoever loaded it. */

#include "macro.h"
#include "time-util.h"

#define AGENT_GATEWAY_PORT 7443
#define AGENT_ENROLL_PORT 7444
#define AGENT_HTTPS_PORT 8443

typedef struct AgentConf {
        char *agent_id; /* NULL: made from the machine id */
        int log_level;

        char *address;        /* "host:port" */
        char *enroll_address; /* "host:port" */
        char *url;            /* "https://host:port", without a slash at the end */
        usec_t reconnect_min;
        usec_t reconnect_max;
        usec_t connect_timeout;
        usec_t keepalive;

        char **allowed_origins; /* https URLs without a slash at the end; empty: the gateway's alone */
        uint64_t speed_limit;   /* bytes a second, 0: none */
        usec_t low_speed_time;
        usec_t metadata_refresh;
} AgentConf;

/* Reads path and its drop-ins. Bad lines are warned about and leave the default. Negative errno only for
 * lack of memory. */
int agent_conf_load(AgentConf *ret, const char *path);
/* One buffer instead of files: for tests and fuzzing. */
int agent_conf_parse(AgentConf *ret, const char *name, const char *text, size_t size);
void agent_conf_done(AgentConf *c);

/* Does the URL lie below an origin from which this machine downloads? https alone, no user, query, fragment
 * or dot segments. ret_own becomes true when the origin is the gateway's own (whose CA is the pinned one).
 */
bool agent_conf_origin_allowed(const AgentConf *c, const char *url, bool *ret_own);

int agent_conf_dump(const AgentConf *c, char **ret); /* as an agent.conf, with every setting */
