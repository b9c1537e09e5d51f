/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the simulated updater checks of what it is handed: the metadata, verified from the root compiled in
 * and from a store of its own; the release for this machine; its policy. The files are hashed by the caller.
 */

#include "agent-updater.h"
#include "crypto.h"
#include "sim-machine.h"
#include "sim-record.h"

#define SIM_VERIFY_FILES 2U /* agent and updater */

typedef struct SimRelease {
        char *floor; /* NULL if the release names none */
        struct {
                int fd; /* a duplicate of our own */
                uint64_t length;
                uint8_t sha256[SHA256_SIZE];
        } files[SIM_VERIFY_FILES];
} SimRelease;

SimRelease *sim_release_free(SimRelease *r);
DEFINE_POINTER_CLEANUP(SimRelease, sim_release_free);

/* 0; 1: refused, with a verdict and a sentence; negative when something broke here. */
int sim_verify(int state_fd,
               const SimMachine *m,
               const SimRecord *record,
               const UpdaterInstall *request,
               SimRelease **ret,
               UpdateVerdict *reterr_verdict,
               char **reterr_message);

/* Of the root that the store trusts now. */
uint64_t sim_verify_root_version(int state_fd);
