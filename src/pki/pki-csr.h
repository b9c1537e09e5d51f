/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Certificate requests (PKCS#10, DER). A PkiCsr exists only after its signature has been verified with the
 * key in it, so holding one means that the peer has the private key. Nothing but the key is ever taken from
 * a request: subject and extensions are ignored. */

#include "macro.h"

#define PKI_CSR_MAX 4096U

typedef struct PkiCsr PkiCsr;
typedef struct PkiKey PkiKey;

/* common_name is for people who look at the request; it decides nothing. */
int pki_csr_make(const PkiKey *key, const char *common_name, void **ret_der, size_t *ret_size);

/* -EFBIG above PKI_CSR_MAX; -EBADMSG no request, or bytes after it; -ENOTSUP not P-256; -EKEYREJECTED the
 * signature does not verify. */
int pki_csr_parse(const void *der, size_t size, PkiCsr **ret);
PkiCsr *pki_csr_free(PkiCsr *c);
DEFINE_POINTER_CLEANUP(PkiCsr, pki_csr_free);
