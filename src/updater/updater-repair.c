/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-repair.h"

#include "log.h"
#include "messages.h"
#include "names.h"
#include "string-util.h"
#include "updater-agent.h"
#include "updater-package.h"
#include "updater-policy.h"

int updater_force_version(Updater *u, const char *version) {
        /* good first: in between it looks like a transaction without a record, which whoever comes next brings to its
         * end by moving current to where good is. */
        int r = link_set(u->root->bin_fd, FLEET_LINK_GOOD, version);
        if (r >= 0)
                r = link_set(u->root->bin_fd, FLEET_LINK_CURRENT, version);
        if (r < 0)
                return log_error_errno(r, "Failed to point the links in %s at %s: %m", u->root->bin_path, version);
        return 0;
}

/* The newest version that can run and may run; NULL if there is none. */
static int newest_usable(Updater *u, char **ret) {
        _cleanup_free_ char *floor = NULL, *best = NULL;
        _cleanup_strv_free_ char **versions = NULL;

        int r = versions_list(u->root->bin_fd, &versions);
        if (r < 0)
                return r;
        (void) floor_load(u->root, &floor);
        STRV_FOREACH(v, versions)
                if (floor_allows(floor, *v) && version_is_usable(u->root->bin_fd, *v)) {
                        r = free_and_strdup(&best, *v);
                        if (r < 0)
                                return r;
                }
        *ret = TAKE_PTR(best);
        return 0;
}

static int choose(Updater *u, const Links *links, bool current_failed, char **ret) {
        _cleanup_free_ char *packaged = NULL;
        int r;

        if (version_is_usable(u->root->bin_fd, links->good)) {
                *ret = strdup(links->good);
                return *ret ? 0 : -ENOMEM;
        }
        if (!current_failed && version_is_usable(u->root->bin_fd, links->current)) {
                *ret = strdup(links->current);
                return *ret ? 0 : -ENOMEM;
        }

        /* The files are broken, which nobody outside of this machine can bring about: then any agent is better than
         * none, even one below the floor. */
        r = package_copy(u, /* force= */ true, &packaged);
        if (r >= 0) {
                *ret = TAKE_PTR(packaged);
                return 0;
        }
        log_error_errno(r, "The packaged version cannot be used: %m");

        if (version_is_usable(u->root->bin_fd, links->current)) {
                *ret = strdup(links->current);
                return *ret ? 0 : -ENOMEM;
        }
        r = newest_usable(u, ret);
        if (r < 0)
                return r;
        return *ret ? 0 : -ENOENT;
}

int updater_repair(Updater *u, const Links *links, bool current_failed, bool restart_agent) {
        _cleanup_free_ char *version = NULL;

        log_warning("The links in %s are broken (current %s, good %s).", u->root->bin_path, strna(links->current),
                    strna(links->good));
        int r = choose(u, links, current_failed, &version);
        if (r < 0)
                return log_error_errno(
                                r, "There is no version that could run. Install the package again: %m");
        r = updater_force_version(u, version);
        if (r < 0)
                return r;
        log_event(LOG_WARNING, FLEET_MESSAGE_RECOVERED_STR,
                  "MESSAGE=The links were broken; the agent is now version %s.", version, "FLEET_VERSION=%s", version,
                  NULL);
        return restart_agent ? agent_bring_up(u, /* restart= */ true) : 0;
}
