/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Internal to src/rpc: the library's byte buffers and the codec. */

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

#include "rpc-codec.h"

/* Packs into a slice, which is the caller's. Errors as of rpc_pack(). */
int rpc_buffer_pack(const ProtobufCMessage *message, size_t max, grpc_slice *ret);

/* Errors as of rpc_unpack(); a compressed message is -EBADMSG, since nobody may make us inflate it. */
int rpc_buffer_unpack(
                grpc_byte_buffer *buffer,
                const ProtobufCMessageDescriptor *type,
                size_t max,
                RpcArena *arena,
                ProtobufCMessage **ret);

/* What a peer is told about a message that it should not have sent. */
const char *rpc_unpack_error_text(int error);
