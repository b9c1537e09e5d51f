/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-selftest.h"

#include <stdio.h>

#include "agent-conf.h"
#include "agent-facts.h"
#include "crypto.h"
#include "event-util.h"
#include "hex.h"
#include "http-client.h"
#include "log.h"
#include "messages-pb.h"
#include "names.h"
#include "pki-ca.h"
#include "rpc-client.h"
#include "rpc-codec.h"
#include "string-util.h"
#include "tuf-metadata.h"
#include "version.h"

static int check_version(void) {
        const char *wanted = getenv(FLEET_SELF_TEST_VERSION);

        if (wanted && !streq(wanted, fleet_version)) {
                fprintf(stderr, "This is version %s, but it was signed as %s.\n", fleet_version, wanted);
                return -EINVAL;
        }
        return version_is_valid(fleet_version) ? 0 : -EINVAL;
}

static int check_sha256(void) {
        /* FIPS 180-2, B.1 */
        static const char expected[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        uint8_t digest[SHA256_SIZE];
        char hex[SHA256_HEX_MAX];

        int r = crypto_init();
        if (r < 0)
                return r;
        sha256_bytes("abc", 3, digest);
        hex_encode(digest, sizeof(digest), hex);
        return streq(hex, expected) ? 0 : -EBADMSG;
}

static int check_ed25519(void) {
        /* RFC 8032, section 7.1, test 2 */
        static const char public_hex[] = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        static const char signature_hex[] =
                        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        uint8_t public[ED25519_PUBLIC_SIZE], signature[ED25519_SIGNATURE_SIZE];

        if (hex_decode(public_hex, public, sizeof(public)) < 0 ||
            hex_decode(signature_hex, signature, sizeof(signature)) < 0)
                return -EINVAL;
        if (ed25519_verify(public, signature, "\x72", 1) != 1)
                return -EBADMSG;
        return ed25519_verify(public, signature, "\x73", 1) == 0 ? 0 : -EKEYREJECTED;
}

/* A binary without a trusted root is allowed to run; it says so when it is asked for an update. */
static int check_trusted_root(void) {
        _cleanup_(tuf_metadata_freep) TufMetadata *root = NULL;
        _cleanup_free_ char *message = NULL;

        if (fleet_trusted_root_size == 0)
                return 0;
        int r = tuf_metadata_parse(
                        TUF_ROLE_ROOT, fleet_trusted_root, fleet_trusted_root_size, &root, &message);
        if (r != 0)
                fprintf(stderr, "%s\n", strempty(message));
        return r > 0 ? -EBADMSG : r;
}

/* The whole of a certificate's life: key, request, issue, verify. */
static int check_pki(void) {
        _cleanup_(pki_key_freep) PkiKey *key = NULL;
        _cleanup_(pki_ca_freep) PkiCa *ca = NULL;
        _cleanup_(pki_csr_freep) PkiCsr *csr = NULL;
        _cleanup_(pki_cert_freep) PkiCert *cert = NULL;
        _cleanup_free_ void *der = NULL;
        usec_t time = now(CLOCK_REALTIME);
        size_t size;

        int r = pki_key_generate(&key);
        if (r >= 0)
                r = pki_csr_make(key, "self-test", &der, &size);
        if (r >= 0)
                r = pki_csr_parse(der, size, &csr);
        if (r >= 0)
                r = pki_ca_create("self-test", time, USEC_PER_HOUR, &ca);
        if (r >= 0)
                r = pki_ca_issue_agent(ca, csr, "self-test", time, USEC_PER_HOUR, &cert);
        if (r < 0)
                return r;
        PkiCert *anchors[] = { (PkiCert *) pki_ca_cert(ca), NULL };
        return pki_cert_verify(cert, NULL, anchors, PKI_PURPOSE_CLIENT, time, NULL);
}

static int check_messages(void) {
        _cleanup_(rpc_arena_freep) RpcArena *arena = NULL;
        Fleet__V1__ProbeRequest request = FLEET__V1__PROBE_REQUEST__INIT;
        ProtobufCMessage *unpacked = NULL;
        _cleanup_free_ void *data = NULL;
        size_t size;

        request.version = (char *) fleet_version;
        int r = rpc_pack(&request.base, RPC_UP_MAX, &data, &size);
        if (r >= 0)
                r = rpc_arena_new(&arena, RPC_ARENA_MAX);
        if (r >= 0)
                r = rpc_unpack(&fleet__v1__probe_request__descriptor, data, size, RPC_UP_MAX, arena,
                               &unpacked);
        if (r < 0)
                return r;
        return streq(((Fleet__V1__ProbeRequest *) unpacked)->version, fleet_version) ? 0 : -EBADMSG;
}

/* gRPC with its threads and TLS, as far as that goes without a network. */
static int check_rpc(void) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(rpc_credentials_freep) RpcCredentials *credentials = NULL;
        _cleanup_(pki_ca_freep) PkiCa *ca = NULL;
        _cleanup_free_ char *pem = NULL;
        RpcQueue *queue = NULL;
        RpcClient *client = NULL;

        int r = pki_ca_create("self-test", now(CLOCK_REALTIME), USEC_PER_HOUR, &ca);
        if (r >= 0)
                r = pki_cert_format_pem(pki_ca_cert(ca), &pem);
        if (r >= 0)
                r = rpc_credentials_new_client(pem, NULL, NULL, &credentials);
        if (r >= 0)
                r = sd_event_new(&event);
        if (r >= 0)
                r = rpc_queue_new(&queue, event, 1, 8);
        if (r >= 0)
                r = rpc_client_new(
                                &client, queue,
                                &(RpcClientOptions){ .address = "localhost:1", .credentials = credentials });
        rpc_client_free(client);
        rpc_queue_free(queue);
        return r;
}

static int check_http(void) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(http_client_freep) HttpClient *http = NULL;
        int r = sd_event_new(&event);
        return r < 0 ? r : http_client_new(&http, event, "fleet-agent/self-test");
}

static int check_configuration(void) {
        static const char text[] = "[Gateway]\nAddress=gateway.example:7443\n";
        AgentConf c;
        int r = agent_conf_parse(&c, "self-test", text, strlen(text));
        if (r < 0)
                return r;
        r = streq_ptr(c.url, "https://gateway.example:8443") ? 0 : -EBADMSG;
        agent_conf_done(&c);
        return r;
}

int agent_self_test(void) {
        static const struct {
                const char *name;
                int (*run)(void);
        } checks[] = {
                { "version", check_version },
                { "sha-256", check_sha256 },
                { "ed25519", check_ed25519 },
                { "trusted root", check_trusted_root },
                { "keys and certificates", check_pki },
                { "messages", check_messages },
                { "configuration", check_configuration },
                { "https client", check_http },
                { "grpc", check_rpc },
        };
        for (size_t i = 0; i < ELEMENTSOF(checks); i++) {
                int r = checks[i].run();
                if (r < 0)
                        return log_error_errno(r, "Self-test of %s failed: %m", checks[i].name);
                printf("self-test: %s ok\n", checks[i].name);
        }
        return 0;
}
