/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Is a file signed by enough of a role's keys? Goes over the role's keyids (not over the signatures) and
 * counts distinct key material, so that neither one key under two keyids nor a repeated keyid counts twice.
 * Pure. */

#include "tuf-metadata.h"

/* root: whose keys and role definitions count. 0 or TUF_BAD_SIGNATURE. */
int tuf_signatures_verify(
                const TufMetadata *root, TufRole role, const TufMetadata *m, char **reterr_message);
/* Did this key of the root sign m well? */
bool tuf_signatures_has(const TufMetadata *root, const char *keyid, const TufMetadata *m);
/* How many distinct keys of the role signed m well. */
size_t tuf_signatures_count(const TufMetadata *root, TufRole role, const TufMetadata *m);
