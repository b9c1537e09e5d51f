/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway-ca.h"

#include <unistd.h>

#include "alloc-util.h"
#include "fs-util.h"
#include "hex.h"
#include "log.h"
#include "messages.h"
#include "string-util.h"

struct GatewayCa {
        PkiCa *ca;
        PkiKey *server_key;
        PkiCert *server_cert;
        char *ca_pem, *server_pem, *server_key_pem;
        size_t server_key_size;
        char pin[SHA256_HEX_MAX];
};

GatewayCa *gateway_ca_free(GatewayCa *c) {
        if (!c)
                return NULL;
        pki_cert_free(c->server_cert);
        pki_key_free(c->server_key);
        pki_ca_free(c->ca);
        free(c->ca_pem);
        free(c->server_pem);
        if (c->server_key_pem)
                secret_free(c->server_key_pem, c->server_key_size);
        free(c);
        return NULL;
}

static int ca_load_or_create(GatewayCa *c, int state_fd, char *const *names, usec_t time) {
        _cleanup_free_ char *name = NULL;
        int r;

        r = pki_ca_load_at(state_fd, "ca.pem", "ca.key", &c->ca);
        if (r >= 0)
                return 0;
        if (r != -ENOENT)
                return log_error_errno(r, "Failed to load ca.pem and ca.key from the state directory: %m. "
                                       "Restore both from a backup; a new CA would lock all agents out.");

        name = strjoinf("fleet-agent CA of %s", names[0]);
        if (!name)
                return log_oom();
        r = pki_ca_create(name, time, 0, &c->ca);
        if (r < 0)
                return log_error_errno(r, "Failed to create the certificate authority: %m");
        r = pki_ca_save_at(c->ca, state_fd, "ca.pem", "ca.key");
        if (r < 0)
                return log_error_errno(
                                r, "Failed to store the certificate authority in the state directory: %m");
        log_notice("Created the certificate authority \"%s\". Back up the state directory.", name);
        return 0;
}

static bool server_cert_is_good(GatewayCa *c, char *const *names, usec_t time) {
        PkiCert *anchors[] = { (PkiCert *) pki_ca_cert(c->ca), NULL };

        if (!pki_cert_has_key(c->server_cert, c->server_key) ||
            pki_cert_verify(c->server_cert, NULL, anchors, PKI_PURPOSE_SERVER, time, NULL) < 0 ||
            pki_cert_not_after(c->server_cert) < usec_add(time, GATEWAY_CA_RENEW_BEFORE))
                return false;
        STRV_FOREACH(name, names)
                if (!pki_cert_matches_host(c->server_cert, *name))
                        return false;
        return true;
}

static int server_load(GatewayCa *c, int state_fd) {
        _cleanup_free_ void *pem = NULL;
        size_t size;
        int r;

        r = pki_key_load_at(state_fd, "server.key", &c->server_key);
        if (r < 0)
                return r;
        r = file_read_at(state_fd, "server.pem", PKI_CERT_PEM_MAX, &pem, &size);
        if (r < 0)
                return r;
        return pki_cert_parse_pem(pem, size, &c->server_cert);
}

static int server_issue(GatewayCa *c, int state_fd, char *const *names, usec_t time) {
        _cleanup_free_ char *pem = NULL;
        int r;

        c->server_cert = pki_cert_free(c->server_cert);
        c->server_key = pki_key_free(c->server_key);
        r = pki_key_generate(&c->server_key);
        if (r < 0)
                return r;
        r = pki_ca_issue_server(c->ca, c->server_key, names, time, 0, &c->server_cert);
        if (r == -EINVAL)
                return log_error_errno(
                                r,
                                "Failed to issue the server certificate: a Name= is neither a DNS name nor "
                                "an address.");
        if (r < 0)
                return r;
        r = pki_cert_format_pem(c->server_cert, &pem);
        if (r < 0)
                return r;
        r = pki_key_save_at(c->server_key, state_fd, "server.key");
        if (r < 0)
                return r;
        r = file_write_atomic_at(state_fd, "server.pem", pem, strlen(pem), 0644);
        if (r < 0)
                return r;
        log_event(LOG_INFO, FLEET_MESSAGE_SERVER_CERTIFICATE_STR,
                  "MESSAGE=Issued a server certificate for %s%s.", names[0],
                  names[1] ? " and other names" : "", "FLEET_REASON=%s", "issued", "FLEET_CERTIFICATE=%s",
                  pki_cert_serial(c->server_cert), NULL);
        return 0;
}

static int ca_format(GatewayCa *c) {
        _cleanup_free_ char *leaf = NULL;
        uint8_t pin[SHA256_SIZE];
        int r;

        r = pki_cert_format_pem(pki_ca_cert(c->ca), &c->ca_pem);
        if (r < 0)
                return r;
        r = pki_cert_format_pem(c->server_cert, &leaf);
        if (r < 0)
                return r;
        c->server_pem = strjoinf("%s%s", leaf, c->ca_pem);
        if (!c->server_pem)
                return -ENOMEM;
        pki_cert_pin(pki_ca_cert(c->ca), pin);
        hex_encode(pin, sizeof(pin), c->pin);
        return pki_key_format_pem(c->server_key, &c->server_key_pem, &c->server_key_size);
}

int gateway_ca_open(GatewayCa **ret, int state_fd, char *const *names, usec_t time) {
        _cleanup_(gateway_ca_freep) GatewayCa *c = NULL;
        int r;

        c = new0(GatewayCa, 1);
        if (!c)
                return log_oom();
        r = ca_load_or_create(c, state_fd, names, time);
        if (r < 0)
                return r;
        r = server_load(c, state_fd);
        if (r == -ENOMEM)
                return log_oom();
        if (r < 0 || !server_cert_is_good(c, names, time)) {
                r = server_issue(c, state_fd, names, time);
                if (r < 0)
                        return log_error_errno(r, "Failed to make the server certificate: %m");
        }
        r = ca_format(c);
        if (r < 0)
                return log_error_errno(r, "Failed to prepare the certificates: %m");
        *ret = TAKE_PTR(c);
        return 0;
}

const PkiCa *gateway_ca_get(const GatewayCa *c) {
        return c->ca;
}

const char *gateway_ca_pem(const GatewayCa *c) {
        return c->ca_pem;
}

const char *gateway_ca_pin(const GatewayCa *c) {
        return c->pin;
}

const char *gateway_ca_server_pem(const GatewayCa *c) {
        return c->server_pem;
}

const char *gateway_ca_server_key_pem(const GatewayCa *c) {
        return c->server_key_pem;
}

usec_t gateway_ca_server_expires(const GatewayCa *c) {
        return pki_cert_not_after(c->server_cert);
}
