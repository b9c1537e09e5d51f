/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "hex.h"
#include "pki-ca.h"
#include "pki-openssl.h"
#include "string-util.h"
#include "tests.h"

#define T0 (UINT64_C(1800000000) * USEC_PER_SEC)       /* a moment in 2027 */

typedef struct Fixture {
        PkiCa *ca;
        PkiKey *key;
        PkiCsr *csr;
} Fixture;

static void csr_of(const PkiKey *key, PkiCsr **ret) {
        _cleanup_free_ void *der = NULL;
        size_t size;

        assert_ok(pki_csr_make(key, "anything", &der, &size));
        assert_ok(pki_csr_parse(der, size, ret));
}

static void fixture_init(Fixture *f) {
        assert_ok(pki_ca_create("test CA", T0, 0, &f->ca));
        assert_ok(pki_key_generate(&f->key));
        csr_of(f->key, &f->csr);
}

static void fixture_done(Fixture *f) {
        pki_ca_free(f->ca);
        pki_key_free(f->key);
        pki_csr_free(f->csr);
}

static void test_key(void) {
        char directory[] = "/tmp/test-pki-XXXXXX";
        _cleanup_(pki_key_freep) PkiKey *a = NULL, *b = NULL, *c = NULL;
        _cleanup_close_ int dir_fd = -EBADF;
        char *pem, *again;
        size_t size, size_again;
        struct stat st;

        assert_ok(pki_key_generate(&a));
        assert_ok(pki_key_format_pem(a, &pem, &size));
        assert_se(startswith(pem, "-----BEGIN PRIVATE KEY-----\n"));
        assert_ok(pki_key_parse_pem(pem, size, &b));
        assert_ok(pki_key_format_pem(b, &again, &size_again));
        assert_streq(pem, again);
        secret_free(again, size_again);
        assert_error(pki_key_parse_pem("no key", 6, &c), EBADMSG);
        assert_error(pki_key_parse_pem(pem, size - 40, &c), EBADMSG);
        assert_error(pki_key_parse_pem(pem, PKI_KEY_PEM_MAX + 1, &c), EFBIG);
        secret_free(pem, size);

        assert_se(mkdtemp(directory));
        dir_fd = dir_open_at(AT_FDCWD, directory);
        assert_ok(dir_fd);
        assert_error(pki_key_load_at(dir_fd, "key.pem", &c), ENOENT);
        assert_ok(pki_key_save_at(a, dir_fd, "key.pem"));
        assert_se(fstatat(dir_fd, "key.pem", &st, 0) == 0 && (st.st_mode & 07777) == 0600);
        assert_ok(pki_key_load_at(dir_fd, "key.pem", &c));
        assert_se(fchmodat(dir_fd, "key.pem", 0640, 0) == 0);
        PkiKey *d = NULL;
        assert_error(pki_key_load_at(dir_fd, "key.pem", &d), EPERM);
        assert_se(symlinkat("key.pem", dir_fd, "link.pem") == 0);
        assert_error(pki_key_load_at(dir_fd, "link.pem", &d), ELOOP);
        assert_se(!d);
        assert_ok(tree_remove_at(AT_FDCWD, directory));
}

static char *private_pem(EVP_PKEY *pkey, size_t *ret_size) {
        _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());
        char *data;

        assert_se(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1);
        *ret_size = (size_t) BIO_get_mem_data(bio, &data);
        return memdup_suffix0(data, *ret_size);
}

/* A request with any key and digest, as no well-behaved agent makes it. */
static void *foreign_csr(EVP_PKEY *pkey, EVP_PKEY *signer, const EVP_MD *digest, size_t *ret_size) {
        _cleanup_(x509_req_releasep) X509_REQ *request = X509_REQ_new();
        unsigned char *der = NULL;

        assert_se(X509_REQ_set_pubkey(request, pkey) == 1);
        assert_se(X509_REQ_sign(request, signer, digest) > 0);
        int size = i2d_X509_REQ(request, &der);
        assert_se(size > 0);
        void *copy = memdup(der, (size_t) size);
        OPENSSL_free(der);
        *ret_size = (size_t) size;
        return copy;
}

static void check_foreign_csr(EVP_PKEY *pkey, EVP_PKEY *signer, const EVP_MD *digest, int error) {
        _cleanup_free_ void *der = NULL;
        PkiCsr *csr = NULL;
        size_t size;

        der = foreign_csr(pkey, signer, digest, &size);
        assert_error(pki_csr_parse(der, size, &csr), error);
        assert_se(!csr && ERR_peek_error() == 0);
}

static void test_key_kinds(void) {
        _cleanup_(evp_pkey_releasep) EVP_PKEY *rsa = EVP_RSA_gen(2048), *p384 = EVP_EC_gen("P-384"),
                                              *p256 = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256"),
                                              *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        EVP_PKEY *refused[] = { rsa, p384, ed };

        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                _cleanup_free_ char *pem = NULL;
                PkiKey *key = NULL;
                size_t size;

                pem = private_pem(refused[i], &size);
                assert_error(pki_key_parse_pem(pem, size, &key), ENOTSUP);
                assert_se(!key);
        }
        check_foreign_csr(rsa, rsa, EVP_sha256(), ENOTSUP);
        check_foreign_csr(p384, p384, EVP_sha256(), ENOTSUP);
        check_foreign_csr(ed, ed, NULL, ENOTSUP);
        check_foreign_csr(p256, p256, EVP_sha1(), ENOTSUP);
        /* somebody else's public key: no proof of possession */
        check_foreign_csr(p256, other, EVP_sha256(), EKEYREJECTED);
}

static void test_csr(void) {
        _cleanup_(pki_key_freep) PkiKey *key = NULL;
        _cleanup_(pki_csr_freep) PkiCsr *csr = NULL;
        _cleanup_free_ uint8_t *der = NULL;
        size_t size;
        unsigned refused = 0;

        assert_ok(pki_key_generate(&key));
        assert_ok(pki_csr_make(key, "node", (void **) &der, &size));
        assert_ok(pki_csr_parse(der, size, &csr));
        assert_error(pki_csr_make(key, "", (void **) &der, &size), EINVAL);

        /* every single-bit damage is noticed, nothing crashes */
        for (size_t i = 0; i < size; i++) {
                PkiCsr *c = NULL;

                der[i] ^= 1;
                refused += pki_csr_parse(der, size, &c) < 0;
                pki_csr_free(c);
                der[i] ^= 1;
        }
        assert_se(refused == size);

        PkiCsr *c = NULL;
        for (size_t i = 0; i < size; i++)
                assert_error(pki_csr_parse(der, i, &c), EBADMSG);
        _cleanup_free_ uint8_t *longer = malloc(PKI_CSR_MAX + 1);
        memset(longer, 0, PKI_CSR_MAX + 1);
        memcpy(longer, der, size);
        assert_error(pki_csr_parse(longer, size + 1, &c), EBADMSG);
        assert_error(pki_csr_parse(longer, PKI_CSR_MAX + 1, &c), EFBIG);
        assert_se(!c);
}

static void test_agent_ids(void) {
        static const char *const good[] = { "a", "0123456789abcdef0123456789abcdef", "web-1.example", "A_b",
                                            "9" };
        static const char *const bad[] = {
                "",      ".",
                "..",    "-x",
                "_x",    ".hidden",
                "a/b",   "a b",
                "a\n",   "a,URI:fleet://agent/root",
                "ä",     "a%2e",
                "a\x7f", "0123456789012345678901234567890123456789012345678901234567890123x",
                "*",     "a;b",
                "a:b",   "a@b",
        };
        Fixture f = { 0 };

        fixture_init(&f);
        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_(pki_cert_freep) PkiCert *cert = NULL;
                _cleanup_free_ char *id = NULL;

                assert_ok(pki_ca_issue_agent(f.ca, f.csr, good[i], T0, 0, &cert));
                assert_ok(pki_cert_agent_id(cert, &id));
                assert_streq(id, good[i]);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                PkiCert *cert = NULL;

                assert_se(!pki_agent_id_is_valid(bad[i]));
                assert_error(pki_ca_issue_agent(f.ca, f.csr, bad[i], T0, 0, &cert), EINVAL);
                assert_se(!cert);
        }
        fixture_done(&f);
}

/* ---- certificates that our CA would never issue, signed by it nevertheless ---- */

typedef struct Odd {
        const char *san, *common_name, *usage, *constraints;
        const char *second_name;
        bool ok;
} Odd;

static void set_extension(X509 *x, int nid, const char *value) {
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

        assert_se(e);
        assert_se(X509_add_ext(x, e, -1) == 1);
        X509_EXTENSION_free(e);
}

static void odd_certificate(const Odd *o, PkiCert **ret) {
        _cleanup_(evp_pkey_releasep) EVP_PKEY *key = EVP_EC_gen("P-256");
        _cleanup_(x509_releasep) X509 *x = X509_new();
        X509_NAME *subject = X509_get_subject_name(x);

        assert_se(X509_set_version(x, X509_VERSION_3) == 1 && X509_set_pubkey(x, key) == 1);
        ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
        ASN1_TIME_set(X509_getm_notBefore(x), (time_t) (T0 / USEC_PER_SEC));
        ASN1_TIME_set(X509_getm_notAfter(x), (time_t) (T0 / USEC_PER_SEC + 1000));
        if (o->common_name)
                assert_se(X509_NAME_add_entry_by_txt(
                                          subject, "CN", MBSTRING_UTF8,
                                          (const unsigned char *) o->common_name, -1, -1, 0) == 1);
        if (o->second_name)
                assert_se(X509_NAME_add_entry_by_txt(
                                          subject, "CN", MBSTRING_UTF8,
                                          (const unsigned char *) o->second_name, -1, -1, 0) == 1);
        if (o->san)
                set_extension(x, NID_subject_alt_name, o->san);
        if (o->usage)
                set_extension(x, NID_ext_key_usage, o->usage);
        if (o->constraints)
                set_extension(x, NID_basic_constraints, o->constraints);
        assert_se(X509_sign(x, key, EVP_sha256()) > 0);
        assert_ok(pki_cert_wrap(x, ret));
}

static void test_odd_certificates(void) {
        static const Odd table[] = {
                { "URI:fleet://agent/n1", "n1", "clientAuth", "CA:FALSE", .ok = true },
                { "URI:fleet://agent/n1", "n1", "clientAuth", NULL, .ok = true },
                { "URI:fleet://agent/n1", "n2", "clientAuth" },
                { "URI:fleet://agent/n1", NULL, "clientAuth" },
                { "URI:fleet://agent/n1", "n1", "clientAuth", .second_name = "n1" },
                { "URI:fleet://agent/n1,URI:fleet://agent/n2", "n1", "clientAuth" },
                { "URI:fleet://agent/n1,DNS:n1", "n1", "clientAuth" },
                { "DNS:n1", "n1", "clientAuth" },
                { NULL, "n1", "clientAuth" },
                { "URI:fleet://gateway/n1", "n1", "clientAuth" },
                { "URI:FLEET://agent/n1", "n1", "clientAuth" },
                { "URI:fleet://agent/", "n1", "clientAuth" },
                { "URI:fleet://agent/../n1", "n1", "clientAuth" },
                { "URI:fleet://agent/n1/x", "n1", "clientAuth" },
                { "URI:fleet://agent/n1", "n1", "serverAuth" },
                { "URI:fleet://agent/n1", "n1", "clientAuth,serverAuth" },
                { "URI:fleet://agent/n1", "n1", "anyExtendedKeyUsage" },
                { "URI:fleet://agent/n1", "n1", NULL },
                { "URI:fleet://agent/n1", "n1", "clientAuth", "CA:TRUE" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(pki_cert_freep) PkiCert *cert = NULL;
                _cleanup_free_ char *id = NULL;

                odd_certificate(table + i, &cert);
                int r = pki_cert_agent_id(cert, &id);
                if (r != (table[i].ok ? 0 : -EBADMSG))
                        fprintf(stderr, "row %zu: %d\n", i, r);
                assert_se(r == (table[i].ok ? 0 : -EBADMSG));
                assert_se(!!id == table[i].ok);
        }
}

static void test_embedded_nul(void) {
        static const char value[] = "fleet://agent/n1\0.evil";
        _cleanup_(evp_pkey_releasep) EVP_PKEY *key = EVP_EC_gen("P-256");
        _cleanup_(x509_releasep) X509 *x = X509_new();
        _cleanup_(general_names_releasep) GENERAL_NAMES *names = GENERAL_NAMES_new();
        _cleanup_(pki_cert_freep) PkiCert *cert = NULL;
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_IA5STRING *text = ASN1_IA5STRING_new();
        char *id = NULL;

        assert_se(ASN1_STRING_set(text, value, sizeof(value) - 1) == 1);
        GENERAL_NAME_set0_value(name, GEN_URI, text);
        assert_se(sk_GENERAL_NAME_push(names, name) > 0);
        X509_set_version(x, X509_VERSION_3);
        X509_set_pubkey(x, key);
        ASN1_TIME_set(X509_getm_notBefore(x), 0);
        ASN1_TIME_set(X509_getm_notAfter(x), 1000);
        X509_NAME_add_entry_by_txt(
                        X509_get_subject_name(x), "CN", MBSTRING_UTF8, (const unsigned char *) "n1", -1, -1,
                        0);
        assert_se(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1);
        set_extension(x, NID_ext_key_usage, "clientAuth");
        assert_se(X509_sign(x, key, EVP_sha256()) > 0);
        assert_ok(pki_cert_wrap(x, &cert));
        assert_error(pki_cert_agent_id(cert, &id), EBADMSG);
        assert_se(!id);
}

static void test_verify(void) {
        _cleanup_(pki_cert_freep) PkiCert *agent = NULL, *server = NULL;
        _cleanup_(pki_ca_freep) PkiCa *other = NULL;
        Fixture f = { 0 };
        const char *why = NULL;

        fixture_init(&f);
        assert_ok(pki_ca_create("test CA", T0, 0, &other));         /* same name, another key */
        PkiCert *anchors[] = { (PkiCert *) pki_ca_cert(f.ca), NULL },
                *others[] = { (PkiCert *) pki_ca_cert(other), NULL };
        PkiCert *none[] = { NULL };
        char *hosts[] = { (char *) "gateway.example", (char *) "127.0.0.1", (char *) "::1", NULL };

        assert_ok(pki_ca_issue_agent(f.ca, f.csr, "n1", T0, 0, &agent));
        assert_ok(pki_ca_issue_server(f.ca, f.key, hosts, T0, 0, &server));
        assert_se(pki_cert_not_before(agent) == T0 - PKI_BACKDATE);
        assert_se(pki_cert_not_after(agent) == T0 + PKI_AGENT_LIFETIME);
        assert_se(pki_cert_has_key(agent, f.key) && !pki_cert_is_ca(agent) &&
                  pki_cert_is_ca(pki_ca_cert(f.ca)));
        assert_se(strlen(pki_cert_serial(agent)) > 16 &&
                  !streq(pki_cert_serial(agent), pki_cert_serial(server)));

        assert_ok(pki_cert_verify(agent, NULL, anchors, PKI_PURPOSE_CLIENT, T0, &why));
        assert_ok(pki_cert_verify(agent, NULL, anchors, PKI_PURPOSE_CLIENT, T0 - PKI_BACKDATE, &why));
        assert_ok(pki_cert_verify(server, NULL, anchors, PKI_PURPOSE_SERVER, T0, &why));
        assert_ok(pki_cert_verify(server, anchors, anchors, PKI_PURPOSE_SERVER, T0, &why));
        assert_ok(pki_cert_verify(agent, NULL, anchors, PKI_PURPOSE_ANY, T0, &why));

        assert_se(!why);
        assert_error(pki_cert_verify(agent, NULL, anchors, PKI_PURPOSE_CLIENT,
                                     T0 + PKI_AGENT_LIFETIME + 1000000, &why),
                     EKEYREJECTED);
        assert_streq(why, "certificate has expired");
        assert_error(pki_cert_verify(agent, NULL, anchors, PKI_PURPOSE_CLIENT, T0 - 2 * PKI_BACKDATE, &why),
                     EKEYREJECTED);
        assert_streq(why, "certificate is not yet valid");
        assert_error(pki_cert_verify(agent, NULL, anchors, PKI_PURPOSE_SERVER, T0, &why), EKEYREJECTED);
        assert_error(pki_cert_verify(server, NULL, anchors, PKI_PURPOSE_CLIENT, T0, &why), EKEYREJECTED);
        assert_error(pki_cert_verify(agent, NULL, others, PKI_PURPOSE_CLIENT, T0, &why), EKEYREJECTED);
        assert_error(pki_cert_verify(agent, anchors, others, PKI_PURPOSE_CLIENT, T0, &why), EKEYREJECTED);
        assert_error(pki_cert_verify(agent, NULL, none, PKI_PURPOSE_CLIENT, T0, &why), EKEYREJECTED);
        assert_error(pki_cert_verify(agent, NULL, NULL, PKI_PURPOSE_CLIENT, T0, NULL), EKEYREJECTED);

        /* an agent's certificate as issuer */
        _cleanup_(pki_cert_freep) PkiCert *self_signed = NULL;
        odd_certificate(&(Odd) { "URI:fleet://agent/n1", "n1", "clientAuth", "CA:FALSE" }, &self_signed);
        assert_error(pki_cert_verify(self_signed, NULL, anchors, PKI_PURPOSE_CLIENT, T0, &why),
                     EKEYREJECTED);
        PkiCa *forged = NULL;
        assert_error(pki_ca_new(agent, f.key, &forged), EKEYREJECTED);
        assert_error(pki_ca_new(pki_ca_cert(f.ca), f.key, &forged), EKEYREJECTED);

        assert_se(pki_cert_matches_host(server, "gateway.example"));
        assert_se(pki_cert_matches_host(server, "127.0.0.1") && pki_cert_matches_host(server, "::1"));
        assert_se(!pki_cert_matches_host(server, "evil.example") &&
                  !pki_cert_matches_host(server, "127.0.0.2"));
        assert_se(!pki_cert_matches_host(server, "x.gateway.example") &&
                  !pki_cert_matches_host(server, "fleet-gateway"));
        fixture_done(&f);
}

static void test_server_names(void) {
        static const char *const bad[] = { "",   "a b", "*.example", "-x",        "x-", "a..b",
                                           ".a", "a.",  "a,b",       "fleet://x", "ä" };
        Fixture f = { 0 };

        fixture_init(&f);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                char *hosts[] = { (char *) bad[i], NULL };
                PkiCert *cert = NULL;

                assert_error(pki_ca_issue_server(f.ca, f.key, hosts, T0, 0, &cert), EINVAL);
                assert_se(!cert);
        }
        char *none[] = { NULL };
        PkiCert *cert = NULL;
        assert_error(pki_ca_issue_server(f.ca, f.key, none, T0, 0, &cert), EINVAL);
        fixture_done(&f);
}

static void test_lifetimes(void) {
        _cleanup_(pki_ca_freep) PkiCa *ca = NULL;
        _cleanup_(pki_cert_freep) PkiCert *cert = NULL;
        Fixture f = { 0 };

        fixture_init(&f);
        assert_ok(pki_ca_create("short", T0, USEC_PER_DAY, &ca));
        assert_ok(pki_ca_issue_agent(ca, f.csr, "n1", T0, 0, &cert));
        assert_se(pki_cert_not_after(cert) == T0 + USEC_PER_DAY);         /* never longer than the CA */
        PkiCert *late = NULL;
        assert_error(pki_ca_issue_agent(ca, f.csr, "n1", T0 + 2 * USEC_PER_DAY, 0, &late), EKEYEXPIRED);
        assert_error(pki_ca_create("", T0, 0, &ca), EINVAL);
        assert_se(!late);
        fixture_done(&f);
}

static void test_parse(void) {
        _cleanup_(pki_cert_freep) PkiCert *copy = NULL, *from_pem = NULL;
        _cleanup_free_ char *pem = NULL, *both = NULL, *nine = NULL;
        _cleanup_free_ uint8_t *der = NULL;
        uint8_t pin[SHA256_SIZE], other_pin[SHA256_SIZE];
        PkiCert **certs = NULL, *c = NULL;
        Fixture f = { 0 };
        size_t size;

        fixture_init(&f);
        const PkiCert *ca = pki_ca_cert(f.ca);
        const void *raw = pki_cert_der(ca, &size);
        der = malloc(PKI_CERT_DER_MAX + 1);
        memset(der, 0, PKI_CERT_DER_MAX + 1);
        memcpy(der, raw, size);
        assert_ok(pki_cert_parse_der(der, size, &copy));
        pki_cert_pin(ca, pin);
        sha256_bytes(der, size, other_pin);
        assert_se(memcmp(pin, other_pin, sizeof(pin)) == 0 && pki_cert_matches_pin(copy, pin));
        pin[0] ^= 1;
        assert_se(!pki_cert_matches_pin(copy, pin));

        assert_error(pki_cert_parse_der(der, size + 1, &c), EBADMSG);
        assert_error(pki_cert_parse_der(der, PKI_CERT_DER_MAX + 1, &c), EFBIG);
        for (size_t i = 0; i < size; i++)
                assert_error(pki_cert_parse_der(der, i, &c), EBADMSG);
        for (size_t i = 0; i < size; i++) {
                der[i] ^= 0x20;
                if (pki_cert_parse_der(der, size, &c) >= 0)
                        c = pki_cert_free(c);
                der[i] ^= 0x20;
        }

        assert_ok(pki_cert_format_pem(ca, &pem));
        assert_ok(pki_cert_parse_pem(pem, strlen(pem), &from_pem));
        both = strjoinf("# first\n%s\n%s", pem, pem);
        assert_error(pki_cert_parse_pem(both, strlen(both), &c), EBADMSG);
        assert_ok(pki_certs_parse_pem(both, strlen(both), &certs));
        assert_se(certs[0] && certs[1] && !certs[2]);
        certs = pki_certs_free(certs);
        nine = strjoinf("%s%s%s%s%s%s%s%s%s", pem, pem, pem, pem, pem, pem, pem, pem, pem);
        assert_error(pki_certs_parse_pem(nine, strlen(nine), &certs), EFBIG);
        assert_error(pki_certs_parse_pem("", 0, &certs), EBADMSG);
        assert_error(pki_cert_parse_pem("text", 4, &c), EBADMSG);
        assert_error(pki_cert_parse_pem(pem, strlen(pem) - 30, &c), EBADMSG);
        assert_se(!c && !certs && ERR_peek_error() == 0);
        fixture_done(&f);
}

static void test_ca_on_disk(void) {
        char directory[] = "/tmp/test-pki-XXXXXX";
        _cleanup_(pki_ca_freep) PkiCa *ca = NULL, *loaded = NULL;
        _cleanup_close_ int dir_fd = -EBADF;
        uint8_t pin[SHA256_SIZE];
        struct stat st;

        assert_se(mkdtemp(directory));
        dir_fd = dir_open_at(AT_FDCWD, directory);
        assert_ok(dir_fd);
        assert_error(pki_ca_load_at(dir_fd, "ca.pem", "ca-key.pem", &ca), ENOENT);
        assert_ok(pki_ca_create("disk", T0, 0, &ca));
        assert_ok(pki_ca_save_at(ca, dir_fd, "ca.pem", "ca-key.pem"));
        assert_se(fstatat(dir_fd, "ca-key.pem", &st, 0) == 0 && (st.st_mode & 07777) == 0600);
        assert_ok(pki_ca_load_at(dir_fd, "ca.pem", "ca-key.pem", &loaded));
        pki_cert_pin(pki_ca_cert(ca), pin);
        assert_se(pki_cert_matches_pin(pki_ca_cert(loaded), pin));

        PkiCa *none = NULL;
        assert_se(unlinkat(dir_fd, "ca.pem", 0) == 0);
        assert_error(pki_ca_load_at(dir_fd, "ca.pem", "ca-key.pem", &none), EBADMSG);
        assert_se(!none);
        assert_ok(tree_remove_at(AT_FDCWD, directory));
}

int main(void) {
        assert_ok(crypto_init());
        test_key();
        test_key_kinds();
        test_csr();
        test_agent_ids();
        test_odd_certificates();
        test_embedded_nul();
        test_verify();
        test_server_names();
        test_lifetimes();
        test_parse();
        test_ca_on_disk();
        return 0;
}
