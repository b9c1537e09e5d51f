/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The steps by which an uploaded repository becomes the one that is served. One at a time. */

#include "registry-import.h"

/* dir_fd: the upload, with metadata/ and targets/; must live until on_result, which runs on the loop. The actor
 * is copied. */
int registry_commit_start(
                Registry *registry,
                StoreWorker *worker,
                int dir_fd,
                const AuditActor *actor,
                import_on_result_t on_result,
                void *userdata);
