/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-probe.h"

#include <fcntl.h>

#include "agent-conf.h"
#include "agent-identity.h"
#include "agent-service.h"
#include "crypto.h"
#include "event-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "log.h"
#include "messages-pb.h"
#include "rpc-client.h"
#include "string-util.h"
#include "version.h"

static void on_response(RpcCall *call, const RpcResult *result, const ProtobufCMessage *m, void *userdata) {
        const Fleet__V1__ProbeResponse *response = (const Fleet__V1__ProbeResponse *) m;
        sd_event *event = userdata;

        if (result->status != RPC_STATUS_OK)
                log_error("The gateway cannot be reached: %s.", result->text);
        else if (!response->ready)
                log_error("The gateway is not ready: %s", response->reason);
        else
                log_info("The gateway is ready.");
        (void) sd_event_exit(event, result->status == RPC_STATUS_OK && response->ready ? 0 : 1);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        log_error("The gateway did not answer within %u s.",
                  (unsigned) (AGENT_PROBE_TIMEOUT / USEC_PER_SEC));
        return sd_event_exit(userdata, 1);
}

/* Whoever stops us has got no answer. */
static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        return sd_event_exit(sd_event_source_get_event(source), 1);
}

static int probe_loop(sd_event *event, RpcClient *client, const char *agent_id) {
        _cleanup_(sd_event_source_disable_unrefp) sd_event_source *timer = NULL;
        _cleanup_(rpc_call_freep) RpcCall *call = NULL;
        Fleet__V1__ProbeRequest request = FLEET__V1__PROBE_REQUEST__INIT;

        request.agent_id = (char *) agent_id;
        request.version = (char *) fleet_version;
        int r =
                        event_timer_arm(event, &timer, AGENT_PROBE_TIMEOUT + USEC_PER_SEC / 2, on_timeout,
                                        event, "probe-timeout");
        if (r >= 0)
                r =
                                rpc_call_start(client, &rpc_method_probe, &request.base, AGENT_PROBE_TIMEOUT,
                                               on_response, event, &call);
        if (r < 0)
                return log_error_errno(r, "Cannot probe the gateway: %m");
        return sd_event_loop(event);
}

static int probe_connect(const AgentConf *conf, const AgentIdentity *identity) {
        _cleanup_(rpc_credentials_freep) RpcCredentials *credentials = NULL;
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_free_ char *user_agent = strjoinf("fleet-agent/%s", fleet_version);
        RpcClient *client = NULL;
        RpcQueue *queue = NULL;

        if (!conf->address || !agent_identity_id(identity))
                return log_error_errno(-ENOKEY, "This machine is not enrolled with a gateway.");
        int r = agent_identity_credentials(identity, &credentials);
        if (r >= 0)
                r = event_setup_daemon_with(&event, on_terminate, NULL);
        if (r >= 0)
                r = rpc_queue_new(&queue, event, 1, 8);
        RpcClientOptions options = {
                .address = conf->address,
                .user_agent = user_agent,
                .credentials = credentials,
                .connect_timeout = AGENT_PROBE_TIMEOUT,
        };
        if (r >= 0)
                r = rpc_client_new(&client, queue, &options);
        r = r < 0 ? log_error_errno(r, "Cannot probe the gateway: %m") :
                    probe_loop(event, client, agent_identity_id(identity));
        rpc_client_free(client);
        rpc_queue_free(queue);
        return r;
}

int agent_probe(const char *config, const char *state_directory) {
        _cleanup_(agent_identity_freep) AgentIdentity *identity = NULL;
        _cleanup_close_ int state_fd = -EBADF;
        AgentConf conf;

        int r = crypto_init();
        if (r >= 0)
                r = agent_conf_load(&conf, config);
        if (r < 0)
                return log_error_errno(r, "Cannot read %s: %m", config);
        state_fd = dir_open_at(AT_FDCWD, state_directory);
        r = state_fd < 0 ? state_fd : agent_identity_new(&identity, state_fd);
        r = r < 0 ? log_error_errno(r, "Cannot read the identity in %s: %m", state_directory) :
                    probe_connect(&conf, identity);
        agent_conf_done(&conf);
        return r;
}
