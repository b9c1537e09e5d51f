/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the releases of the registry come from, and how they fared, as the JSON of docs/api.md. As view.h. */

#include "registry.h"
#include "view.h"

/* set: whose roles, keys and signatures are shown; may be NULL. */
json_t *view_metadata(const RegistryMetadata *m, const TufTrustedSet *set);
/* So many agents whose newest update was to this release ended in this phase; adds them to its "failed_on". */
int view_release_add_failures(json_t *release, UpdatePhase phase, uint64_t agents);
