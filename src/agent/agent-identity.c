/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-identity.h"

#include <sys/stat.h>

#include "alloc-util.h"
#include "errno-util.h"
#include "fs-util.h"
#include "log.h"
#include "string-util.h"

#define FOLDER "identity"
#define FILE_CA FOLDER "/ca.pem"
#define FILE_IDENTITY FOLDER "/identity.pem" /* certificate, chain, key */
#define FILE_REQUEST_KEY FOLDER "/request-key.pem"
#define IDENTITY_MAX KIB(256)
#define KEY_MARK "-----BEGIN PRIVATE KEY-----"

struct AgentIdentity {
        int state_fd;
        PkiCert *ca;
        char *ca_pem;

        PkiCert *certificate;
        char *id;
        char *chain_pem; /* own certificate first */
        char *key_pem;
        size_t key_size;

        PkiKey *request_key;
};

static void identity_clear_certificate(AgentIdentity *i) {
        i->certificate = pki_cert_free(i->certificate);
        free(i->id);
        free(i->chain_pem);
        secret_free(i->key_pem, i->key_size);
        i->id = i->chain_pem = i->key_pem = NULL;
        i->key_size = 0;
}

AgentIdentity *agent_identity_free(AgentIdentity *i) {
        if (!i)
                return NULL;
        identity_clear_certificate(i);
        pki_cert_free(i->ca);
        free(i->ca_pem);
        pki_key_free(i->request_key);
        free(i);
        return NULL;
}

static int identity_use_ca(AgentIdentity *i, const PkiCert *ca) {
        char *pem = NULL;
        int r = pki_cert_format_pem(ca, &pem);
        if (r < 0)
                return r;
        pki_cert_free(i->ca);
        free(i->ca_pem);
        i->ca = pki_cert_ref((PkiCert *) ca);
        i->ca_pem = pem;
        return 0;
}

static int identity_load_ca(AgentIdentity *i) {
        _cleanup_(pki_cert_freep) PkiCert *ca = NULL;
        _cleanup_free_ void *pem = NULL;
        size_t size;
        int r = file_read_at(i->state_fd, FILE_CA, PKI_CERT_PEM_MAX, &pem, &size);
        if (r >= 0)
                r = pki_cert_parse_pem(pem, size, &ca);
        return r < 0 ? r : identity_use_ca(i, ca);
}

/* text: certificates, then the key. Everything is checked before anything is kept. */
static int identity_use_text(AgentIdentity *i, const char *text, size_t size) {
        _cleanup_(pki_certs_freep) PkiCert **certs = NULL;
        _cleanup_(pki_key_freep) PkiKey *key = NULL;
        _cleanup_free_ char *id = NULL, *chain = NULL;

        const char *mark = strstr(text, KEY_MARK);
        if (!mark)
                return -EBADMSG;
        size_t chain_size = (size_t) (mark - text);
        int r = pki_certs_parse_pem(text, chain_size, &certs);
        if (r >= 0)
                r = pki_key_parse_pem(mark, size - chain_size, &key);
        if (r >= 0)
                r = pki_cert_agent_id(certs[0], &id);
        if (r < 0)
                return r;
        if (!pki_cert_has_key(certs[0], key))
                return -EBADMSG;
        chain = memdup_suffix0(text, chain_size);
        char *key_pem = memdup_suffix0(mark, size - chain_size);
        if (!chain || !key_pem) {
                secret_free(key_pem, key_pem ? size - chain_size : 0);
                return -ENOMEM;
        }

        identity_clear_certificate(i);
        i->certificate = pki_cert_ref(certs[0]);
        i->id = TAKE_PTR(id);
        i->chain_pem = TAKE_PTR(chain);
        i->key_pem = key_pem;
        i->key_size = size - chain_size;
        return 0;
}

static int identity_load_certificate(AgentIdentity *i) {
        void *text = NULL;
        size_t size = 0;
        int r = file_read_at(i->state_fd, FILE_IDENTITY, IDENTITY_MAX, &text, &size);
        if (r < 0)
                return r;
        r = identity_use_text(i, text, size);
        secret_free(text, size);
        return r;
}

int agent_identity_new(AgentIdentity **ret, int state_fd) {
        _cleanup_(agent_identity_freep) AgentIdentity *i = new0(AgentIdentity, 1);
        if (!i)
                return -ENOMEM;
        i->state_fd = state_fd;
        int r = identity_load_ca(i);
        if (r == -ENOMEM)
                return r;
        if (r < 0 && r != -ENOENT)
                log_warning_errno(
                                r, "Cannot use the stored CA certificate (" FILE_CA "), enrolling anew: %m");
        if (r >= 0)
                r = identity_load_certificate(i);
        if (r == -ENOMEM)
                return r;
        if (r < 0 && r != -ENOENT)
                log_warning_errno(
                                r, "Cannot use the stored identity (" FILE_IDENTITY "), enrolling anew: %m");
        *ret = TAKE_PTR(i);
        return 0;
}

const char *agent_identity_ca_pem(const AgentIdentity *i) {
        return i->ca_pem;
}

bool agent_identity_ca_matches(const AgentIdentity *i, const uint8_t pin[static 32]) {
        return i->ca && pki_cert_matches_pin(i->ca, pin);
}

const char *agent_identity_id(const AgentIdentity *i) {
        return i->id;
}

usec_t agent_identity_expires(const AgentIdentity *i) {
        return i->certificate ? pki_cert_not_after(i->certificate) : 0;
}

usec_t agent_identity_renew_at(const AgentIdentity *i) {
        if (!i->certificate)
                return 0;
        usec_t from = pki_cert_not_before(i->certificate), to = pki_cert_not_after(i->certificate);
        return from + usec_sub(to, from) / 3 * 2;
}

static int identity_make_folder(AgentIdentity *i) {
        return mkdirat(i->state_fd, FOLDER, 0700) < 0 && errno != EEXIST ? negative_errno() : 0;
}

int agent_identity_set_ca(AgentIdentity *i, const PkiCert *ca) {
        uint8_t pin[SHA256_SIZE];
        pki_cert_pin(ca, pin);
        if (agent_identity_ca_matches(i, pin))
                return 0;

        _cleanup_free_ char *pem = NULL;
        int r = pki_cert_format_pem(ca, &pem);
        if (r >= 0)
                r = identity_make_folder(i);
        if (r < 0)
                return r;
        /* the certificate of another CA is worth nothing, and must not be found beside the new one after a
         * crash */
        r = unlink_durable_at(i->state_fd, FILE_IDENTITY);
        if (r < 0)
                return r;
        identity_clear_certificate(i);
        r = file_write_atomic_at(i->state_fd, FILE_CA, pem, strlen(pem), 0644);
        return r < 0 ? r : identity_use_ca(i, ca);
}

int agent_identity_request_key(AgentIdentity *i, const PkiKey **ret) {
        if (!i->request_key) {
                int r = pki_key_load_at(i->state_fd, FILE_REQUEST_KEY, &i->request_key);
                if (r == -ENOMEM)
                        return r;
                if (r < 0) {
                        r = pki_key_generate(&i->request_key);
                        if (r >= 0)
                                r = identity_make_folder(i);
                        if (r >= 0)
                                r = pki_key_save_at(i->request_key, i->state_fd, FILE_REQUEST_KEY);
                        if (r < 0) {
                                i->request_key = pki_key_free(i->request_key);
                                return r;
                        }
                }
        }
        *ret = i->request_key;
        return 0;
}

static int identity_store(AgentIdentity *i, const PkiCert *leaf, PkiCert *const *chain) {
        _cleanup_free_ char *certs = NULL;
        char *key = NULL, *text = NULL;
        size_t key_size = 0;

        int r = pki_cert_format_pem(leaf, &certs);
        for (size_t k = 0; r >= 0 && chain[k]; k++) {
                _cleanup_free_ char *one = NULL;
                r = pki_cert_format_pem(chain[k], &one);
                if (r < 0)
                        break;
                char *longer = strjoinf("%s%s", certs, one);
                if (!longer)
                        return -ENOMEM;
                free(certs);
                certs = longer;
        }
        if (r >= 0)
                r = pki_key_format_pem(i->request_key, &key, &key_size);
        if (r < 0)
                return r;
        text = strjoinf("%s%s", certs, key);
        secret_free(key, key_size);
        if (!text)
                return -ENOMEM;
        r = file_write_atomic_at(i->state_fd, FILE_IDENTITY, text, strlen(text), 0600);
        if (r >= 0)
                r = identity_use_text(i, text, strlen(text));
        secret_free(text, strlen(text));
        return r;
}

int agent_identity_accept(
                AgentIdentity *i,
                const char *id,
                const AgentCertificate *certificate,
                const AgentCertificate *chain,
                size_t n_chain,
                const char **reterr_why) {
        _cleanup_(pki_cert_freep) PkiCert *leaf = NULL;
        _cleanup_(pki_certs_freep) PkiCert **others = NULL;
        _cleanup_free_ char *certificate_id = NULL;

        *reterr_why = "it is no certificate";
        if (!i->ca || !i->request_key || n_chain > PKI_CHAIN_MAX - 1)
                return -EBADMSG;
        others = new0(PkiCert *, n_chain + 1);
        if (!others)
                return -ENOMEM;
        int r = pki_cert_parse_der(certificate->data, certificate->size, &leaf);
        for (size_t k = 0; k < n_chain && r >= 0; k++)
                r = pki_cert_parse_der(chain[k].data, chain[k].size, others + k);
        if (r < 0)
                return r;
        if (!pki_cert_has_key(leaf, i->request_key)) {
                *reterr_why = "it is for another key than the one that was sent";
                return -EKEYREJECTED;
        }
        r = pki_cert_agent_id(leaf, &certificate_id);
        if (r < 0 || !streq(certificate_id, id)) {
                *reterr_why = "it is for another agent id";
                return r == -ENOMEM ? r : -EKEYREJECTED;
        }
        PkiCert *anchors[] = { i->ca, NULL };
        r = pki_cert_verify(leaf, others, anchors, PKI_PURPOSE_CLIENT, now(CLOCK_REALTIME), reterr_why);
        if (r < 0)
                return r;

        /* A renewal must not take an identity away: neither by mistake nor on purpose. */
        if (streq_ptr(agent_identity_id(i), id) && agent_identity_expires(i) > now(CLOCK_REALTIME) &&
            pki_cert_not_after(leaf) <= agent_identity_expires(i)) {
                *reterr_why = "it does not last longer than the present one";
                return -EKEYREJECTED;
        }

        *reterr_why = "it could not be stored";
        r = identity_store(i, leaf, others);
        if (r < 0)
                return r;
        i->request_key = pki_key_free(i->request_key);
        (void) unlink_durable_at(i->state_fd, FILE_REQUEST_KEY);
        return 0;
}

int agent_identity_credentials(const AgentIdentity *i, RpcCredentials **ret) {
        if (!i->ca_pem || !i->chain_pem)
                return -ENOKEY;
        return rpc_credentials_new_client(i->ca_pem, i->chain_pem, i->key_pem, ret);
}

int agent_identity_enroll_credentials(const AgentIdentity *i, RpcCredentials **ret) {
        return i->ca_pem ? rpc_credentials_new_client(i->ca_pem, NULL, NULL, ret) : -ENOKEY;
}
