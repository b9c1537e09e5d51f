/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The phases of one update as every process names them: agent, updater, gateway, console. Pure.
 * The order is the order of an update that goes well; the last ones are terminal. */

#include "macro.h"

typedef enum UpdatePhase {
        UPDATE_PHASE_QUEUED,         /* gateway: admitted, not yet sent */
        UPDATE_PHASE_OFFERED,        /* gateway: instruction sent, not yet answered */
        UPDATE_PHASE_DOWNLOADING,    /* agent */
        UPDATE_PHASE_VERIFYING,      /* agent */
        UPDATE_PHASE_STAGING,        /* updater: copy, hash, self-tests */
        UPDATE_PHASE_RESTARTING,     /* updater: transaction open, link about to move or moved */
        UPDATE_PHASE_CONNECTED,      /* new agent has a Welcome */
        UPDATE_PHASE_CONFIRMING,     /* updater: soaking */
        UPDATE_PHASE_ROLLING_BACK,   /* updater */
        UPDATE_PHASE_SUCCEEDED,      /* terminal: back online with the new version */
        UPDATE_PHASE_ROLLED_BACK,    /* terminal: back online with the old version, verdict says why */
        UPDATE_PHASE_FAILED,         /* terminal: nothing was changed */
        UPDATE_PHASE_TIMED_OUT,      /* terminal for the lease; reconciled when the agent returns */
        UPDATE_PHASE_CANCELLED,      /* terminal: withdrawn before the restart */
        _UPDATE_PHASE_MAX,
        _UPDATE_PHASE_INVALID = -EINVAL,
} UpdatePhase;

const char *update_phase_to_string(UpdatePhase p);            /* "downloading"; NULL if out of range */
UpdatePhase update_phase_from_string(const char *s);          /* _UPDATE_PHASE_INVALID */
bool update_phase_is_terminal(UpdatePhase p);
/* May next follow p? Phases may be skipped forwards (a lost report), never repeated backwards; any phase that is
 * not terminal may fail or roll back; nothing follows a terminal one but a late truth after TIMED_OUT. */
bool update_phase_can_follow(UpdatePhase p, UpdatePhase next);
const char *update_phase_title(UpdatePhase p);                /* for people: "Downloading", "Back Online" */

/* Why an update did not succeed. Kept on disk, sent to the gateway, shown to people. */
typedef enum UpdateVerdict {
        UPDATE_VERDICT_NONE,
        UPDATE_VERDICT_DOWNLOAD_FAILED,
        UPDATE_VERDICT_METADATA_EXPIRED,
        UPDATE_VERDICT_VERIFICATION_FAILED,
        UPDATE_VERDICT_NOT_FOUND,              /* no such release for this product and architecture */
        UPDATE_VERDICT_NOT_FOR_US,             /* wrong arch or os */
        UPDATE_VERDICT_DOWNGRADE,
        UPDATE_VERDICT_BELOW_FLOOR,
        UPDATE_VERDICT_REQUIRES_OTHER,         /* custom.requires names a stepping stone */
        UPDATE_VERDICT_REQUIRES_PACKAGING,
        UPDATE_VERDICT_DENYLISTED,
        UPDATE_VERDICT_PINNED,
        UPDATE_VERDICT_DISK_FULL,
        UPDATE_VERDICT_SELF_TEST_FAILED,
        UPDATE_VERDICT_BUSY,                   /* another update is open */
        UPDATE_VERDICT_NO_TRUSTED_ROOT,        /* built without one */
        UPDATE_VERDICT_CRASHED,                /* exited, crash loop */
        UPDATE_VERDICT_WATCHDOG,               /* hung */
        UPDATE_VERDICT_NOT_CONNECTED,          /* ran, but did not reach the gateway, and the old one could */
        UPDATE_VERDICT_GATEWAY_UNREACHABLE,    /* neither could: the release is not blamed */
        UPDATE_VERDICT_UPDATER_FAILED,         /* new updater does not answer on the bus */
        UPDATE_VERDICT_INTERRUPTED,            /* reboot, or the applying unit was stopped or killed */
        UPDATE_VERDICT_OPERATOR,               /* rolled back by request */
        UPDATE_VERDICT_INTERNAL,
        _UPDATE_VERDICT_MAX,
        _UPDATE_VERDICT_INVALID = -EINVAL,
} UpdateVerdict;

const char *update_verdict_to_string(UpdateVerdict v);        /* "gateway-unreachable" */
UpdateVerdict update_verdict_from_string(const char *s);
const char *update_verdict_explain(UpdateVerdict v);          /* a sentence for people */
/* Does the digest go onto the denylist? Only where the release itself is to blame. */
bool update_verdict_blames_release(UpdateVerdict v);
