/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Internal to src/pki: what the opaque types are, and cleanup for OpenSSL's. Nothing outside includes this.
 * Every function that may fail inside OpenSSL ends with pki_error(), which also empties the thread's error
 * queue, so that nobody later reads our errors as his. */

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "macro.h"
#include "time-util.h"

struct PkiKey {
        EVP_PKEY *pkey;
};

struct PkiCert {
        unsigned n_ref;
        X509 *x509;
        void *der;                         /* exactly as received or issued */
        size_t der_size;
        usec_t not_before, not_after;
        char *serial;
};

struct PkiCsr {
        EVP_PKEY *pkey;
};

DEFINE_POINTER_CLEANUP(BIO, BIO_free_all);

static inline EVP_PKEY *evp_pkey_release(EVP_PKEY *p) {
        EVP_PKEY_free(p);
        return NULL;
}
DEFINE_POINTER_CLEANUP(EVP_PKEY, evp_pkey_release);

static inline X509 *x509_release(X509 *x) {
        X509_free(x);
        return NULL;
}
DEFINE_POINTER_CLEANUP(X509, x509_release);

static inline X509_REQ *x509_req_release(X509_REQ *x) {
        X509_REQ_free(x);
        return NULL;
}
DEFINE_POINTER_CLEANUP(X509_REQ, x509_req_release);

static inline GENERAL_NAMES *general_names_release(GENERAL_NAMES *n) {
        GENERAL_NAMES_free(n);
        return NULL;
}
DEFINE_POINTER_CLEANUP(GENERAL_NAMES, general_names_release);

/* Returns error after logging OpenSSL's own words at debug level and clearing its queue. */
int pki_error(int error, const char *what);

/* 0 if it is a P-256 key with a valid point, else -ENOTSUP. */
int pki_check_p256(EVP_PKEY *pkey);

/* A PkiCert around x509, of which it takes a reference. */
int pki_cert_wrap(X509 *x509, struct PkiCert **ret);
