/* SPDX-License-Identifier: Apache-2.0 */

#include "rpc-status.h"

#include "string-util.h"

const char *rpc_status_to_string(RpcStatus s) {
        static const char *const table[_RPC_STATUS_MAX] = {
                [RPC_STATUS_OK] = "ok",
                [RPC_STATUS_CANCELLED] = "cancelled",
                [RPC_STATUS_UNKNOWN] = "unknown",
                [RPC_STATUS_INVALID_ARGUMENT] = "invalid-argument",
                [RPC_STATUS_DEADLINE_EXCEEDED] = "deadline-exceeded",
                [RPC_STATUS_NOT_FOUND] = "not-found",
                [RPC_STATUS_ALREADY_EXISTS] = "already-exists",
                [RPC_STATUS_PERMISSION_DENIED] = "permission-denied",
                [RPC_STATUS_RESOURCE_EXHAUSTED] = "resource-exhausted",
                [RPC_STATUS_FAILED_PRECONDITION] = "failed-precondition",
                [RPC_STATUS_ABORTED] = "aborted",
                [RPC_STATUS_OUT_OF_RANGE] = "out-of-range",
                [RPC_STATUS_UNIMPLEMENTED] = "unimplemented",
                [RPC_STATUS_INTERNAL] = "internal",
                [RPC_STATUS_UNAVAILABLE] = "unavailable",
                [RPC_STATUS_DATA_LOSS] = "data-loss",
                [RPC_STATUS_UNAUTHENTICATED] = "unauthenticated",
        };

        return s >= 0 && s < _RPC_STATUS_MAX ? table[s] : "unknown";
}

const char *rpc_failure_to_string(RpcFailure f) {
        static const char *const table[_RPC_FAILURE_MAX] = {
                [RPC_FAILURE_NONE] = "none",
                [RPC_FAILURE_UNREACHABLE] = "unreachable",
                [RPC_FAILURE_SERVER_CERTIFICATE] = "server-certificate",
                [RPC_FAILURE_CLIENT_CERTIFICATE] = "client-certificate",
                [RPC_FAILURE_DEADLINE] = "deadline",
                [RPC_FAILURE_LOCAL] = "local",
                [RPC_FAILURE_PEER] = "peer",
        };

        return f >= 0 && f < _RPC_FAILURE_MAX ? table[f] : "unknown";
}

static bool mentions(const char *text, const char *detail, const char *words) {
        return (text && strcasestr(text, words)) || (detail && strcasestr(detail, words));
}

RpcFailure rpc_failure_classify(
                RpcStatus status, const char *text, const char *detail, bool marked, bool server_proven) {
        /* TLS alerts that the server sends about our certificate, in OpenSSL's spelling */
        static const char *const client_certificate[] = {
                "alert certificate required",    "alert certificate expired", "alert certificate unknown",
                "alert certificate revoked",     "alert bad certificate",     "alert unknown ca",
                "alert unsupported certificate", "alert handshake failure",   "alert access denied",
                "alert decrypt error",
        };
        static const char *const server_certificate[] = {
                "certificate verify failed",
                "Peer name",
                "Hostname Verification Check failed",
                "certificate_verify_failed",
        };

        if (status == RPC_STATUS_OK)
                return RPC_FAILURE_NONE;
        /* both sides watch the deadline; it does not matter who was first */
        if (status == RPC_STATUS_DEADLINE_EXCEEDED)
                return RPC_FAILURE_DEADLINE;
        if (marked ||
            (status != RPC_STATUS_UNAVAILABLE && detail && strstr(detail, "Error received from peer")))
                return RPC_FAILURE_PEER;
        if (status == RPC_STATUS_UNAVAILABLE) {
                for (size_t i = 0; i < ELEMENTSOF(client_certificate); i++)
                        if (mentions(text, detail, client_certificate[i]))
                                return RPC_FAILURE_CLIENT_CERTIFICATE;
                for (size_t i = 0; i < ELEMENTSOF(server_certificate); i++)
                        if (mentions(text, detail, server_certificate[i]))
                                return RPC_FAILURE_SERVER_CERTIFICATE;
                if (server_proven && mentions(text, detail, "failed to connect"))
                        return RPC_FAILURE_CLIENT_CERTIFICATE;
                return RPC_FAILURE_UNREACHABLE;
        }
        return RPC_FAILURE_LOCAL;
}
