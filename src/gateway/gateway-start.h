/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is done in the store once, before the ports open: nobody is online; tokens, users and sessions are read; the
 * first API token and the code for the first user are made; releases are what the verified metadata says; the last
 * events are loaded. */

typedef struct Gateway Gateway;

/* Loop; r: 0 or what failed (logged). */
typedef void (*gateway_prepared_t)(Gateway *g, int r);
int gateway_prepare(Gateway *g, gateway_prepared_t on_prepared);
