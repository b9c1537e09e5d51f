/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How calls and streams end. Pure, but for the classification of a failed connection, which reads what the
 * library says in words, since it says it in no other way. */

#include "macro.h"

/* The status codes of gRPC; the numbers are those of the wire. */
typedef enum RpcStatus {
        RPC_STATUS_OK = 0,
        RPC_STATUS_CANCELLED = 1,
        RPC_STATUS_UNKNOWN = 2,
        RPC_STATUS_INVALID_ARGUMENT = 3,
        RPC_STATUS_DEADLINE_EXCEEDED = 4,
        RPC_STATUS_NOT_FOUND = 5,
        RPC_STATUS_ALREADY_EXISTS = 6,
        RPC_STATUS_PERMISSION_DENIED = 7,
        RPC_STATUS_RESOURCE_EXHAUSTED = 8,
        RPC_STATUS_FAILED_PRECONDITION = 9,
        RPC_STATUS_ABORTED = 10,
        RPC_STATUS_OUT_OF_RANGE = 11,
        RPC_STATUS_UNIMPLEMENTED = 12,
        RPC_STATUS_INTERNAL = 13,
        RPC_STATUS_UNAVAILABLE = 14,
        RPC_STATUS_DATA_LOSS = 15,
        RPC_STATUS_UNAUTHENTICATED = 16,
        _RPC_STATUS_MAX,
} RpcStatus;

const char *rpc_status_to_string(RpcStatus s);     /* "unavailable"; "unknown" if out of range */

/* Who or what is to blame when a client's call does not end with OK. */
typedef enum RpcFailure {
        RPC_FAILURE_NONE,
        RPC_FAILURE_UNREACHABLE,        /* no connection, or lost: name, route, refused, timeout, reset */
        RPC_FAILURE_SERVER_CERTIFICATE, /* what answers is not the server we trust */
        RPC_FAILURE_CLIENT_CERTIFICATE, /* the server refuses our certificate, or wants one */
        RPC_FAILURE_DEADLINE, /* connected, but no answer in time; keepalive counts as unreachable */
        RPC_FAILURE_LOCAL,    /* we ended it ourselves: cancelled, message too large or malformed */
        RPC_FAILURE_PEER,     /* the authenticated peer itself answered with this status */
        _RPC_FAILURE_MAX,
} RpcFailure;

const char *rpc_failure_to_string(RpcFailure f);   /* "server-certificate" */

typedef struct RpcResult {
        RpcStatus status;
        RpcFailure failure;
        const char *text;                 /* for people, never NULL; valid in the callback */
} RpcResult;

/* detail: the library's own account of a status, in which "Error received from peer" tells who said it,
 * except that it says so of lost connections too. marked: the status carries the mark of our server, so that
 * it did speak. server_proven: the server has shown its certificate during this very call. When the
 * connection then ends before anything was said on it, it is our certificate that was refused: the library
 * sends no TLS alert that would say so. */
RpcFailure rpc_failure_classify(
                RpcStatus status, const char *text, const char *detail, bool marked, bool server_proven);
