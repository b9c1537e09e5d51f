/* SPDX-License-Identifier: Apache-2.0 */

#include "alloc-util.h"
#include "messages-pb.h"
#include "rpc-codec.h"
#include "rpc-methods.h"
#include "rpc-status.h"
#include "string-util.h"
#include "tests.h"

#define UP (&fleet__v1__agent_message__descriptor)

static int unpack(const void *data, size_t size, RpcArena *arena) {
        ProtobufCMessage *m;

        return rpc_unpack(UP, data, size, RPC_UP_MAX, arena, &m);
}

static void test_round_trip(void) {
        Fleet__V1__AgentMessage up = FLEET__V1__AGENT_MESSAGE__INIT;
        Fleet__V1__Hello hello = FLEET__V1__HELLO__INIT;
        Fleet__V1__Facts facts = FLEET__V1__FACTS__INIT;
        _cleanup_(rpc_arena_freep) RpcArena *arena = NULL;
        _cleanup_free_ uint8_t *data = NULL;
        ProtobufCMessage *m;
        size_t size;

        assert_ok(rpc_arena_new(&arena, RPC_ARENA_MAX));
        up.message_case = FLEET__V1__AGENT_MESSAGE__MESSAGE_HELLO;
        up.hello = &hello;
        hello.agent_id = (char *) "0123";
        hello.version = (char *) "1.0.0";
        hello.facts = &facts;
        facts.hostname = (char *) "b\xc3\xbcro";
        assert_ok(rpc_pack(&up.base, RPC_UP_MAX, (void **) &data, &size));

        for (unsigned i = 0; i < 100; i++) {
                assert_ok(rpc_unpack(UP, data, size, RPC_UP_MAX, arena, &m));
                const Fleet__V1__AgentMessage *a = (const Fleet__V1__AgentMessage *) m;
                assert_se(a->message_case == FLEET__V1__AGENT_MESSAGE__MESSAGE_HELLO);
                assert_streq(a->hello->facts->hostname, "b\xc3\xbcro");
                assert_streq(a->hello->session_token, "");
                rpc_arena_reset(arena);
        }

        /* every prefix is either refused or is a shorter message; nothing reads beyond it */
        for (size_t i = 0; i < size; i++) {
                _cleanup_free_ uint8_t *copy = memdup(data, i);
                (void) unpack(copy, i, arena);
                rpc_arena_reset(arena);
        }
        assert_error(rpc_unpack(UP, data, size, size - 1, arena, &m), EMSGSIZE);
        assert_ok(rpc_unpack(UP, "", 0, 10, arena, &m));
}

static void test_refused(void) {
        static const struct {
                const char *data;
                size_t size;
                int error;
        } table[] = {
                { "\x0a\x02\x0a\xff", 4, EBADMSG }, /* hello { agent_id: more than there is } */
                { "\x0a\x05\x0a\x03"
                  "a\0b",
                  7, EINVAL }, /* NUL in text */
                { "\x0a\x05\x0a\x03"
                  "a\xff"
                  "b",
                  7, EINVAL },                                 /* no UTF-8 */
                { "\x0a\x05\x0a\x03\xed\xa0\x80", 7, EINVAL }, /* a surrogate */
                { "\x0a\x04\x0a\x02\xc0\xaf", 6, EINVAL },     /* overlong */
                { "\x08\x01", 2, EBADMSG },                    /* a number where Hello belongs */
                { "\x0a\x02\x08\x01", 4, EBADMSG },            /* a number where text belongs */
                { "\x12\x02\x0a\x00", 4, EBADMSG },            /* text where a number belongs */
                { "\x0b", 1, EBADMSG },                        /* groups */
                { "\x0c", 1, EBADMSG },
                { "\x0f\x00", 2, EBADMSG }, /* wire type 7 */
                { "\x00\x00", 2, EBADMSG }, /* field 0 */
                { "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11, EBADMSG },
                { "\xff\xff\xff\xff\xff\x01\x00", 7, EBADMSG }, /* field number beyond 32 bits */
                { "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, EBADMSG }, /* length 2^64 - 1 */
                { "\x0a\x80\x80\x80\x80\x08", 6, EBADMSG },                      /* length 2^31 */
        };
        _cleanup_(rpc_arena_freep) RpcArena *arena = NULL;

        assert_ok(rpc_arena_new(&arena, RPC_ARENA_MAX));
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                int r = unpack(table[i].data, table[i].size, arena);
                if (r != -table[i].error)
                        fprintf(stderr, "row %zu: %d\n", i, r);
                assert_se(r == -table[i].error);
        }

        /* unknown fields are for later versions: accepted, up to a number */
        static uint8_t many[2 * RPC_FIELDS_MAX + 2];
        for (size_t i = 0; i < sizeof(many); i += 2) {
                many[i] = 15 << 3;
                many[i + 1] = 1;
        }
        assert_ok(unpack(many, 2 * RPC_FIELDS_MAX, arena));
        assert_error(unpack(many, sizeof(many), arena), EINVAL);
}

static void test_limits(void) {
        Fleet__V1__EnrollResponse response = FLEET__V1__ENROLL_RESPONSE__INIT;
        Fleet__V1__AgentMessage up = FLEET__V1__AGENT_MESSAGE__INIT;
        Fleet__V1__UpdateStatus status = FLEET__V1__UPDATE_STATUS__INIT;
        _cleanup_(rpc_arena_freep) RpcArena *arena = NULL, *tiny = NULL;
        _cleanup_free_ char *text = calloc(1, RPC_TEXT_MAX + 2);
        static uint8_t bytes[RPC_BYTES_MAX + 1];
        ProtobufCMessage *m;
        void *data = NULL;
        size_t size;

        up.message_case = FLEET__V1__AGENT_MESSAGE__MESSAGE_UPDATE_STATUS;
        up.update_status = &status;
        memset(text, 'x', RPC_TEXT_MAX + 1);
        status.message = text;
        assert_error(rpc_pack(&up.base, RPC_UP_MAX, &data, &size), EINVAL);
        text[RPC_TEXT_MAX] = '\0';
        assert_ok(rpc_pack(&up.base, RPC_UP_MAX, &data, &size));
        assert_error(rpc_pack(&up.base, size - 1, &data, &size), EMSGSIZE);

        /* an arena that is too small says so, and is usable afterwards */
        assert_ok(rpc_arena_new(&tiny, 2048));
        assert_ok(rpc_arena_new(&arena, RPC_ARENA_MAX));
        assert_error(rpc_unpack(UP, data, size, RPC_UP_MAX, tiny, &m), ENOMEM);
        rpc_arena_reset(tiny);
        assert_ok(rpc_unpack(UP, "", 0, 10, arena, &m));
        free(data);

        response.certificate = (ProtobufCBinaryData) { .len = sizeof(bytes), .data = bytes };
        assert_error(rpc_pack(&response.base, RPC_DOWN_MAX, &data, &size), EINVAL);
        response.certificate.len--;
        assert_ok(rpc_pack(&response.base, RPC_DOWN_MAX, &data, &size));
        free(data);

        status.message = (char *) "\xff";
        assert_error(rpc_pack(&up.base, RPC_UP_MAX, &data, &size), EINVAL);
}

static void test_classify(void) {
        static const char peer[] = "Error received from peer ipv4:192.0.2.1:1";
        static const struct {
                RpcStatus status;
                const char *text, *detail;
                bool marked, proven;
                RpcFailure failure;
        } table[] = {
                { RPC_STATUS_OK, "", NULL, true, true, RPC_FAILURE_NONE },
                { RPC_STATUS_UNAVAILABLE, "draining", peer, true, true, RPC_FAILURE_PEER },
                { RPC_STATUS_UNAVAILABLE, "Socket closed", peer, false, true, RPC_FAILURE_UNREACHABLE },
                { RPC_STATUS_UNAVAILABLE, "Connection refused", NULL, false, false,
                  RPC_FAILURE_UNREACHABLE },
                { RPC_STATUS_UNAVAILABLE, "failed to connect to all addresses", NULL, false, true,
                  RPC_FAILURE_CLIENT_CERTIFICATE },
                { RPC_STATUS_UNAVAILABLE, "certificate verify failed", NULL, false, false,
                  RPC_FAILURE_SERVER_CERTIFICATE },
                { RPC_STATUS_PERMISSION_DENIED, "", peer, false, false, RPC_FAILURE_PEER },
                { RPC_STATUS_DEADLINE_EXCEEDED, "", peer, true, false, RPC_FAILURE_DEADLINE },
                { RPC_STATUS_CANCELLED, "", NULL, false, false, RPC_FAILURE_LOCAL },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_se(rpc_failure_classify(
                                          table[i].status, table[i].text, table[i].detail, table[i].marked,
                                          table[i].proven) == table[i].failure);
        for (int i = 0; i < _RPC_STATUS_MAX; i++)
                assert_se(rpc_status_to_string((RpcStatus) i));
        assert_streq(rpc_status_to_string((RpcStatus) 99), "unknown");
        assert_streq(rpc_failure_to_string(RPC_FAILURE_PEER), "peer");
}

int main(void) {
        test_round_trip();
        test_refused();
        test_limits();
        test_classify();
        return 0;
}
