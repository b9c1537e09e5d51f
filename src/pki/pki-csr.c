/* SPDX-License-Identifier: Apache-2.0 */

#include "pki-csr.h"

#include <openssl/err.h>

#include "alloc-util.h"
#include "pki-key.h"
#include "pki-openssl.h"
#include "string-util.h"

int pki_csr_make(const PkiKey *key, const char *common_name, void **ret_der, size_t *ret_size) {
        _cleanup_(x509_req_releasep) X509_REQ *request = NULL;
        unsigned char *der = NULL;

        if (isempty(common_name) || strlen(common_name) > ub_common_name)
                return -EINVAL;

        request = X509_REQ_new();
        if (!request || X509_REQ_set_version(request, X509_REQ_VERSION_1) != 1 ||
            X509_NAME_add_entry_by_NID(
                            X509_REQ_get_subject_name(request), NID_commonName, MBSTRING_UTF8,
                            (const unsigned char *) common_name, -1, -1, 0) != 1 ||
            X509_REQ_set_pubkey(request, key->pkey) != 1 ||
            X509_REQ_sign(request, key->pkey, EVP_sha256()) <= 0)
                return pki_error(-EIO, "Failed to make a certificate request");

        int size = i2d_X509_REQ(request, &der);
        if (size <= 0)
                return pki_error(-ENOMEM, "Failed to encode a certificate request");

        void *copy = memdup(der, (size_t) size);
        OPENSSL_free(der);
        if (!copy)
                return -ENOMEM;
        *ret_der = copy;
        *ret_size = (size_t) size;
        return 0;
}

int pki_csr_parse(const void *der, size_t size, PkiCsr **ret) {
        _cleanup_(x509_req_releasep) X509_REQ *request = NULL;
        const unsigned char *p = der;
        EVP_PKEY *pkey;
        int r;

        if (size > PKI_CSR_MAX)
                return -EFBIG;
        request = d2i_X509_REQ(NULL, &p, (long) size);
        if (!request)
                return pki_error(-EBADMSG, "Failed to read a certificate request");
        if (p != (const unsigned char *) der + size)
                return -EBADMSG;

        pkey = X509_REQ_get0_pubkey(request);
        if (!pkey)
                return pki_error(-ENOTSUP, "Failed to read the key of a certificate request");
        r = pki_check_p256(pkey);
        if (r < 0)
                return r;
        if (!IN_SET(X509_REQ_get_signature_nid(request), NID_ecdsa_with_SHA256, NID_ecdsa_with_SHA384,
                    NID_ecdsa_with_SHA512))
                return -ENOTSUP;
        if (X509_REQ_verify(request, pkey) != 1)
                return pki_error(-EKEYREJECTED, "Failed to verify the signature of a certificate request");

        PkiCsr *c = new0(PkiCsr, 1);
        if (!c)
                return -ENOMEM;
        EVP_PKEY_up_ref(pkey);
        c->pkey = pkey;
        ERR_clear_error();
        *ret = c;
        return 0;
}

PkiCsr *pki_csr_free(PkiCsr *c) {
        if (c)
                EVP_PKEY_free(c->pkey);
        free(c);
        return NULL;
}
