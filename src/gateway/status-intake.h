/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What agents report about updates: made durable, then acknowledged, then acted upon. Loop's thread. */

#include "messages-pb.h"
#include "stream-session.h"

/* Negative: not taken (the store's queue is full); the agent repeats it in its next session. */
int status_intake(StreamSession *s, const Fleet__V1__UpdateStatus *status);
