/* SPDX-License-Identifier: Apache-2.0 */

#include "pki-ca.h"

#include <arpa/inet.h>
#include <openssl/err.h>

#include "alloc-util.h"
#include "fs-util.h"
#include "pki-openssl.h"
#include "string-util.h"

#define SERIAL_BITS 128

struct PkiCa {
        PkiCert *cert;
        PkiKey *key;
};

PkiCa *pki_ca_free(PkiCa *ca) {
        if (!ca)
                return NULL;
        pki_cert_free(ca->cert);
        pki_key_free(ca->key);
        free(ca);
        return NULL;
}

const PkiCert *pki_ca_cert(const PkiCa *ca) {
        return ca->cert;
}

/* ---- parts of a certificate ---- */

static int set_serial(X509 *x509) {
        BIGNUM *number = BN_new();
        int r = -EIO;

        if (number && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
            !BN_is_zero(number) && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)))
                r = 0;
        BN_free(number);
        return r;
}

static int set_times(X509 *x509, usec_t not_before, usec_t not_after) {
        if (!ASN1_TIME_set(X509_getm_notBefore(x509), (time_t) (not_before / USEC_PER_SEC)) ||
            !ASN1_TIME_set(X509_getm_notAfter(x509), (time_t) (not_after / USEC_PER_SEC)))
                return -ERANGE;
        return 0;
}

/* value: a constant in OpenSSL's own little language, never text from outside. */
static int add_extension(X509 *x509, X509 *issuer, int nid, const char *value) {
        X509V3_CTX context;

        X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
        if (!extension)
                return -EIO;
        int r = X509_add_ext(x509, extension, -1) == 1 ? 0 : -ENOMEM;
        X509_EXTENSION_free(extension);
        return r;
}

/* Appends a name; value is copied. */
static int add_name(GENERAL_NAMES *names, int type, const void *value, size_t size) {
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_STRING *text = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();

        if (!name || !text || ASN1_STRING_set(text, value, (int) size) != 1) {
                ASN1_STRING_free(text);
                GENERAL_NAME_free(name);
                return -ENOMEM;
        }
        GENERAL_NAME_set0_value(name, type, text);
        if (sk_GENERAL_NAME_push(names, name) <= 0) {
                GENERAL_NAME_free(name);
                return -ENOMEM;
        }
        return 0;
}

static int common_name_set(X509_NAME *subject, const char *name) {
        int k = X509_NAME_add_entry_by_NID(
                        subject, NID_commonName, MBSTRING_UTF8, (const unsigned char *) name, -1, -1, 0);
        return k == 1 ? 0 : -EINVAL;
}

/* What CA and leaf have in common. */
static int
cert_begin(const char *common_name, EVP_PKEY *key, usec_t not_before, usec_t not_after, X509 **ret) {
        _cleanup_(x509_releasep) X509 *x509 = X509_new();

        if (!x509)
                return -ENOMEM;
        if (X509_set_version(x509, X509_VERSION_3) != 1 || X509_set_pubkey(x509, key) != 1)
                return -EIO;
        int r = set_serial(x509);
        if (r < 0)
                return r;
        r = set_times(x509, not_before, not_after);
        if (r < 0)
                return r;
        r = common_name_set(X509_get_subject_name(x509), common_name);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(x509);
        return 0;
}

/* ---- the CA itself ---- */

static int ca_sign_self(X509 *x509, EVP_PKEY *key) {
        static const struct {
                int nid;
                const char *value;
        } extensions[] = {
                { NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
                { NID_key_usage, "critical,keyCertSign,cRLSign" },
                { NID_subject_key_identifier, "hash" },
        };

        if (X509_set_issuer_name(x509, X509_get_subject_name(x509)) != 1)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(extensions); i++) {
                int r = add_extension(x509, x509, extensions[i].nid, extensions[i].value);
                if (r < 0)
                        return r;
        }
        return X509_sign(x509, key, EVP_sha256()) > 0 ? 0 : -EIO;
}

int pki_ca_create(const char *name, usec_t time, usec_t lifetime, PkiCa **ret) {
        _cleanup_(pki_key_freep) PkiKey *key = NULL;
        _cleanup_(pki_cert_freep) PkiCert *cert = NULL;
        _cleanup_(x509_releasep) X509 *x509 = NULL;
        int r;

        if (!name || !string_is_safe(name, ub_common_name) || isempty(name))
                return -EINVAL;
        r = pki_key_generate(&key);
        if (r < 0)
                return r;
        r = cert_begin(name, key->pkey, usec_sub(time, PKI_BACKDATE),
                       usec_add(time, lifetime ?: PKI_CA_LIFETIME), &x509);
        if (r < 0)
                return pki_error(r, "Failed to make a CA certificate");
        r = ca_sign_self(x509, key->pkey);
        if (r < 0)
                return pki_error(r, "Failed to sign a CA certificate");
        r = pki_cert_wrap(x509, &cert);
        if (r < 0)
                return r;
        return pki_ca_new(cert, key, ret);
}

int pki_ca_new(const PkiCert *cert, const PkiKey *key, PkiCa **ret) {
        _cleanup_(pki_ca_freep) PkiCa *ca = NULL;

        if (!pki_cert_is_ca(cert) || !pki_cert_has_key(cert, key))
                return -EKEYREJECTED;

        ca = new0(PkiCa, 1);
        if (!ca)
                return -ENOMEM;
        ca->key = new0(PkiKey, 1);
        if (!ca->key)
                return -ENOMEM;
        EVP_PKEY_up_ref(key->pkey);
        ca->key->pkey = key->pkey;
        int r = pki_cert_wrap(cert->x509, &ca->cert);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(ca);
        return 0;
}

int pki_ca_save_at(const PkiCa *ca, int dir_fd, const char *cert_path, const char *key_path) {
        _cleanup_free_ char *pem = NULL;

        int r = pki_key_save_at(ca->key, dir_fd, key_path);
        if (r < 0)
                return r;
        r = pki_cert_format_pem(ca->cert, &pem);
        if (r < 0)
                return r;
        return file_write_atomic_at(dir_fd, cert_path, pem, strlen(pem), 0644);
}

int pki_ca_load_at(int dir_fd, const char *cert_path, const char *key_path, PkiCa **ret) {
        _cleanup_(pki_key_freep) PkiKey *key = NULL;
        _cleanup_(pki_cert_freep) PkiCert *cert = NULL;
        _cleanup_free_ void *pem = NULL;
        size_t size = 0;

        int k = pki_key_load_at(dir_fd, key_path, &key);
        int c = file_read_at(dir_fd, cert_path, PKI_CERT_PEM_MAX, &pem, &size);
        if (k == -ENOENT && c == -ENOENT)
                return -ENOENT;
        if (k == -ENOENT || c == -ENOENT)
                return -EBADMSG;
        if (k < 0)
                return k;
        if (c < 0)
                return c;
        c = pki_cert_parse_pem(pem, size, &cert);
        if (c < 0)
                return c;
        return pki_ca_new(cert, key, ret);
}

/* ---- leaves ---- */

static int leaf_extend(const PkiCa *ca, X509 *x509, const char *usage, GENERAL_NAMES *names) {
        const struct {
                int nid;
                const char *value;
        } extensions[] = {
                { NID_basic_constraints, "critical,CA:FALSE" },
                { NID_key_usage, "critical,digitalSignature" },
                { NID_ext_key_usage, usage },
                { NID_subject_key_identifier, "hash" },
                { NID_authority_key_identifier, "keyid:always" },
        };

        for (size_t i = 0; i < ELEMENTSOF(extensions); i++) {
                int r = add_extension(x509, ca->cert->x509, extensions[i].nid, extensions[i].value);
                if (r < 0)
                        return r;
        }
        int k = X509_add1_ext_i2d(x509, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT);
        return k == 1 ? 0 : -ENOMEM;
}

static int
leaf_issue(const PkiCa *ca,
           EVP_PKEY *key,
           const char *common_name,
           GENERAL_NAMES *names,
           const char *usage,
           usec_t time,
           usec_t lifetime,
           PkiCert **ret) {

        _cleanup_(x509_releasep) X509 *x509 = NULL;
        usec_t end = MIN(usec_add(time, lifetime), ca->cert->not_after);
        int r;

        if (ca->cert->not_after <= time)
                return -EKEYEXPIRED;
        r = cert_begin(common_name, key, usec_sub(time, PKI_BACKDATE), end, &x509);
        if (r < 0)
                return pki_error(r, "Failed to make a certificate");
        if (X509_set_issuer_name(x509, X509_get_subject_name(ca->cert->x509)) != 1)
                return pki_error(-ENOMEM, "Failed to make a certificate");
        r = leaf_extend(ca, x509, usage, names);
        if (r < 0)
                return pki_error(r, "Failed to extend a certificate");
        if (X509_sign(x509, ca->key->pkey, EVP_sha256()) <= 0)
                return pki_error(-EIO, "Failed to sign a certificate");
        return pki_cert_wrap(x509, ret);
}

int pki_ca_issue_agent(
                const PkiCa *ca,
                const PkiCsr *csr,
                const char *agent_id,
                usec_t time,
                usec_t lifetime,
                PkiCert **ret) {

        _cleanup_(general_names_releasep) GENERAL_NAMES *names = NULL;
        _cleanup_free_ char *uri = NULL;
        int r;

        if (!agent_id || !pki_agent_id_is_valid(agent_id))
                return -EINVAL;
        uri = strjoinf(PKI_AGENT_URI_PREFIX "%s", agent_id);
        names = GENERAL_NAMES_new();
        if (!uri || !names)
                return -ENOMEM;
        r = add_name(names, GEN_URI, uri, strlen(uri));
        if (r < 0)
                return r;
        lifetime = lifetime ?: PKI_AGENT_LIFETIME;
        return leaf_issue(ca, csr->pkey, agent_id, names, "clientAuth", time, lifetime, ret);
}

static bool dns_name_is_valid(const char *name) {
        size_t n = strlen(name), label = 0;

        if (n == 0 || n > 253)
                return false;
        for (size_t i = 0; i < n; i++) {
                bool hyphen = name[i] == '-';

                if (name[i] == '.') {
                        if (label == 0 || name[i - 1] == '-')
                                return false;
                        label = 0;
                        continue;
                }
                if (!hyphen && !((name[i] | 0x20) >= 'a' && (name[i] | 0x20) <= 'z') &&
                    !(name[i] >= '0' && name[i] <= '9'))
                        return false;
                if ((hyphen && label == 0) || ++label > 63)
                        return false;
        }
        return label > 0 && name[n - 1] != '-';
}

static int add_host(GENERAL_NAMES *names, const char *host) {
        struct in6_addr v6;
        struct in_addr v4;

        if (inet_pton(AF_INET, host, &v4) == 1)
                return add_name(names, GEN_IPADD, &v4, sizeof(v4));
        if (inet_pton(AF_INET6, host, &v6) == 1)
                return add_name(names, GEN_IPADD, &v6, sizeof(v6));
        if (!dns_name_is_valid(host))
                return -EINVAL;
        return add_name(names, GEN_DNS, host, strlen(host));
}

int pki_ca_issue_server(
                const PkiCa *ca,
                const PkiKey *key,
                char *const *hosts,
                usec_t time,
                usec_t lifetime,
                PkiCert **ret) {

        _cleanup_(general_names_releasep) GENERAL_NAMES *names = GENERAL_NAMES_new();
        size_t n = strv_length(hosts);

        if (!names)
                return -ENOMEM;
        if (n == 0 || n > PKI_SERVER_NAMES_MAX)
                return -EINVAL;
        STRV_FOREACH(host, hosts) {
                int r = add_host(names, *host);
                if (r < 0)
                        return r;
        }
        lifetime = lifetime ?: PKI_SERVER_LIFETIME;
        return leaf_issue(ca, key->pkey, "fleet-gateway", names, "serverAuth", time, lifetime, ret);
}
