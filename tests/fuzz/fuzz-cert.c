/* SPDX-License-Identifier: Apache-2.0 */
#include "pki-cert.h"

#include "alloc-util.h"
#include "string-util.h"
#include "tests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_cert(const PkiCert *c) {
        PkiCert *const anchors[] = { (PkiCert *) c, NULL };
        _cleanup_(pki_cert_freep) PkiCert *again = NULL;
        _cleanup_free_ char *pem = NULL, *id = NULL;
        const char *why = NULL;

        assert_ok(pki_cert_format_pem(c, &pem));
        assert_ok(pki_cert_parse_pem(pem, strlen(pem), &again));
        if (pki_cert_agent_id(c, &id) >= 0)
                assert_se(pki_agent_id_is_valid(id) && !pki_cert_is_ca(c));
        for (PkiPurpose p = 0; p < _PKI_PURPOSE_MAX; p++) {
                int r = pki_cert_verify(c, anchors, anchors, p, UINT64_C(1800000000000000), &why);
                assert_se(r == 0 || (r == -EKEYREJECTED && why));
                assert_se(pki_cert_verify(c, NULL, NULL, p, UINT64_C(1800000000000000), NULL) < 0);
        }
        (void) pki_cert_matches_host(c, "gateway.example");
        (void) pki_cert_matches_host(c, "192.0.2.1");
}

/* The same bytes as DER and as PEM. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(pki_certs_freep) PkiCert **certs = NULL;
        _cleanup_(pki_cert_freep) PkiCert *cert = NULL;

        if (pki_cert_parse_der(data, size, &cert) >= 0)
                check_cert(cert);
        if (pki_certs_parse_pem(data, size, &certs) >= 0)
                for (PkiCert **c = certs; *c; c++)
                        check_cert(*c);
        return 0;
}
