/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The gateway's certificate authority: one self-signed P-256 certificate with path length 0 that signs
 * agents' and the gateway's own leaf certificates. Serial numbers are 128 random bits, notBefore lies five
 * minutes back for machines whose clock is late, and no leaf outlives the CA. Times are Unix time in
 * microseconds; the caller says what time it is. */

#include "macro.h"
#include "pki-cert.h"
#include "pki-csr.h"
#include "pki-key.h"
#include "time-util.h"

#define PKI_CA_LIFETIME (3650 * USEC_PER_DAY)
#define PKI_AGENT_LIFETIME (30 * USEC_PER_DAY)
#define PKI_SERVER_LIFETIME (90 * USEC_PER_DAY)
#define PKI_BACKDATE (5 * USEC_PER_MINUTE)
#define PKI_SERVER_NAMES_MAX 32U

typedef struct PkiCa PkiCa;

PkiCa *pki_ca_free(PkiCa *ca);
DEFINE_POINTER_CLEANUP(PkiCa, pki_ca_free);

/* A new CA with a new key; name becomes its common name ("fleet-agent CA of example.org"). lifetime 0: 10
 * years. */
int pki_ca_create(const char *name, usec_t time, usec_t lifetime, PkiCa **ret);
/* From parts that were stored; keeps own references. -EKEYREJECTED when they do not belong together or the
 * certificate may not sign. */
int pki_ca_new(const PkiCert *cert, const PkiKey *key, PkiCa **ret);

/* Certificate (mode 0644) and key (0600, written first) below dir_fd, durably; loading: -ENOENT when there
 * is neither, -EBADMSG when only one of them is there. */
int pki_ca_save_at(const PkiCa *ca, int dir_fd, const char *cert_path, const char *key_path);
int pki_ca_load_at(int dir_fd, const char *cert_path, const char *key_path, PkiCa **ret);

const PkiCert *pki_ca_cert(const PkiCa *ca);       /* stays the CA's */

/* For an agent: SAN URI fleet://agent/<id>, common name the id, client authentication. lifetime 0: 30 days.
 * -EINVAL for an id that is not valid, -EKEYEXPIRED when the CA itself has expired. */
int pki_ca_issue_agent(
                const PkiCa *ca,
                const PkiCsr *csr,
                const char *agent_id,
                usec_t time,
                usec_t lifetime,
                PkiCert **ret);
/* For the gateway: names are DNS names and IP addresses, 1 to PKI_SERVER_NAMES_MAX. lifetime 0: 90 days. */
int pki_ca_issue_server(const PkiCa *ca, const PkiKey *key, char *const *names, usec_t time, usec_t lifetime,
                        PkiCert **ret);
