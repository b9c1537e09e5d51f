/* SPDX-License-Identifier: Apache-2.0 */

#include "rpc-fixture.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "alloc-util.h"
#include "event-util.h"
#include "fd-util.h"
#include "log.h"
#include "string-util.h"

/* For ThreadSanitizer, see tests/tsan.supp; unused in other builds. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
        return "ignore_noninstrumented_modules=1";
}

static void identity_finish(PkiKey *key, PkiCert *cert, Identity *ret) {
        assert_ok(pki_key_format_pem(key, &ret->key, NULL));
        assert_ok(pki_cert_format_pem(cert, &ret->chain));
}

void identity_agent(PkiCa *ca, const char *id, usec_t start, usec_t lifetime, Identity *ret) {
        _cleanup_(pki_key_freep) PkiKey *key = NULL;
        _cleanup_(pki_csr_freep) PkiCsr *csr = NULL;
        _cleanup_(pki_cert_freep) PkiCert *cert = NULL;
        _cleanup_free_ void *der = NULL;
        size_t size;

        assert_ok(pki_key_generate(&key));
        assert_ok(pki_csr_make(key, id, &der, &size));
        assert_ok(pki_csr_parse(der, size, &csr));
        assert_ok(pki_ca_issue_agent(ca, csr, id, start, lifetime, &cert));
        identity_finish(key, cert, ret);
}

void identity_gateway(PkiCa *ca, Identity *ret) {
        char *names[] = { (char *) "localhost", (char *) "127.0.0.1", NULL };
        _cleanup_(pki_key_freep) PkiKey *key = NULL;
        _cleanup_(pki_cert_freep) PkiCert *cert = NULL;

        assert_ok(pki_key_generate(&key));
        assert_ok(pki_ca_issue_server(ca, key, names, now(CLOCK_REALTIME), 0, &cert));
        identity_finish(key, cert, ret);
}

void identity_done(Identity *i) {
        free(i->chain);
        free(i->key);
        *i = (Identity) { 0 };
}

void fixture_init(Fixture *f, unsigned threads, unsigned capacity) {
        usec_t time = now(CLOCK_REALTIME);

        *f = (Fixture) { 0 };
        assert_ok(crypto_init());
        log_setup("test-rpc");
        assert_ok(sd_event_new(&f->event));
        assert_ok(rpc_queue_new(&f->queue, f->event, threads, capacity));
        assert_ok(pki_ca_create("test CA", time, 0, &f->ca));
        assert_ok(pki_cert_format_pem(pki_ca_cert(f->ca), &f->ca_pem));
        identity_gateway(f->ca, &f->gateway);
        identity_agent(f->ca, "agent-1", time, 0, &f->agent);
}

void fixture_done(Fixture *f) {
        f->queue = rpc_queue_free(f->queue);
        sd_event_unref(f->event);
        pki_ca_free(f->ca);
        free(f->ca_pem);
        identity_done(&f->gateway);
        identity_done(&f->agent);
}

uint16_t fixture_port(Fixture *f, RpcServer *s, bool clients_needed) {
        _cleanup_(rpc_credentials_freep) RpcCredentials *c = NULL;
        uint16_t port = 0;

        assert_ok(rpc_credentials_new_server(
                        clients_needed ? f->ca_pem : NULL, f->gateway.chain, f->gateway.key, &c));
        assert_ok(rpc_server_add_port(s, "127.0.0.1:0", c, &port));
        assert_se(port > 0);
        return port;
}

RpcClient *fixture_client_full(
                Fixture *f,
                uint16_t port,
                const Identity *identity,
                const char *ca,
                const RpcClientOptions *options) {

        _cleanup_(rpc_credentials_freep) RpcCredentials *c = NULL;
        RpcClientOptions o = options ? *options : (RpcClientOptions) { 0 };
        RpcClient *client;
        char address[32];

        snprintf(address, sizeof(address), "127.0.0.1:%u", port);
        assert_ok(rpc_credentials_new_client(ca ?: f->ca_pem, identity ? identity->chain : NULL,
                                             identity ? identity->key : NULL, &c));
        o.address = address;
        o.credentials = c;
        o.no_proxy = true;
        assert_ok(rpc_client_new(&client, f->queue, &o));
        return client;
}

RpcClient *fixture_client(Fixture *f, uint16_t port, const Identity *identity, const char *ca) {
        return fixture_client_full(f, port, identity, ca, NULL);
}

void run_until_at_least(Fixture *f, const unsigned *counter, unsigned n, unsigned seconds) {
        usec_t end = now(CLOCK_MONOTONIC) + seconds * USEC_PER_SEC;

        while (*counter < n) {
                assert_ok(sd_event_run(f->event, 100 * USEC_PER_MSEC));
                if (now(CLOCK_MONOTONIC) > end)
                        fprintf(stderr, "waited %u s for %u, have %u\n", seconds, n, *counter);
                assert_se(now(CLOCK_MONOTONIC) <= end);
        }
}

void run_for(Fixture *f, usec_t time) {
        usec_t end = now(CLOCK_MONOTONIC) + time;

        while (now(CLOCK_MONOTONIC) < end)
                assert_ok(sd_event_run(f->event, 10 * USEC_PER_MSEC));
}

static int tcp_bound(uint16_t *ret_port) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(a);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_se(fd >= 0);
        assert_se(bind(fd, (struct sockaddr *) &a, sizeof(a)) == 0);
        assert_se(getsockname(fd, (struct sockaddr *) &a, &size) == 0);
        *ret_port = ntohs(a.sin_port);
        return fd;
}

int silent_listener(uint16_t *ret_port) {
        int fd = tcp_bound(ret_port);

        assert_se(listen(fd, 16) == 0);
        return fd;
}

uint16_t unused_port(void) {
        uint16_t port;

        fd_close(tcp_bound(&port));
        return port;
}

int tcp_connect(uint16_t port) {
        struct sockaddr_in a = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port),
        };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_se(fd >= 0);
        assert_se(connect(fd, (struct sockaddr *) &a, sizeof(a)) == 0);
        return fd;
}
