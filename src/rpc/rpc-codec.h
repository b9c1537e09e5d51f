/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Messages to bytes and back, with limits. Unpacking looks at the bytes first, without allocating anything:
 * size, depth, number of fields, length of every text and byte string, UTF-8, no NUL in text, no group, no
 * truncation; only then protobuf-c unpacks, into an arena that cannot grow beyond its cap. Packing applies
 * the same check to its own result, so that nothing is sent that the other side would refuse. */

#include <protobuf-c/protobuf-c.h>

#include "macro.h"

#define RPC_TEXT_MAX 4096U             /* a string field */
#define RPC_BYTES_MAX 16384U           /* a bytes field */
#define RPC_DEPTH_MAX 8U
#define RPC_FIELDS_MAX 1024U           /* in one message with all that is nested */
#define RPC_ARENA_MAX 1048576U

/* 0; -EMSGSIZE above max; -EBADMSG malformed; -EINVAL well-formed but beyond a limit or not UTF-8. */
int rpc_wire_check(const ProtobufCMessageDescriptor *type, const void *data, size_t size, size_t max);

typedef struct RpcArena RpcArena;
int rpc_arena_new(RpcArena **ret, size_t max);
RpcArena *rpc_arena_free(RpcArena *a);
DEFINE_POINTER_CLEANUP(RpcArena, rpc_arena_free);
void rpc_arena_reset(RpcArena *a);                 /* everything unpacked into it is gone */

/* The message lives in the arena. Errors as of rpc_wire_check(), or -ENOMEM when the arena is full. */
int rpc_unpack(const ProtobufCMessageDescriptor *type,
               const void *data,
               size_t size,
               size_t max,
               RpcArena *arena,
               ProtobufCMessage **ret);

/* size: of the packed message; data: filled by malloc(). -EMSGSIZE, -EINVAL, -ENOMEM. */
int rpc_pack(const ProtobufCMessage *message, size_t max, void **ret, size_t *ret_size);
