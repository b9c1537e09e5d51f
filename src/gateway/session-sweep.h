/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Once a minute: when tokens and sessions were used last goes to the store, and sessions that have ended
 * leave it. */

typedef struct Gateway Gateway;

int session_sweep_start(Gateway *g);
