/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Looks at a repository as a client does, with the client's own code and a store in a temporary directory.
 * Errors of this machine are logged; what the client says of the repository is in reterr_message. */

#include "release-repo.h"
#include "tuf-refresh.h"

typedef struct Client Client;

int client_new(Client **ret);
Client *client_free(Client *c); /* deletes the store */
DEFINE_POINTER_CLEANUP(Client, client_free);

/* 0 if all of it is accepted at that time, a TufOutcome above 0, or negative. */
int client_refresh_bytes(
                Client *c,
                const void *root,
                size_t root_size,
                usec_t realtime,
                const TufBytes *bytes,
                char **reterr_message);
int client_refresh_directory(
                Client *c,
                const void *root,
                size_t root_size,
                usec_t realtime,
                int dir_fd,
                const char *path,
                char **reterr_message);
/* What the last refresh verified; NULL if it did not get that far. The client's. */
const TufMetadata *client_get(const Client *c, TufRole role);
