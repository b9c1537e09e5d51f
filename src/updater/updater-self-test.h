/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Runs --self-test of both staged binaries in a locked-down transient unit, while the loop goes on. */

#include <systemd/sd-bus.h>

#include "updater-transient.h"
#include "updater.h"

typedef struct SelfTest SelfTest;

/* result: 1 passed, 0 not passed, negative: it could not be run. Freeing it from here is allowed. */
typedef void (*self_test_on_finish_t)(SelfTest *t, int result, void *userdata);

/* bus: the system bus, attached to the loop. unit: borrowed for the call. on_finish is not called from within this. */
int self_test_start(SelfTest **ret, Updater *u, sd_bus *bus, const SelfTestUnit *unit,
                    self_test_on_finish_t on_finish, void *userdata);
SelfTest *self_test_free(SelfTest *t);

/* As for on_finish: what a job's end and the fate of the last process (code as in siginfo_t, 0: none has run) mean. A
 * release is not blamed for a sandbox that could not be made; for a binary that cannot be executed it is. */
int self_test_judge(const char *job_result, int32_t code, int32_t status);
DEFINE_POINTER_CLEANUP(SelfTest, self_test_free);
