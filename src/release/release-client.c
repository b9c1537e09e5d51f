/* SPDX-License-Identifier: Apache-2.0 */

#include "release-client.h"

#include <fcntl.h>
#include <stdlib.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "fs-util.h"
#include "log.h"
#include "string-util.h"

struct Client {
        char *path;
        TufStore *store;
        TufRefresh *refresh;
};

int client_new(Client **ret) {
        _cleanup_(client_freep) Client *c = new0(Client, 1);
        if (!c)
                return log_oom();

        const char *t = getenv("TMPDIR");
        _cleanup_free_ char *pattern = strjoinf("%s/fleet-release-XXXXXX", isempty(t) ? "/tmp" : t);
        if (!pattern)
                return log_oom();
        if (!mkdtemp(pattern))
                return log_error_errno(
                                negative_errno(), "Cannot make a temporary directory %s: %m", pattern);
        c->path = TAKE_PTR(pattern);
        int r = tuf_store_open(c->path, &c->store);
        if (r < 0)
                return log_error_errno(r, "Cannot open the temporary directory %s: %m", c->path);
        *ret = TAKE_PTR(c);
        return 0;
}

Client *client_free(Client *c) {
        if (c) {
                tuf_refresh_free(c->refresh);
                tuf_store_free(c->store);
                if (c->path && tree_remove_at(AT_FDCWD, c->path) < 0)
                        log_warning("Cannot delete the temporary directory %s, ignoring.", c->path);
                free(c->path);
                free(c);
        }
        return NULL;
}

static int begin(Client *c, const void *root, size_t root_size, usec_t realtime) {
        const TufRefreshOptions options = {
                .store = c->store,
                .trusted_root = root,
                .trusted_root_size = root_size,
                .now_usec = realtime,
        };

        c->refresh = tuf_refresh_free(c->refresh); /* gives up the store's lock */
        int r = tuf_refresh_new(&options, &c->refresh);
        return r < 0 ? log_error_errno(r, "Cannot begin to verify: %m") : 0;
}

static int end(Client *c, int error, char **reterr_message) {
        if (error < 0)
                return log_error_errno(error, "Cannot verify: %s", tuf_refresh_message(c->refresh));
        if (tuf_refresh_outcome(c->refresh) == TUF_OK)
                return 0;
        return tuf_refuse(
                        tuf_refresh_outcome(c->refresh), reterr_message, "%s",
                        tuf_refresh_message(c->refresh));
}

int client_refresh_bytes(
                Client *c,
                const void *root,
                size_t root_size,
                usec_t realtime,
                const TufBytes *bytes,
                char **reterr_message) {
        int r = begin(c, root, root_size, realtime);
        return r < 0 ? r : end(c, tuf_refresh_run_bytes(c->refresh, bytes), reterr_message);
}

int client_refresh_directory(
                Client *c,
                const void *root,
                size_t root_size,
                usec_t realtime,
                int dir_fd,
                const char *path,
                char **reterr_message) {
        int r = begin(c, root, root_size, realtime);
        return r < 0 ? r : end(c, tuf_refresh_run_directory(c->refresh, dir_fd, path), reterr_message);
}

const TufMetadata *client_get(const Client *c, TufRole role) {
        return c->refresh ? tuf_trusted_set_get(tuf_refresh_trusted(c->refresh), role) : NULL;
}
