/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* agent --self-test: does everything that this binary needs load and work here? Libraries, cryptography with
 * known answers, keys and requests, the trusted root, messages, the start of gRPC and of the HTTPS client.
 * No network, no state, a second or so. The updater runs it before it lets a new version near the link. */

/* 0, or negative errno; prints one line for each check. */
int agent_self_test(void);
