/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* TLS material, from PEM texts in memory to what channels and ports need. The object keeps copies and may be
 * freed as soon as it was handed on; its own copies of secrets are wiped. TLS 1.2 and above. Material that
 * is no PEM at all is -EBADMSG here; material that does not fit together fails where it is used. */

#include "macro.h"

typedef struct RpcCredentials RpcCredentials;

/* ca_pem: trusted for the server, alone. chain_pem (own certificate first) and key_pem: both, or both NULL
 * for a client that shows no certificate, as when it enrols. */
int rpc_credentials_new_client(
                const char *ca_pem, const char *chain_pem, const char *key_pem, RpcCredentials **ret);

/* client_ca_pem: every client must show a certificate that verifies up to these; NULL: none is asked for. */
int rpc_credentials_new_server(const char *client_ca_pem, const char *chain_pem, const char *key_pem,
                               RpcCredentials **ret);

/* New material for ports that are open: handshakes from now on use it, streams that exist go on with what
 * they had. Keep the object for this. As rpc_credentials_new_server(); whether clients are asked cannot
 * change (-EINVAL). What does not fit together is refused by the library and the old material stays in use,
 * so check it before. */
int rpc_credentials_replace_server(RpcCredentials *c, const char *client_ca_pem, const char *chain_pem,
                                   const char *key_pem);

RpcCredentials *rpc_credentials_free(RpcCredentials *c);
DEFINE_POINTER_CLEANUP(RpcCredentials, rpc_credentials_free);
