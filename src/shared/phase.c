/* SPDX-License-Identifier: Apache-2.0 */

#include "phase.h"

#include "string-util.h"

static const struct {
        const char *name, *title;
} phases[_UPDATE_PHASE_MAX] = {
        [UPDATE_PHASE_QUEUED] = { "queued", "Queued" },
        [UPDATE_PHASE_OFFERED] = { "offered", "Offered" },
        [UPDATE_PHASE_DOWNLOADING] = { "downloading", "Downloading" },
        [UPDATE_PHASE_VERIFYING] = { "verifying", "Verifying" },
        [UPDATE_PHASE_STAGING] = { "staging", "Staging" },
        [UPDATE_PHASE_RESTARTING] = { "restarting", "Restarting" },
        [UPDATE_PHASE_CONNECTED] = { "connected", "Connected" },
        [UPDATE_PHASE_CONFIRMING] = { "confirming", "Confirming" },
        [UPDATE_PHASE_ROLLING_BACK] = { "rolling-back", "Rolling back" },
        [UPDATE_PHASE_SUCCEEDED] = { "succeeded", "Back Online" },
        [UPDATE_PHASE_ROLLED_BACK] = { "rolled-back", "Rolled back" },
        [UPDATE_PHASE_FAILED] = { "failed", "Failed" },
        [UPDATE_PHASE_TIMED_OUT] = { "timed-out", "Timed out" },
        [UPDATE_PHASE_CANCELLED] = { "cancelled", "Cancelled" },
};

const char *update_phase_to_string(UpdatePhase p) {
        return p >= 0 && p < _UPDATE_PHASE_MAX ? phases[p].name : NULL;
}

UpdatePhase update_phase_from_string(const char *s) {
        for (UpdatePhase p = 0; s && p < _UPDATE_PHASE_MAX; p++)
                if (streq(phases[p].name, s))
                        return p;
        return _UPDATE_PHASE_INVALID;
}

const char *update_phase_title(UpdatePhase p) {
        return p >= 0 && p < _UPDATE_PHASE_MAX ? phases[p].title : NULL;
}

bool update_phase_is_terminal(UpdatePhase p) {
        return p >= UPDATE_PHASE_SUCCEEDED && p < _UPDATE_PHASE_MAX;
}

bool update_phase_can_follow(UpdatePhase p, UpdatePhase next) {
        if (!update_phase_to_string(p) || !update_phase_to_string(next) || p == next)
                return false;

        if (p == UPDATE_PHASE_TIMED_OUT) /* the machine came back and tells how it really ended, or goes on */
                return next != UPDATE_PHASE_CANCELLED && next > UPDATE_PHASE_OFFERED;
        if (update_phase_is_terminal(p))
                return false;

        switch (next) {
        case UPDATE_PHASE_FAILED:
                return p < UPDATE_PHASE_RESTARTING; /* afterwards there is something to go back from */
        case UPDATE_PHASE_CANCELLED:
                return p < UPDATE_PHASE_RESTARTING;
        case UPDATE_PHASE_ROLLED_BACK:
        case UPDATE_PHASE_TIMED_OUT:
                return true;
        case UPDATE_PHASE_SUCCEEDED:
                return p != UPDATE_PHASE_ROLLING_BACK;
        default:
                return next > p;
        }
}

static const struct {
        const char *name, *sentence;
        bool blames_release;
} verdicts[_UPDATE_VERDICT_MAX] = {
        [UPDATE_VERDICT_NONE] = { "none", "All is well.", false },
        [UPDATE_VERDICT_DOWNLOAD_FAILED] = { "download-failed", "The files could not be downloaded.", false },
        [UPDATE_VERDICT_METADATA_EXPIRED] = {
                "metadata-expired", "The signed metadata has expired; somebody has to publish it anew.", false },
        [UPDATE_VERDICT_VERIFICATION_FAILED] = {
                "verification-failed", "Signatures or hashes do not match; nothing of it was used.", false },
        [UPDATE_VERDICT_NOT_FOUND] = { "not-found", "There is no such release for this machine.", false },
        [UPDATE_VERDICT_NOT_FOR_US] = {
                "not-for-us", "The release is for another architecture or operating system.", false },
        [UPDATE_VERDICT_DOWNGRADE] = { "downgrade", "The version is not newer than the one installed.", false },
        [UPDATE_VERDICT_BELOW_FLOOR] = {
                "below-floor", "The version is older than the oldest one that may still run here.", false },
        [UPDATE_VERDICT_REQUIRES_OTHER] = {
                "requires-other", "Another version has to be installed before this one.", false },
        [UPDATE_VERDICT_REQUIRES_PACKAGING] = {
                "requires-packaging", "The release needs a newer package (units, bus policy) on this machine.", false },
        [UPDATE_VERDICT_DENYLISTED] = {
                "denylisted", "This build was rolled back here and is refused for a while.", false },
        [UPDATE_VERDICT_PINNED] = { "pinned", "The machine's owner holds the version.", false },
        [UPDATE_VERDICT_DISK_FULL] = { "disk-full", "There is not enough space on the disk.", false },
        [UPDATE_VERDICT_SELF_TEST_FAILED] = {
                "self-test-failed", "The new binaries did not pass their self-tests on this machine.", true },
        [UPDATE_VERDICT_BUSY] = { "busy", "Another update is in progress.", false },
        [UPDATE_VERDICT_NO_TRUSTED_ROOT] = {
                "no-trusted-root", "This build has no trusted root and takes no updates.", false },
        [UPDATE_VERDICT_CRASHED] = { "crashed", "The new version kept exiting.", true },
        [UPDATE_VERDICT_WATCHDOG] = { "watchdog", "The new version hung.", true },
        [UPDATE_VERDICT_NOT_CONNECTED] = {
                "not-connected", "The new version did not reach the gateway, which the old one could.", true },
        [UPDATE_VERDICT_GATEWAY_UNREACHABLE] = {
                "gateway-unreachable", "The gateway could not be reached, by the old version either.", false },
        [UPDATE_VERDICT_UPDATER_FAILED] = {
                "updater-failed", "The new updater does not answer on the bus.", true },
        [UPDATE_VERDICT_INTERRUPTED] = {
                "interrupted", "The machine restarted, or the update was stopped, before it was confirmed.", false },
        [UPDATE_VERDICT_OPERATOR] = { "operator", "Rolled back by request.", false },
        [UPDATE_VERDICT_INTERNAL] = { "internal", "The update failed for a reason of its own; see the journal.", false },
};

const char *update_verdict_to_string(UpdateVerdict v) {
        return v >= 0 && v < _UPDATE_VERDICT_MAX ? verdicts[v].name : NULL;
}

UpdateVerdict update_verdict_from_string(const char *s) {
        for (UpdateVerdict v = 0; s && v < _UPDATE_VERDICT_MAX; v++)
                if (streq(verdicts[v].name, s))
                        return v;
        return _UPDATE_VERDICT_INVALID;
}

const char *update_verdict_explain(UpdateVerdict v) {
        return v >= 0 && v < _UPDATE_VERDICT_MAX ? verdicts[v].sentence : NULL;
}

bool update_verdict_blames_release(UpdateVerdict v) {
        return v >= 0 && v < _UPDATE_VERDICT_MAX && verdicts[v].blames_release;
}
