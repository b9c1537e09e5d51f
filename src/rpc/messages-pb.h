/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The messages of proto/fleet/v1/gateway.proto as C structures, the only way in which other layers see them:
 * fill one that was set up by its __init() and hand it to a send function; read one inside the callback that
 * delivers it. Never free, pack or unpack them elsewhere: a delivered message is the rpc layer's and gone
 * when the callback returns. Strings in a delivered message are never NULL, valid UTF-8 without NUL and
 * capped (rpc-codec.h). */

#include "gateway.pb-c.h"
