/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One Install call: verify, check, copy, self-test, publish, hand over to the transient unit. Holds the updater's lock
 * for as long as it lives. What is refused at once leaves no trace; from the moment it is started it ends as a
 * transaction, whatever happens. Belongs to the loop's thread. */

#include <systemd/sd-bus.h>

#include "tuf-bytes.h"
#include "updater-record.h"
#include "updater.h"

#define INSTALL_TARGETS_MAX 2U

typedef struct InstallRequest {
        const char *version;
        const TufBytes *metadata;
        struct {
                const char *path;
                int fd;                                    /* borrowed */
        } targets[INSTALL_TARGETS_MAX];
        size_t n_targets;
        const char *instruction;                           /* NULL or empty: none */
        bool retry;                                        /* an operator's explicit one: lifts a refusal */
} InstallRequest;

typedef struct Install Install;

/* Once, when it is over: either the trial is under way, or the transaction has failed. Free it from here. */
typedef void (*install_on_finish_t)(Install *i, void *userdata);

/* 0: started. 1: refused, with verdict and sentence. Negative: something broke here. */
int install_start(Install **ret, Updater *u, sd_bus *bus, const InstallRequest *q, install_on_finish_t on_finish,
                  void *userdata, UpdateVerdict *reterr_verdict, char **reterr_message);
Install *install_free(Install *i);
DEFINE_POINTER_CLEANUP(Install, install_free);

const char *install_transaction(const Install *i);

typedef struct RollbackRequest {
        const char *version;                               /* empty: the previous one */
        const char *instruction;                           /* NULL or empty: none */
        bool remote;                                       /* the gateway's: the previous one and no other, if the owner allows it */
} RollbackRequest;

/* An operator's way back to a version that is there: no staging. 0: the trial is under way, its id in ret. */
int rollback_start(Updater *u, const RollbackRequest *q, char ret[static TRANSACTION_ID_MAX],
                   UpdateVerdict *reterr_verdict, char **reterr_message);
