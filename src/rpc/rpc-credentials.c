/* SPDX-License-Identifier: Apache-2.0 */

#include "rpc-credentials.h"

#include <pthread.h>

#include "alloc-util.h"
#include "crypto.h"
#include "rpc-credentials-internal.h"
#include "string-util.h"

#define PEM_MAX (256U * 1024U)

typedef struct Material {
        char *ca;                          /* whom we trust; NULL: nobody is asked (server) */
        char *chain;
        char *key;
} Material;

struct RpcCredentials {
        unsigned n_ref;                    /* on the loop only */
        bool server;
        pthread_mutex_t mutex; /* of material and generation: handshakes read them on other threads */
        unsigned generation;
        Material material;
};

struct RpcPortCredentials {
        RpcCredentials *credentials;
        unsigned generation; /* handed to the library last; 0: none yet. The library calls one at a time */
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

static void material_done(Material *m) {
        free(m->ca);
        free(m->chain);
        if (m->key)
                secret_free(m->key, strlen(m->key));
        *m = (Material) { 0 };
}

static int material_init(Material *m, const char *ca, const char *chain, const char *key) {
        if (!chain != !key)
                return -EINVAL;
        *m = (Material) { 0 };
        int r = copy_pem(ca, &m->ca);
        if (r >= 0)
                r = copy_pem(chain, &m->chain);
        if (r >= 0)
                r = copy_pem(key, &m->key);
        if (r < 0)
                material_done(m);
        return r;
}

static int
credentials_new(bool server, const char *ca, const char *chain, const char *key, RpcCredentials **ret) {
        RpcCredentials *c = new0(RpcCredentials, 1);

        if (!c)
                return -ENOMEM;
        c->n_ref = 1;
        c->server = server;
        c->generation = 1;
        int r = material_init(&c->material, ca, chain, key);
        if (r >= 0) {
                r = -pthread_mutex_init(&c->mutex, NULL);
                if (r < 0)
                        material_done(&c->material);
        }
        if (r < 0) {
                free(c);
                return r;
        }
        *ret = c;
        return 0;
}

int rpc_credentials_new_client(
                const char *ca_pem, const char *chain_pem, const char *key_pem, RpcCredentials **ret) {
        /* without a CA the library would trust whatever the system trusts */
        return ca_pem ? credentials_new(false, ca_pem, chain_pem, key_pem, ret) : -EINVAL;
}

int rpc_credentials_new_server(
                const char *client_ca_pem,
                const char *chain_pem,
                const char *key_pem,
                RpcCredentials **ret) {
        return chain_pem ? credentials_new(true, client_ca_pem, chain_pem, key_pem, ret) : -EINVAL;
}

RpcCredentials *rpc_credentials_free(RpcCredentials *c) {
        if (!c || --c->n_ref > 0)
                return NULL;
        material_done(&c->material);
        pthread_mutex_destroy(&c->mutex);
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

/* Both run on a thread of the library; the chain and the name have been verified when the first one is
 * called. */
static int on_server_verified(const char *target_name, const char *pem, void *userdata) {
        RpcProof *p = userdata;

        atomic_fetch_add(&p->count, 1);
        return 0;
}

static void on_verifier_destroyed(void *userdata) {
        rpc_proof_unref(userdata);
}

grpc_channel_credentials *rpc_credentials_channel(const RpcCredentials *c, RpcProof *proof) {
        const Material *m = &c->material;
        grpc_ssl_pem_key_cert_pair pair = { .private_key = m->key, .cert_chain = m->chain };
        grpc_ssl_verify_peer_options verify = {
                .verify_peer_callback = on_server_verified,
                .verify_peer_callback_userdata = rpc_proof_ref(proof),
                .verify_peer_destruct = on_verifier_destroyed,
        };
        grpc_channel_credentials *credentials;

        credentials = c->server ? NULL :
                                  grpc_ssl_credentials_create_ex(
                                                  m->ca, m->key ? &pair : NULL, &verify, NULL);
        if (!credentials)
                rpc_proof_unref(proof);
        return credentials;
}

/* ---- servers ---- */

int rpc_credentials_replace_server(
                RpcCredentials *c, const char *client_ca_pem, const char *chain_pem, const char *key_pem) {

        Material fresh, old;

        if (!c->server || !chain_pem || !client_ca_pem != !c->material.ca)
                return -EINVAL;
        int r = material_init(&fresh, client_ca_pem, chain_pem, key_pem);
        if (r < 0)
                return r;
        pthread_mutex_lock(&c->mutex);
        old = c->material;
        c->material = fresh;
        c->generation++;
        pthread_mutex_unlock(&c->mutex);
        material_done(&old);
        return 0;
}

int rpc_port_credentials_new(RpcCredentials *c, RpcPortCredentials **ret) {
        if (!c->server)
                return -EINVAL;
        RpcPortCredentials *p = new0(RpcPortCredentials, 1);
        if (!p)
                return -ENOMEM;
        c->n_ref++;
        p->credentials = c;
        *ret = p;
        return 0;
}

RpcPortCredentials *rpc_port_credentials_free(RpcPortCredentials *p) {
        if (p)
                rpc_credentials_free(p->credentials);
        free(p);
        return NULL;
}

/* On a thread of the library, before every handshake. */
static grpc_ssl_certificate_config_reload_status
on_handshake(void *userdata, grpc_ssl_server_certificate_config **ret) {
        RpcPortCredentials *p = userdata;
        RpcCredentials *c = p->credentials;
        grpc_ssl_certificate_config_reload_status status = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;

        pthread_mutex_lock(&c->mutex);
        if (p->generation != c->generation) {
                grpc_ssl_pem_key_cert_pair pair = { .private_key = c->material.key,
                                                    .cert_chain = c->material.chain };

                /* where nobody is asked for a certificate nobody is verified either, but the library insists
                 * on roots */
                *ret = grpc_ssl_server_certificate_config_create(
                                c->material.ca ?: c->material.chain, &pair, 1);
                p->generation = c->generation;
                status = *ret ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW :
                                GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
        }
        pthread_mutex_unlock(&c->mutex);
        return status;
}

grpc_server_credentials *rpc_port_credentials_server(RpcPortCredentials *p) {
        /* takes over the options */
        return grpc_ssl_server_credentials_create_with_options(
                        grpc_ssl_server_credentials_create_options_using_config_fetcher(
                                        p->credentials->material.ca ?
                                                        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY :
                                                        GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
                                        on_handshake, p));
}
