/* SPDX-License-Identifier: Apache-2.0 */

/* bench-verify REPOSITORY FILE: how long the updater's two kinds of verification take: a whole refresh of the
 * metadata into an empty store, and hashing one file. Prints one line per run; bench/run makes medians. */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "crypto.h"
#include "fd-util.h"
#include "fs-util.h"
#include "log.h"
#include "string-util.h"
#include "time-util.h"
#include "tuf-refresh.h"
#include "version.h"

#define RUNS 15U

static int refresh_once(int repository_fd, const char *store_path, usec_t *ret) {
        _cleanup_(tuf_store_freep) TufStore *store = NULL;
        _cleanup_(tuf_refresh_freep) TufRefresh *refresh = NULL;
        int r;

        usec_t started = now(CLOCK_MONOTONIC);
        r = tuf_store_open(store_path, &store);
        if (r < 0)
                return r;
        r = tuf_refresh_new(
                        &(TufRefreshOptions) {
                                        .store = store,
                                        .trusted_root = fleet_trusted_root,
                                        .trusted_root_size = fleet_trusted_root_size,
                                        .now_usec = now(CLOCK_REALTIME),
                        },
                        &refresh);
        if (r < 0)
                return r;
        r = tuf_refresh_run_directory(refresh, repository_fd, "metadata");
        if (r < 0)
                return r;
        if (tuf_refresh_outcome(refresh) != TUF_OK) {
                log_error("The repository is refused: %s", tuf_refresh_message(refresh));
                return -EBADMSG;
        }
        *ret = now(CLOCK_MONOTONIC) - started;
        return 0;
}

static int hash_once(const char *path, usec_t *ret, uint64_t *ret_size) {
        uint8_t digest[SHA256_SIZE];

        usec_t started = now(CLOCK_MONOTONIC);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return negative_errno();
        int r = sha256_fd(fd, GIB(4), digest, ret_size);
        *ret = now(CLOCK_MONOTONIC) - started;
        return r;
}

int main(int argc, char *argv[]) {
        char directory[] = "/tmp/bench-verify-XXXXXX";

        log_setup("bench-verify");
        if (argc != 3) {
                log_error("Usage: bench-verify REPOSITORY FILE");
                return 2;
        }
        _cleanup_close_ int repository_fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (repository_fd < 0) {
                log_error_errno(-errno, "Cannot open '%s': %m", argv[1]);
                return 1;
        }
        if (crypto_init() < 0 || !mkdtemp(directory))
                return 1;

        int r = 0;
        for (unsigned i = 0; i < RUNS && r >= 0; i++) {
                _cleanup_free_ char *store_path = strjoinf("%s/%u", directory, i);
                usec_t refresh = 0, hash = 0;
                uint64_t size = 0;

                r = mkdir_parents(store_path, 0700);
                if (r >= 0)
                        r = refresh_once(repository_fd, store_path, &refresh);
                if (r >= 0)
                        r = hash_once(argv[2], &hash, &size);
                if (r >= 0)
                        printf(USEC_FMT " " USEC_FMT " %" PRIu64 "\n", refresh, hash, size);
        }
        if (r < 0)
                log_error_errno(r, "Measuring failed: %m");
        (void) tree_remove_at(AT_FDCWD, directory);
        return r < 0;
}
