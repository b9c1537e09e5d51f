/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "macro.h"

/* A listening TCP socket for "HOST:PORT" as gateway-conf checked it; [::] also takes IPv4. Blocks for a name
 * in HOST. The descriptor, or negative; -EADDRINUSE, -EADDRNOTAVAIL, -EHOSTUNREACH when the name is unknown.
 */
int listen_tcp(const char *address);
/* The port a listening socket has. */
int listen_port(int fd, uint16_t *ret);
