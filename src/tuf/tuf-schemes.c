/* SPDX-License-Identifier: Apache-2.0 */

#include "tuf-key.h"

/* The production table and nothing else: see tuf-key.h for why this is a file of its own. */

const TufScheme *const tuf_schemes[] = {
        &tuf_scheme_ed25519,
        NULL,
};
