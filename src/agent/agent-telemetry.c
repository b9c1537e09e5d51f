/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-telemetry.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "event-util.h"
#include "fd-util.h"
#include "log.h"

#define DATAGRAMS_PER_TURN 128U /* a flood must not keep the loop from anything else */

struct AgentTelemetry {
        int fd;
        sd_event_source *source;
        TelemetryCounters counters;
        uint8_t buffer[TELEMETRY_DATAGRAM_MAX];
};

static int on_datagram(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        AgentTelemetry *t = userdata;

        for (unsigned i = 0; i < DATAGRAMS_PER_TURN; i++) {
                ssize_t n = recv(fd, t->buffer, sizeof(t->buffer), MSG_DONTWAIT | MSG_TRUNC);
                if (n < 0) {
                        if (errno_is_transient(errno))
                                return 0;
                        log_warning_errno(
                                        -errno,
                                        "Cannot read the telemetry socket, no longer reading it: %m");
                        return sd_event_source_set_enabled(source, SD_EVENT_OFF);
                }
                if ((size_t) n > sizeof(t->buffer)) {
                        t->counters.oversized++;
                        continue;
                }
                t->counters.datagrams++;
                t->counters.bytes += (uint64_t) n;
        }
        return 0;
}

int agent_telemetry_new(AgentTelemetry **ret, sd_event *event, int fd) {
        _cleanup_(agent_telemetry_freep) AgentTelemetry *t = new0(AgentTelemetry, 1);
        if (!t) {
                fd_close(fd);
                return -ENOMEM;
        }
        t->fd = fd;
        int r = sd_event_add_io(event, &t->source, fd, EPOLLIN, on_datagram, t);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(t->source, "telemetry");
        *ret = TAKE_PTR(t);
        return 0;
}

AgentTelemetry *agent_telemetry_free(AgentTelemetry *t) {
        if (!t)
                return NULL;
        sd_event_source_disable_unref(t->source);
        fd_close(t->fd);
        free(t);
        return NULL;
}

const TelemetryCounters *agent_telemetry_counters(const AgentTelemetry *t) {
        return &t->counters;
}
