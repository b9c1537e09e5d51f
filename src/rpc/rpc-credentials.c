/* SPDX-License-Identifier: Apache-2.0 */

#include "rpc-credentials.h"

#include "alloc-util.h"
#include "crypto.h"
#include "rpc-credentials-internal.h"
#include "string-util.h"

#define PEM_MAX (256U * 1024U)

struct RpcCredentials {
        bool server;
        char *ca;                          /* whom we trust; NULL: nobody is asked (server) */
        char *chain;
        char *key;
};

static int check_pem(const char *pem) {
        if (strlen(pem) > PEM_MAX)
                return -EFBIG;
        return strstr(pem, "-----BEGIN ") ? 0 : -EBADMSG;
}

static int copy_pem(const char *pem, char **ret) {
        if (!pem)
                return 0;
        int r = check_pem(pem);
        if (r < 0)
                return r;
        *ret = strdup(pem);
        return *ret ? 0 : -ENOMEM;
}

static int credentials_new(
                bool server, const char *ca, const char *chain, const char *key, RpcCredentials **ret) {

        _cleanup_(rpc_credentials_freep) RpcCredentials *c = NULL;
        int r;

        if (!chain != !key)
                return -EINVAL;
        c = new0(RpcCredentials, 1);
        if (!c)
                return -ENOMEM;
        c->server = server;
        r = copy_pem(ca, &c->ca);
        if (r < 0)
                return r;
        r = copy_pem(chain, &c->chain);
        if (r < 0)
                return r;
        r = copy_pem(key, &c->key);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

int rpc_credentials_new_client(const char *ca_pem, const char *chain_pem, const char *key_pem, RpcCredentials **ret) {
        /* without a CA the library would trust whatever the system trusts */
        return ca_pem ? credentials_new(false, ca_pem, chain_pem, key_pem, ret) : -EINVAL;
}

int rpc_credentials_new_server(const char *client_ca_pem, const char *chain_pem, const char *key_pem, RpcCredentials **ret) {
        return chain_pem ? credentials_new(true, client_ca_pem, chain_pem, key_pem, ret) : -EINVAL;
}

RpcCredentials *rpc_credentials_free(RpcCredentials *c) {
        if (!c)
                return NULL;
        free(c->ca);
        free(c->chain);
        if (c->key)
                secret_free(c->key, strlen(c->key));
        free(c);
        return NULL;
}

RpcProof *rpc_proof_new(void) {
        RpcProof *p = new0(RpcProof, 1);

        if (p)
                atomic_init(&p->n_ref, 1);
        return p;
}

RpcProof *rpc_proof_ref(RpcProof *p) {
        atomic_fetch_add(&p->n_ref, 1);
        return p;
}

RpcProof *rpc_proof_unref(RpcProof *p) {
        if (p && atomic_fetch_sub(&p->n_ref, 1) == 1)
                free(p);
        return NULL;
}

/* Both run on a thread of the library; the chain and the name have been verified when the first one is called. */
static int on_server_verified(const char *target_name, const char *pem, void *userdata) {
        RpcProof *p = userdata;

        atomic_fetch_add(&p->count, 1);
        return 0;
}

static void on_verifier_destroyed(void *userdata) {
        rpc_proof_unref(userdata);
}

grpc_channel_credentials *rpc_credentials_channel(const RpcCredentials *c, RpcProof *proof) {
        grpc_ssl_pem_key_cert_pair pair = { .private_key = c->key, .cert_chain = c->chain };
        grpc_ssl_verify_peer_options verify = {
                .verify_peer_callback = on_server_verified,
                .verify_peer_callback_userdata = rpc_proof_ref(proof),
                .verify_peer_destruct = on_verifier_destroyed,
        };
        grpc_channel_credentials *credentials;

        credentials = c->server ? NULL : grpc_ssl_credentials_create_ex(c->ca, c->key ? &pair : NULL, &verify, NULL);
        if (!credentials)
                rpc_proof_unref(proof);
        return credentials;
}

grpc_server_credentials *rpc_credentials_server(const RpcCredentials *c) {
        grpc_ssl_pem_key_cert_pair pair = { .private_key = c->key, .cert_chain = c->chain };

        if (!c->server)
                return NULL;
        grpc_ssl_server_certificate_config *config = grpc_ssl_server_certificate_config_create(c->ca, &pair, 1);
        if (!config)
                return NULL;
        /* both take over what they are given */
        return grpc_ssl_server_credentials_create_with_options(grpc_ssl_server_credentials_create_options_using_config(
                        c->ca ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY :
                                GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
                        config));
}
