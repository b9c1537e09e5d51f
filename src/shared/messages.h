/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* MESSAGE_IDs of journal entries. Each has an entry in catalog/fleet-agent.catalog; tests/check-catalog.sh compares. */

#define FLEET_MESSAGE_CONNECTED_STR "6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e01"
#define FLEET_MESSAGE_DISCONNECTED_STR "6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e02"
#define FLEET_MESSAGE_ENROLLED_STR "6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e03"
#define FLEET_MESSAGE_UPDATE_PHASE_STR "6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e04"
#define FLEET_MESSAGE_UPDATE_REFUSED_STR "6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e05"
#define FLEET_MESSAGE_STAGED_STR "6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e06"
#define FLEET_MESSAGE_SWAPPED_STR "6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e07"
#define FLEET_MESSAGE_COMMITTED_STR "6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e08"
#define FLEET_MESSAGE_ROLLED_BACK_STR "6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e09"
#define FLEET_MESSAGE_RECOVERED_STR "6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e0a"
#define FLEET_MESSAGE_METADATA_EXPIRED_STR "6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e0b"
#define FLEET_MESSAGE_CLONE_SUSPECTED_STR "6f2d3a0f5b7e4b0d9c1f6f6f0a1c4e0c"
