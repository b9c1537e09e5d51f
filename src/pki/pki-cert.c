/* SPDX-License-Identifier: Apache-2.0 */

#include "pki-cert.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "alloc-util.h"
#include "hex.h"
#include "pki-key.h"
#include "pki-openssl.h"
#include "string-util.h"

static int asn1_time_to_usec(const ASN1_TIME *t, usec_t *ret) {
        struct tm tm = { 0 };

        if (ASN1_TIME_to_tm(t, &tm) != 1)
                return -EBADMSG;
        time_t seconds = timegm(&tm);
        if (seconds < 0 || (uint64_t) seconds > USEC_INFINITY / USEC_PER_SEC - 1)
                return -EBADMSG;
        *ret = (usec_t) seconds * USEC_PER_SEC;
        return 0;
}

static char *serial_to_hex(const X509 *x509) {
        const ASN1_INTEGER *serial = X509_get0_serialNumber(x509);

        return hex_encode_new(ASN1_STRING_get0_data(serial), (size_t) ASN1_STRING_length(serial));
}

/* Fills a certificate whose x509 is set. */
static int cert_fill(PkiCert *c) {
        int r = asn1_time_to_usec(X509_get0_notBefore(c->x509), &c->not_before);
        if (r < 0)
                return r;
        r = asn1_time_to_usec(X509_get0_notAfter(c->x509), &c->not_after);
        if (r < 0)
                return r;
        c->serial = serial_to_hex(c->x509);
        return c->serial ? 0 : -ENOMEM;
}

int pki_cert_wrap(X509 *x509, PkiCert **ret) {
        _cleanup_(pki_cert_freep) PkiCert *c = NULL;
        unsigned char *der = NULL;

        c = new0(PkiCert, 1);
        if (!c)
                return -ENOMEM;
        c->n_ref = 1;
        X509_up_ref(x509);
        c->x509 = x509;

        int size = i2d_X509(x509, &der);
        if (size <= 0)
                return pki_error(-EBADMSG, "Failed to encode a certificate");
        c->der = memdup(der, (size_t) size);
        c->der_size = (size_t) size;
        OPENSSL_free(der);
        if (!c->der)
                return -ENOMEM;

        int r = cert_fill(c);
        if (r < 0)
                return pki_error(r, "Failed to read a certificate");
        *ret = TAKE_PTR(c);
        return 0;
}

PkiCert *pki_cert_free(PkiCert *c) {
        if (!c || --c->n_ref > 0)
                return NULL;
        X509_free(c->x509);
        free(c->der);
        free(c->serial);
        free(c);
        return NULL;
}

PkiCert *pki_cert_ref(PkiCert *c) {
        c->n_ref++;
        return c;
}

int pki_cert_parse_der(const void *der, size_t size, PkiCert **ret) {
        _cleanup_(pki_cert_freep) PkiCert *c = NULL;
        _cleanup_(x509_releasep) X509 *x509 = NULL;
        const unsigned char *p = der;
        int r;

        if (size > PKI_CERT_DER_MAX)
                return -EFBIG;
        x509 = d2i_X509(NULL, &p, (long) size);
        if (!x509)
                return pki_error(-EBADMSG, "Failed to read a certificate");
        if (p != (const unsigned char *) der + size)
                return -EBADMSG;

        r = pki_cert_wrap(x509, &c);
        if (r < 0)
                return r;
        /* one certificate, one spelling, one pin: whatever does not encode to itself is refused */
        if (c->der_size != size || memcmp(c->der, der, size) != 0)
                return -EBADMSG;
        ERR_clear_error();
        *ret = TAKE_PTR(c);
        return 0;
}

/* The next certificate of a PEM text. 1, or 0 at the end. */
static int read_pem_block(BIO *bio, PkiCert **ret) {
        char *name = NULL, *header = NULL;
        unsigned char *data = NULL;
        long size = 0;
        int r;

        if (PEM_read_bio(bio, &name, &header, &data, &size) != 1) {
                bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
                return pki_error(end ? 0 : -EBADMSG, "Failed to read PEM");
        }
        if (!streq(name, PEM_STRING_X509) || *header)
                r = -EBADMSG;
        else
                r = pki_cert_parse_der(data, (size_t) size, ret);

        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(data, (size_t) size);
        return r < 0 ? r : 1;
}

int pki_certs_parse_pem(const void *pem, size_t size, PkiCert ***ret) {
        _cleanup_(BIO_free_allp) BIO *bio = NULL;
        _cleanup_(pki_certs_freep) PkiCert **certs = NULL;
        size_t n = 0;
        int r;

        if (size > PKI_CHAIN_MAX * PKI_CERT_PEM_MAX)
                return -EFBIG;
        bio = BIO_new_mem_buf(pem, (int) size);
        certs = new0(PkiCert *, PKI_CHAIN_MAX + 1);
        if (!bio || !certs)
                return pki_error(-ENOMEM, "Failed to read certificates");

        for (;;) {
                PkiCert *c = NULL;

                r = read_pem_block(bio, &c);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;
                if (n >= PKI_CHAIN_MAX) {
                        pki_cert_free(c);
                        return -EFBIG;
                }
                certs[n++] = c;
        }
        if (n == 0)
                return -EBADMSG;
        *ret = TAKE_PTR(certs);
        return 0;
}

PkiCert **pki_certs_free(PkiCert **certs) {
        for (PkiCert **c = certs; c && *c; c++)
                pki_cert_free(*c);
        free(certs);
        return NULL;
}

int pki_cert_parse_pem(const void *pem, size_t size, PkiCert **ret) {
        _cleanup_(pki_certs_freep) PkiCert **certs = NULL;

        if (size > PKI_CERT_PEM_MAX)
                return -EFBIG;
        int r = pki_certs_parse_pem(pem, size, &certs);
        if (r < 0)
                return r == -EFBIG ? -EBADMSG : r;
        if (certs[1])
                return -EBADMSG;
        *ret = TAKE_PTR(certs[0]);
        return 0;
}

const void *pki_cert_der(const PkiCert *c, size_t *ret_size) {
        if (ret_size)
                *ret_size = c->der_size;
        return c->der;
}

int pki_cert_format_pem(const PkiCert *c, char **ret) {
        _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());
        char *data, *pem;

        if (!bio || PEM_write_bio_X509(bio, c->x509) != 1)
                return pki_error(-ENOMEM, "Failed to write a certificate");
        long size = BIO_get_mem_data(bio, &data);
        pem = size > 0 ? memdup_suffix0(data, (size_t) size) : NULL;
        if (!pem)
                return -ENOMEM;
        *ret = pem;
        return 0;
}

void pki_cert_pin(const PkiCert *c, uint8_t ret[static SHA256_SIZE]) {
        sha256_bytes(c->der, c->der_size, ret);
}

int pki_cert_key_hash(const PkiCert *c, uint8_t ret[static SHA256_SIZE]) {
        unsigned char *der = NULL;
        int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(c->x509), &der);

        if (size <= 0)
                return pki_error(-ENOMEM, "Failed to encode a public key");
        sha256_bytes(der, (size_t) size, ret);
        OPENSSL_free(der);
        return 0;
}

bool pki_cert_matches_pin(const PkiCert *c, const uint8_t pin[static SHA256_SIZE]) {
        uint8_t own[SHA256_SIZE];

        pki_cert_pin(c, own);
        return memory_equal_ct(own, pin, SHA256_SIZE);
}

usec_t pki_cert_not_before(const PkiCert *c) {
        return c->not_before;
}

usec_t pki_cert_not_after(const PkiCert *c) {
        return c->not_after;
}

const char *pki_cert_serial(const PkiCert *c) {
        return c->serial;
}

bool pki_cert_has_key(const PkiCert *c, const PkiKey *k) {
        EVP_PKEY *own = X509_get0_pubkey(c->x509);
        bool equal = own && EVP_PKEY_eq(own, k->pkey) == 1;

        ERR_clear_error();
        return equal;
}

bool pki_cert_is_ca(const PkiCert *c) {
        uint32_t flags = X509_get_extension_flags(c->x509);

        ERR_clear_error();
        return (flags & EXFLAG_CA) != 0 && (flags & EXFLAG_INVALID) == 0 &&
               (X509_get_key_usage(c->x509) & KU_KEY_CERT_SIGN) != 0;
}
