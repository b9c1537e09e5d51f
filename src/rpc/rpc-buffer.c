/* SPDX-License-Identifier: Apache-2.0 */

#include "rpc-buffer.h"

#include <grpc/byte_buffer_reader.h>

int rpc_buffer_pack(const ProtobufCMessage *message, size_t max, grpc_slice *ret) {
        size_t size = protobuf_c_message_get_packed_size(message);

        if (size > max)
                return -EMSGSIZE;
        grpc_slice slice = grpc_slice_malloc(size);
        protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
        int r = rpc_wire_check(message->descriptor, GRPC_SLICE_START_PTR(slice), size, max);
        if (r < 0) {
                grpc_slice_unref(slice);
                return r == -EBADMSG ? -EINVAL : r;
        }
        *ret = slice;
        return 0;
}

int rpc_buffer_unpack(
                grpc_byte_buffer *buffer,
                const ProtobufCMessageDescriptor *type,
                size_t max,
                RpcArena *arena,
                ProtobufCMessage **ret) {

        grpc_byte_buffer_reader reader;

        if (buffer->type != GRPC_BB_RAW || buffer->data.raw.compression != GRPC_COMPRESS_NONE)
                return -EBADMSG;
        if (grpc_byte_buffer_length(buffer) > max)
                return -EMSGSIZE;
        if (!grpc_byte_buffer_reader_init(&reader, buffer))
                return -EBADMSG;
        /* one slice is used where it is, several are joined */
        grpc_slice slice = grpc_byte_buffer_reader_readall(&reader);
        grpc_byte_buffer_reader_destroy(&reader);
        int r = rpc_unpack(type, GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice), max, arena, ret);
        grpc_slice_unref(slice);
        return r;
}

const char *rpc_unpack_error_text(int error) {
        switch (error) {
        case -EMSGSIZE:
                return "Message is too large.";
        case -EINVAL:
                return "Message has a field that is too long, too many fields, or text that is not UTF-8.";
        case -ENOMEM:
                return "Message needs too much memory.";
        default:
                return "Message is malformed.";
        }
}
