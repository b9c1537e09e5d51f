/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway-admin.h"

#include <unistd.h>

#include "api.h"
#include "daemon.h"
#include "fd-util.h"
#include "gateway.h"
#include "listen.h"
#include "log.h"
#include "string-util.h"

#define CONNECTIONS_MAX 64U

/* 1 and the socket, 0: there is none. */
static int take_socket(int *ret) {
        _cleanup_close_ int fd = daemon_listen_fd("admin");
        int r;

        if (fd == -ENOENT)
                return 0;
        if (fd < 0)
                return log_error_errno(fd, "Failed to take the admin socket from the service manager: %m");
        r = listen_is_local(fd);
        if (r <= 0)
                return log_error_errno(
                                r < 0 ? r : -EADDRNOTAVAIL,
                                "The admin socket that the service manager passed can be reached from other "
                                "machines, and nobody is asked who he is there. ListenStream= of "
                                "fleet-gateway-admin.socket must be a path, 127.0.0.1:PORT or [::1]:PORT.");
        *ret = TAKE_FD(fd);
        return 1;
}

/* The same. The default place needs a directory that only the service has: without it there is none. */
static int make_socket(Gateway *g, int *ret) {
        const char *address = g->conf.admin_listen ?: GATEWAY_ADMIN_SOCKET;
        _cleanup_close_ int fd = -EBADF;

        if (isempty(address))
                return 0;
        fd = address[0] == '/' ? listen_unix(address) : listen_tcp(address);
        if (fd < 0 && !g->conf.admin_listen) {
                (void) log_info_errno(
                                fd, "No admin socket at %s (%m); set AdminListen= to have one elsewhere.",
                                address);
                return 0;
        }
        if (fd < 0)
                return log_error_errno(fd, "Failed to make the admin socket, AdminListen=%s: %m", address);
        if (address[0] == '/') {
                g->admin_path = strdup(address);
                if (!g->admin_path) {
                        (void) unlink(address);
                        return log_oom();
                }
        }
        *ret = TAKE_FD(fd);
        return 1;
}

int gateway_admin_open(Gateway *g, http_on_answer_t on_answer) {
        uint16_t port;
        int fd = -EBADF, r;

        r = take_socket(&fd);
        if (r == 0)
                r = make_socket(g, &fd);
        if (r <= 0)
                return r;
        r = listen_port(fd, &port);
        if (r >= 0)
                log_info("Listening for metrics and health on port %u of this machine.", port);
        else
                log_info("Listening for metrics and health on %s.",
                         g->admin_path ?: "a socket of the service manager");
        HttpServerOptions options = {
                .listen_fd = fd,
                .connections_max = CONNECTIONS_MAX,
                .connections_per_address_max = CONNECTIONS_MAX,
                .routes = api_admin_routes,
                .userdata = g,
                .on_answer = on_answer,
        };
        r = http_server_new(&g->admin, g->event, &options);
        return r < 0 ? log_error_errno(r, "Failed to serve metrics and health: %m") : 0;
}

void gateway_admin_close(Gateway *g) {
        g->admin = http_server_free(g->admin);
        if (g->admin_path && unlink(g->admin_path) < 0)
                (void) log_warning_errno(
                                negative_errno(), "Failed to remove %s, ignoring: %m", g->admin_path);
        free(g->admin_path);
        g->admin_path = NULL;
}
