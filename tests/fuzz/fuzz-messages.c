/* SPDX-License-Identifier: Apache-2.0 */
#include "messages-pb.h"
#include "rpc-codec.h"
#include "rpc-methods.h"
#include "tests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses the type. Whatever unpacks can be packed, and that is a fixed point: no message can
 * pass our check that the other side of the same check would refuse. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const ProtobufCMessageDescriptor *const types[] = {
                &fleet__v1__agent_message__descriptor,   &fleet__v1__gateway_message__descriptor,
                &fleet__v1__enroll_request__descriptor,  &fleet__v1__enroll_response__descriptor,
                &fleet__v1__probe_request__descriptor,   &fleet__v1__renew_certificate_request__descriptor,
        };
        _cleanup_(rpc_arena_freep) RpcArena *arena = NULL;
        _cleanup_free_ void *one = NULL, *two = NULL;
        size_t size_one, size_two;
        ProtobufCMessage *m;

        if (size == 0)
                return 0;
        const ProtobufCMessageDescriptor *type = types[data[0] % ELEMENTSOF(types)];

        assert_ok(rpc_arena_new(&arena, RPC_ARENA_MAX));
        int r = rpc_unpack(type, data + 1, size - 1, RPC_UP_MAX, arena, &m);
        if (r < 0) {
                assert_se(IN_SET(r, -EMSGSIZE, -EBADMSG, -EINVAL, -ENOMEM));
                return 0;
        }
        assert_ok(rpc_pack(m, RPC_DOWN_MAX, &one, &size_one));
        rpc_arena_reset(arena);
        assert_ok(rpc_unpack(type, one, size_one, RPC_DOWN_MAX, arena, &m));
        assert_ok(rpc_pack(m, RPC_DOWN_MAX, &two, &size_two));
        assert_se(size_one == size_two && memcmp(one, two, size_one) == 0);
        return 0;
}
