/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Certificates: parsing with caps, pins, validity, verification of a chain, and the one place that maps a
 * certificate to an agent's id and back. A PkiCert is immutable; times are Unix time in microseconds. Errors
 * of parsing: -EFBIG too large, -EBADMSG no certificate or something after it. */

#include "crypto.h"
#include "macro.h"
#include "time-util.h"

#define PKI_CERT_DER_MAX 8192U
#define PKI_CERT_PEM_MAX 16384U
#define PKI_CHAIN_MAX 8U               /* certificates in a bundle */
#define PKI_AGENT_ID_MAX 64U
#define PKI_AGENT_URI_PREFIX "fleet://agent/"

typedef struct PkiCert PkiCert;
typedef struct PkiKey PkiKey;

PkiCert *pki_cert_free(PkiCert *c);
DEFINE_POINTER_CLEANUP(PkiCert, pki_cert_free);
PkiCert *pki_cert_ref(PkiCert *c);

int pki_cert_parse_der(const void *der, size_t size, PkiCert **ret);
/* Exactly one certificate; text around it is allowed as long as it is no second one. */
int pki_cert_parse_pem(const void *pem, size_t size, PkiCert **ret);
/* One to PKI_CHAIN_MAX certificates; NULL-terminated, pki_certs_free(). */
int pki_certs_parse_pem(const void *pem, size_t size, PkiCert ***ret);
PkiCert **pki_certs_free(PkiCert **certs);
DEFINE_POINTER_CLEANUP(PkiCert *, pki_certs_free);

const void *pki_cert_der(const PkiCert *c, size_t *ret_size);      /* stays the certificate's */
int pki_cert_format_pem(const PkiCert *c, char **ret);

/* SHA-256 of the DER: what a join token pins. */
void pki_cert_pin(const PkiCert *c, uint8_t ret[static SHA256_SIZE]);
bool pki_cert_matches_pin(const PkiCert *c, const uint8_t pin[static SHA256_SIZE]);

/* SHA-256 of the public key (SubjectPublicKeyInfo): the same in every certificate for one key. */
int pki_cert_key_hash(const PkiCert *c, uint8_t ret[static SHA256_SIZE]);

usec_t pki_cert_not_before(const PkiCert *c);
usec_t pki_cert_not_after(const PkiCert *c);
/* Serial number as lower-case hex; stays the certificate's. */
const char *pki_cert_serial(const PkiCert *c);
bool pki_cert_has_key(const PkiCert *c, const PkiKey *k);
bool pki_cert_is_ca(const PkiCert *c);

/* 1 to 64 of [A-Za-z0-9._-], beginning with a letter or digit. */
bool pki_agent_id_is_valid(const char *id);
/* The id for which an agent's certificate speaks. Exactly one SAN URI and no other SAN, common name equal to
 * the id, client authentication only, no CA: everything else is -EBADMSG. Says nothing about trust: verify
 * first. */
int pki_cert_agent_id(const PkiCert *c, char **ret);

typedef enum PkiPurpose {
        PKI_PURPOSE_CLIENT,
        PKI_PURPOSE_SERVER,
        PKI_PURPOSE_ANY,
        _PKI_PURPOSE_MAX,
} PkiPurpose;

/* Verifies leaf through chain (NULL-terminated, may be NULL) up to one of the anchors. 0, or -EKEYREJECTED
 * with a static sentence in *reterr_why (may be NULL as pointer). time: the moment for which validity is
 * checked. */
int pki_cert_verify(const PkiCert *leaf, PkiCert *const *chain, PkiCert *const *anchors, PkiPurpose purpose,
                    usec_t time, const char **reterr_why);
/* Does a server certificate name this host (DNS name or IP address)? */
bool pki_cert_matches_host(const PkiCert *c, const char *host);
