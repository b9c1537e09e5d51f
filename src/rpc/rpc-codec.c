/* SPDX-License-Identifier: Apache-2.0 */

#include "rpc-codec.h"

#include "alloc-util.h"
#include "string-util.h"

/* ---- looking at the bytes ---- */

enum {
        WIRE_VARINT = 0,
        WIRE_FIXED64 = 1,
        WIRE_LENGTH = 2,
        WIRE_FIXED32 = 5,
};

typedef struct Reader {
        const uint8_t *p, *end;
} Reader;

static int read_varint(Reader *r, uint64_t *ret) {
        uint64_t value = 0;

        for (unsigned shift = 0; shift < 64; shift += 7) {
                if (r->p >= r->end)
                        return -EBADMSG;
                uint8_t byte = *r->p++;
                value |= (uint64_t) (byte & 0x7f) << shift;
                if ((byte & 0x80) == 0) {
                        *ret = value;
                        return 0;
                }
        }
        return -EBADMSG;
}

static int skip(Reader *r, uint64_t n) {
        if (n > (uint64_t) (r->end - r->p))
                return -EBADMSG;
        r->p += n;
        return 0;
}

static unsigned wire_type_of(ProtobufCType type) {
        switch (type) {
        case PROTOBUF_C_TYPE_STRING:
        case PROTOBUF_C_TYPE_BYTES:
        case PROTOBUF_C_TYPE_MESSAGE:
                return WIRE_LENGTH;
        case PROTOBUF_C_TYPE_FIXED64:
        case PROTOBUF_C_TYPE_SFIXED64:
        case PROTOBUF_C_TYPE_DOUBLE:
                return WIRE_FIXED64;
        case PROTOBUF_C_TYPE_FIXED32:
        case PROTOBUF_C_TYPE_SFIXED32:
        case PROTOBUF_C_TYPE_FLOAT:
                return WIRE_FIXED32;
        default:
                return WIRE_VARINT;
        }
}

static int check_text(const uint8_t *data, size_t size) {
        if (size > RPC_TEXT_MAX || memchr(data, 0, size) || !utf8_is_valid((const char *) data, size))
                return -EINVAL;
        return 0;
}

static int
check_message(const ProtobufCMessageDescriptor *type, Reader r, unsigned depth, unsigned *n_fields);

static int check_length_delimited(
                const ProtobufCFieldDescriptor *field, Reader inner, unsigned depth, unsigned *n_fields) {
        size_t size = (size_t) (inner.end - inner.p);

        if (!field)
                return size > RPC_BYTES_MAX ? -EINVAL : 0;
        switch (field->type) {
        case PROTOBUF_C_TYPE_STRING:
                return check_text(inner.p, size);
        case PROTOBUF_C_TYPE_BYTES:
                return size > RPC_BYTES_MAX ? -EINVAL : 0;
        case PROTOBUF_C_TYPE_MESSAGE:
                return depth + 1 >= RPC_DEPTH_MAX ?
                                       -EINVAL :
                                       check_message(field->descriptor, inner, depth + 1, n_fields);
        default:
                /* packed numbers; protobuf-c checks what is inside */
                return field->label == PROTOBUF_C_LABEL_REPEATED ? 0 : -EBADMSG;
        }
}

static int
check_field(const ProtobufCMessageDescriptor *type, Reader *r, unsigned depth, unsigned *n_fields) {
        uint64_t tag, value;
        Reader inner;
        int k;

        k = read_varint(r, &tag);
        if (k < 0)
                return k;
        if (tag > UINT32_MAX || tag >> 3 == 0)
                return -EBADMSG;
        unsigned wire = (unsigned) (tag & 7);
        const ProtobufCFieldDescriptor *field =
                        protobuf_c_message_descriptor_get_field(type, (unsigned) (tag >> 3));

        switch (wire) {
        case WIRE_VARINT:
                k = read_varint(r, &value);
                break;
        case WIRE_FIXED64:
                k = skip(r, 8);
                break;
        case WIRE_FIXED32:
                k = skip(r, 4);
                break;
        case WIRE_LENGTH:
                k = read_varint(r, &value);
                if (k < 0)
                        return k;
                inner.p = r->p;
                k = skip(r, value);
                if (k < 0)
                        return k;
                inner.end = r->p;
                return check_length_delimited(field, inner, depth, n_fields);
        default:
                return -EBADMSG;
        }
        if (k < 0)
                return k;
        return !field || wire_type_of(field->type) == wire ? 0 : -EBADMSG;
}

static int
check_message(const ProtobufCMessageDescriptor *type, Reader r, unsigned depth, unsigned *n_fields) {
        while (r.p < r.end) {
                if (++*n_fields > RPC_FIELDS_MAX)
                        return -EINVAL;
                int k = check_field(type, &r, depth, n_fields);
                if (k < 0)
                        return k;
        }
        return 0;
}

int rpc_wire_check(const ProtobufCMessageDescriptor *type, const void *data, size_t size, size_t max) {
        unsigned n_fields = 0;

        if (size > max)
                return -EMSGSIZE;
        if (size == 0)
                return 0;
        return check_message(
                        type, (Reader){ .p = data, .end = (const uint8_t *) data + size }, 0, &n_fields);
}

/* ---- arena ---- */

#define CHUNK_SIZE 4096U
#define ALIGNMENT 16U

typedef struct Chunk Chunk;
struct Chunk {
        Chunk *next;
        size_t size, used;
        _Alignas(ALIGNMENT) uint8_t data[];
};

struct RpcArena {
        size_t max, total;                 /* bytes of all chunks */
        bool overflow;
        Chunk *chunks;                     /* the newest first */
        ProtobufCAllocator allocator;
};

static int arena_grow(RpcArena *a, size_t size) {
        size_t n = MAX(size, (size_t) CHUNK_SIZE);

        if (n > a->max - a->total)
                return -ENOMEM;
        Chunk *c = malloc(sizeof(Chunk) + n);
        if (!c)
                return -ENOMEM;
        *c = (Chunk) { .next = a->chunks, .size = n };
        a->chunks = c;
        a->total += n;
        return 0;
}

static void *arena_alloc(void *userdata, size_t size) {
        RpcArena *a = userdata;

        if (size <= a->max) {
                size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
                if ((a->chunks && size <= a->chunks->size - a->chunks->used) || arena_grow(a, size) >= 0) {
                        void *p = a->chunks->data + a->chunks->used;
                        a->chunks->used += size;
                        return p;
                }
        }
        a->overflow = true;
        return NULL;
}

/* Everything goes at once. */
static void arena_release(void *userdata, void *p) {
}

int rpc_arena_new(RpcArena **ret, size_t max) {
        RpcArena *a = new0(RpcArena, 1);

        if (!a)
                return -ENOMEM;
        a->max = max;
        a->allocator = (ProtobufCAllocator){ .alloc = arena_alloc,
                                             .free = arena_release,
                                             .allocator_data = a };
        *ret = a;
        return 0;
}

static void arena_trim(RpcArena *a, bool keep_one) {
        while (a->chunks && (!keep_one || a->chunks->next || a->chunks->size > CHUNK_SIZE)) {
                Chunk *c = a->chunks;
                a->chunks = c->next;
                a->total -= c->size;
                free(c);
        }
        if (a->chunks)
                a->chunks->used = 0;
        a->overflow = false;
}

RpcArena *rpc_arena_free(RpcArena *a) {
        if (!a)
                return NULL;
        arena_trim(a, /* keep_one= */ false);
        free(a);
        return NULL;
}

void rpc_arena_reset(RpcArena *a) {
        arena_trim(a, /* keep_one= */ true);
}

/* ---- messages ---- */

int rpc_unpack(const ProtobufCMessageDescriptor *type,
               const void *data,
               size_t size,
               size_t max,
               RpcArena *arena,
               ProtobufCMessage **ret) {

        int r = rpc_wire_check(type, data, size, max);
        if (r < 0)
                return r;
        arena->overflow = false;
        ProtobufCMessage *m = protobuf_c_message_unpack(type, &arena->allocator, size, data);
        if (!m)
                return arena->overflow ? -ENOMEM : -EBADMSG;
        *ret = m;
        return 0;
}

int rpc_pack(const ProtobufCMessage *message, size_t max, void **ret, size_t *ret_size) {
        _cleanup_free_ void *data = NULL;
        size_t size = protobuf_c_message_get_packed_size(message);

        if (size > max)
                return -EMSGSIZE;
        data = malloc(size ?: 1);
        if (!data)
                return -ENOMEM;
        protobuf_c_message_pack(message, data);
        int r = rpc_wire_check(message->descriptor, data, size, max);
        if (r < 0)
                return r == -EBADMSG ? -EINVAL : r;
        *ret = TAKE_PTR(data);
        *ret_size = size;
        return 0;
}
