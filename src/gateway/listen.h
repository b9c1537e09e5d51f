/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "macro.h"

/* A listening TCP socket for "HOST:PORT" as gateway-conf checked it; [::] also takes IPv4. Blocks for a name
 * in HOST. The descriptor, or negative; -EADDRINUSE, -EADDRNOTAVAIL, -EHOSTUNREACH when the name is unknown.
 */
int listen_tcp(const char *address);
/* A listening Unix socket, for its owner and group. One that is left over, to which nobody listens, is
 * replaced. -EADDRINUSE when somebody does, or when something else is there; -ENAMETOOLONG. */
int listen_unix(const char *path);
/* Can it be reached from this machine alone: a Unix socket, or one on a loopback address? Negative: no
 * socket. */
int listen_is_local(int fd);
/* The port a listening socket has. */
int listen_port(int fd, uint16_t *ret);
