/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The ends of a transaction: going back, committing, closing what changed nothing. The caller holds the lock. Each
 * step is idempotent and ordered so that a kill between any two leaves a state that updater_decide() goes on from.
 * None of them gives up half-way because of a full disk: bringing an agent back matters more than remembering it. */

#include "updater-record.h"
#include "updater.h"

/* Switches current to the version of the record, for a trial. */
int transaction_swap(Updater *u, Transaction *t);

/* current := good, agent restarted (unless this is the boot, before it started), then everything of
 * transaction_finish_rollback(). t may be NULL: the record was lost. good: where to go back to. */
int transaction_go_back(Updater *u, Transaction *t, const char *current, const char *good, UpdateVerdict verdict,
                        const char *message, bool restart_agent);
int transaction_finish_rollback(Updater *u, Transaction *t, UpdateVerdict verdict, const char *message);
/* Restarts the agent after the way back, unless that has been done for this transaction. Negative: PID 1 did not take
 * it on; then the transaction must stay open, so that somebody comes back to it. */
int transaction_bring_back(Updater *u, const Transaction *t);

/* good := the version of the record; from that moment on the new version is the one to go back to. Then everything of
 * transaction_finish_commit(): pruning, floor, previous version, result, closing. */
int transaction_commit(Updater *u, Transaction *t);
int transaction_finish_commit(Updater *u, Transaction *t);

/* Before anything was changed. */
int transaction_close_failed(Updater *u, Transaction *t, UpdateVerdict verdict, const char *message);
