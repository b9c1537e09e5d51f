/* SPDX-License-Identifier: Apache-2.0 */

#include "rpc-client.h"

#include <grpc/support/alloc.h>

#include "alloc-util.h"
#include "log.h"
#include "rpc-buffer.h"
#include "rpc-client-internal.h"
#include "string-util.h"

#define DEFAULT_CONNECT_TIMEOUT (20 * USEC_PER_SEC)
#define DEFAULT_KEEPALIVE_TIME (30 * USEC_PER_SEC)
#define DEFAULT_KEEPALIVE_TIMEOUT (20 * USEC_PER_SEC)
#define METADATA_MAX 8192
#define TEXT_MAX 512U
#define ARGS_MAX 24U

struct RpcClient {
        RpcQueue *queue;
        char *target, *server_name, *user_agent;
        grpc_channel_credentials *credentials;
        RpcProof *proof;
        grpc_channel *channel;             /* made by the first call */
        usec_t connect_timeout, keepalive_time, keepalive_timeout;
        bool no_proxy;
};

static int to_ms(usec_t usec) {
        return (int) CLAMP(usec / USEC_PER_MSEC, (usec_t) 1, (usec_t) INT32_MAX);
}

static void channel_open(RpcClient *c) {
        grpc_arg args[ARGS_MAX];
        size_t n = 0;

#define INTEGER(name, number)                                                                               \
        args[n++] = (grpc_arg){ .type = GRPC_ARG_INTEGER, .key = (char *) (name), .value.integer = (number) }
#define STRING(name, text)                                                                                  \
        args[n++] = (grpc_arg) {                                                                            \
                .type = GRPC_ARG_STRING, .key = (char *) (name), .value.string = (text)                     \
        }
        INTEGER(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RPC_DOWN_MAX);
        INTEGER(GRPC_ARG_MAX_METADATA_SIZE, METADATA_MAX);
        INTEGER(GRPC_ARG_KEEPALIVE_TIME_MS, to_ms(c->keepalive_time));
        INTEGER(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, to_ms(c->keepalive_timeout));
        /* pings for as long as a stream is open, however quiet it is; none without one */
        INTEGER(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
        INTEGER(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0);
        INTEGER(GRPC_ARG_HTTP2_BDP_PROBE, 0);
        /* this also bounds an attempt to connect; pauses between attempts are the caller's */
        INTEGER(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, to_ms(c->connect_timeout));
        INTEGER(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 1000);
        INTEGER(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, to_ms(MAX(c->connect_timeout, USEC_PER_SEC)));
        INTEGER(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
        INTEGER(GRPC_ARG_ENABLE_RETRIES, 0);
        INTEGER(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
        INTEGER(GRPC_ARG_ENABLE_CHANNELZ, 0);
        INTEGER(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
        INTEGER(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
        INTEGER(GRPC_ARG_ENABLE_HTTP_PROXY, c->no_proxy ? 0 : 1);
        if (c->server_name)
                STRING(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, c->server_name);
        if (c->user_agent)
                STRING(GRPC_ARG_PRIMARY_USER_AGENT_STRING, c->user_agent);
#undef INTEGER
#undef STRING
        assert(n <= ARGS_MAX);
        c->channel = grpc_channel_create(
                        c->target, c->credentials, &(grpc_channel_args){ .num_args = n, .args = args });
}

int rpc_client_new(RpcClient **ret, RpcQueue *queue, const RpcClientOptions *o) {
        _cleanup_(rpc_client_freep) RpcClient *c = NULL;

        c = new0(RpcClient, 1);
        if (!c)
                return -ENOMEM;
        c->queue = queue;
        c->connect_timeout = o->connect_timeout ?: DEFAULT_CONNECT_TIMEOUT;
        c->keepalive_time = o->keepalive_time ?: DEFAULT_KEEPALIVE_TIME;
        c->keepalive_timeout = o->keepalive_timeout ?: DEFAULT_KEEPALIVE_TIMEOUT;
        c->no_proxy = o->no_proxy;
        c->target = strjoinf("dns:///%s", o->address);
        if (!c->target || free_and_strdup(&c->server_name, o->server_name) < 0 ||
            free_and_strdup(&c->user_agent, o->user_agent) < 0)
                return -ENOMEM;
        c->proof = rpc_proof_new();
        if (!c->proof)
                return -ENOMEM;
        c->credentials = rpc_credentials_channel(o->credentials, c->proof);
        if (!c->credentials)
                return -EKEYREJECTED;
        *ret = TAKE_PTR(c);
        return 0;
}

RpcClient *rpc_client_free(RpcClient *c) {
        if (!c)
                return NULL;
        if (c->channel)
                grpc_channel_destroy(c->channel);
        if (c->credentials)
                grpc_channel_credentials_release(c->credentials);
        rpc_proof_unref(c->proof);
        free(c->target);
        free(c->server_name);
        free(c->user_agent);
        free(c);
        return NULL;
}

grpc_call *rpc_client_create_call(RpcClient *c, const RpcMethod *method, usec_t timeout) {
        /* a channel whose last attempt failed answers with that failure until its own pause is over; the
         * caller has already made his */
        if (c->channel &&
            grpc_channel_check_connectivity_state(c->channel, 0) == GRPC_CHANNEL_TRANSIENT_FAILURE)
                grpc_channel_destroy(TAKE_PTR(c->channel));
        if (!c->channel)
                channel_open(c);
        if (!c->channel)
                return NULL;
        return grpc_channel_create_call(
                        c->channel, NULL, GRPC_PROPAGATE_DEFAULTS, rpc_queue_cq(c->queue, 0),
                        grpc_slice_from_static_string(method->path), NULL, rpc_deadline(timeout), NULL);
}

RpcQueue *rpc_client_queue(RpcClient *c) {
        return c->queue;
}

usec_t rpc_client_connect_timeout(const RpcClient *c) {
        return c->connect_timeout;
}

/* ---- how a call ends ---- */

void rpc_end_init(RpcEnd *e, RpcClient *c) {
        *e = (RpcEnd) {
                .code = GRPC_STATUS_UNKNOWN,
                .details = grpc_empty_slice(),
                .proof = rpc_proof_ref(c->proof),
                .proof_before = atomic_load(&c->proof->count),
        };
        grpc_metadata_array_init(&e->trailing);
}

void rpc_end_done(RpcEnd *e) {
        grpc_metadata_array_destroy(&e->trailing);
        grpc_slice_unref(e->details);
        gpr_free((void *) e->debug);
        free(e->text);
        rpc_proof_unref(e->proof);
}

grpc_op rpc_end_op(RpcEnd *e) {
        return (grpc_op) {
                .op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                .data.recv_status_on_client = {
                        .trailing_metadata = &e->trailing,
                        .status = &e->code,
                        .status_details = &e->details,
                        .error_string = &e->debug,
                },
        };
}

RpcResult rpc_end_result(RpcEnd *e) {
        if (!e->text) {
                _cleanup_free_ char *raw =
                                memdup_suffix0(GRPC_SLICE_START_PTR(e->details),
                                               MIN(GRPC_SLICE_LENGTH(e->details), (size_t) TEXT_MAX));
                e->text = raw ? string_escape(raw) : NULL;
        }
        RpcStatus status = e->code >= 0 && (int) e->code < _RPC_STATUS_MAX ? (RpcStatus) e->code :
                                                                             RPC_STATUS_UNKNOWN;

        if (status != RPC_STATUS_OK)
                log_debug("Call ended with %s: %s", rpc_status_to_string(status),
                          e->debug ?: strempty(e->text));
        bool marked = false;
        for (size_t i = 0; i < e->trailing.count && !marked; i++)
                marked = grpc_slice_str_cmp(e->trailing.metadata[i].key, RPC_MARK_KEY) == 0;
        bool proven = atomic_load(&e->proof->count) != e->proof_before;

        return (RpcResult) {
                .status = status,
                .failure = rpc_failure_classify(status, e->text, e->debug, marked, proven),
                .text = isempty(e->text) ? rpc_status_to_string(status) : e->text,
        };
}

/* ---- unary calls ---- */

struct RpcCall {
        const RpcMethod *method;
        RpcQueue *queue;
        grpc_call *call;
        grpc_byte_buffer *request, *response;
        grpc_metadata_array initial;
        RpcEnd end;
        RpcOp op;
        rpc_on_response_t on_response;
        void *userdata;
        bool freed;                        /* by the caller; the operation in flight still holds it */
        bool in_callback;
};

static void call_destroy(RpcCall *c) {
        if (c->call)
                grpc_call_unref(c->call);
        if (c->request)
                grpc_byte_buffer_destroy(c->request);
        if (c->response)
                grpc_byte_buffer_destroy(c->response);
        grpc_metadata_array_destroy(&c->initial);
        rpc_end_done(&c->end);
        free(c);
}

RpcCall *rpc_call_free(RpcCall *c) {
        if (!c)
                return NULL;
        c->freed = true;
        if (c->op.pending)
                grpc_call_cancel(c->call, NULL);
        else if (!c->in_callback)
                call_destroy(c);
        return NULL;
}

static void call_on_done(RpcOp *op) {
        RpcCall *c = op->owner;
        ProtobufCMessage *message = NULL;

        if (!c->freed) {
                RpcResult result = rpc_end_result(&c->end);

                if (result.status == RPC_STATUS_OK) {
                        int r = c->response ? rpc_buffer_unpack(
                                                              c->response, c->method->response,
                                                              c->method->response_max,
                                                              rpc_queue_arena(c->queue), &message) :
                                              -EBADMSG;
                        if (r < 0)
                                result = (RpcResult) {
                                        .status = RPC_STATUS_INTERNAL,
                                        .failure = RPC_FAILURE_LOCAL,
                                        .text = rpc_unpack_error_text(r),
                                };
                }
                c->in_callback = true;
                c->on_response(c, &result, message, c->userdata);
                c->in_callback = false;
                rpc_arena_reset(rpc_queue_arena(c->queue));
        }
        if (c->freed)
                call_destroy(c);
}

static int call_start(RpcCall *c) {
        grpc_op ops[6] = {
                { .op = GRPC_OP_SEND_INITIAL_METADATA },
                { .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = c->request },
                { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT },
                { .op = GRPC_OP_RECV_INITIAL_METADATA,
                  .data.recv_initial_metadata.recv_initial_metadata = &c->initial },
                { .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &c->response },
                rpc_end_op(&c->end),
        };

        return rpc_op_start(&c->op, c->call, ops, ELEMENTSOF(ops));
}

int rpc_call_start(
                RpcClient *client, const RpcMethod *method, const ProtobufCMessage *request, usec_t timeout,
                rpc_on_response_t on_response, void *userdata, RpcCall **ret) {

        _cleanup_(rpc_call_freep) RpcCall *c = NULL;
        grpc_slice slice;
        int r;

        if (method->stream || request->descriptor != method->request)
                return -EINVAL;

        c = new0(RpcCall, 1);
        if (!c)
                return -ENOMEM;
        c->method = method;
        c->queue = client->queue;
        c->on_response = on_response;
        c->userdata = userdata;
        grpc_metadata_array_init(&c->initial);
        rpc_end_init(&c->end, client);
        rpc_op_init(&c->op, client->queue, call_on_done, c);

        r = rpc_buffer_pack(request, method->request_max, &slice);
        if (r < 0)
                return r;
        c->request = grpc_raw_byte_buffer_create(&slice, 1);
        grpc_slice_unref(slice);
        c->call = rpc_client_create_call(client, method, timeout);
        if (!c->call)
                return -ENOMEM;
        r = call_start(c);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}
