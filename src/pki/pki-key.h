/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private keys: NIST P-256 and nothing else, as PKCS#8 in PEM. A PkiKey belongs to its caller; what is built
 * from it (a CA, a request) keeps its own reference. Not for use from several threads at once. Errors of
 * parsing: -EFBIG too large, -EBADMSG no such key, -ENOTSUP a key of another kind. */

#include "macro.h"

#define PKI_KEY_PEM_MAX 4096U

typedef struct PkiKey PkiKey;

int pki_key_generate(PkiKey **ret);
PkiKey *pki_key_free(PkiKey *k);
DEFINE_POINTER_CLEANUP(PkiKey, pki_key_free);

int pki_key_parse_pem(const void *data, size_t size, PkiKey **ret);
/* NUL-terminated PEM, unencrypted: give it back to secret_free() with the size. */
int pki_key_format_pem(const PkiKey *k, char **ret, size_t *ret_size);

/* Durable, mode 0600. Loading refuses (-EPERM) a file that others than its owner may read or write. */
int pki_key_save_at(const PkiKey *k, int dir_fd, const char *path);
int pki_key_load_at(int dir_fd, const char *path, PkiKey **ret);
