/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* OLPC canonical JSON: what signatures and keyids are computed over. Members sorted by code point, no white
 * space, only \ and " escaped, everything else as raw UTF-8, integers only. Pure. */

#include "json.h"

#define TUF_CANONICAL_DEPTH_MAX 16

/* -EBADMSG for a real number or more than TUF_CANONICAL_DEPTH_MAX levels, -ENOMEM. A NUL stands behind the
 * result. */
int tuf_canonical_encode(json_t *value, char **ret, size_t *ret_size);
