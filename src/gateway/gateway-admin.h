/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The admin socket: metrics and health over plain HTTP, for this machine alone. It is there before the
 * gateway is ready and until it has ended, so that both can be watched. */

#include "http.h"

typedef struct Gateway Gateway;

/* Takes it from the service manager (under the name "admin"), or makes it as AdminListen= says. 0 also when
 * there is none: the default place needs a directory that only the service has. */
int gateway_admin_open(Gateway *g, http_on_answer_t on_answer);
void gateway_admin_close(Gateway *g);
