/* SPDX-License-Identifier: Apache-2.0 */

/* Keys and certificates on disk: what is accepted, what is not, and what is left after each. */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent-identity.h"
#include "crypto.h"
#include "fs-util.h"
#include "log.h"
#include "pki-ca.h"
#include "string-util.h"
#include "tests.h"

static char directory[] = "/tmp/test-agent-identity-XXXXXX";

static int state_fd;

static AgentIdentity *identity_open(void) {
        AgentIdentity *i = NULL;
        assert_ok(agent_identity_new(&i, state_fd));
        return i;
}

/* What a gateway with this CA would answer. */
static PkiCert *issue(AgentIdentity *i, const PkiCa *ca, const char *id, usec_t start, usec_t lifetime) {
        _cleanup_(pki_csr_freep) PkiCsr *csr = NULL;
        _cleanup_free_ void *der = NULL;
        const PkiKey *key;
        PkiCert *cert = NULL;
        size_t size;
        assert_ok(agent_identity_request_key(i, &key));
        assert_ok(pki_csr_make(key, id, &der, &size));
        assert_ok(pki_csr_parse(der, size, &csr));
        assert_ok(pki_ca_issue_agent(ca, csr, id, start, lifetime, &cert));
        return cert;
}

static int accept_cert(AgentIdentity *i, const char *id, const PkiCert *cert, const char **why) {
        AgentCertificate c;
        c.data = pki_cert_der(cert, &c.size);
        return agent_identity_accept(i, id, &c, NULL, 0, why);
}

int main(void) {
        _cleanup_(pki_ca_freep) PkiCa *ca = NULL, *other = NULL;
        _cleanup_(pki_cert_freep) PkiCert *good = NULL, *foreign = NULL, *expired = NULL, *stale = NULL,
                                          *renewed = NULL, *short_lived = NULL;
        _cleanup_(rpc_credentials_freep) RpcCredentials *credentials = NULL;
        usec_t time = now(CLOCK_REALTIME);
        uint8_t pin[SHA256_SIZE];
        const char *why = NULL;
        struct stat st;

        log_set_max_level(LOG_ERR);
        assert_ok(crypto_init());
        assert_se(mkdtemp(directory));
        state_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_ok(state_fd);
        assert_ok(pki_ca_create("one", time, 0, &ca));
        assert_ok(pki_ca_create("two", time, 0, &other));

        AgentIdentity *i = identity_open();
        assert_se(!agent_identity_ca_pem(i) && !agent_identity_id(i) && agent_identity_expires(i) == 0);
        assert_error(agent_identity_credentials(i, &credentials), ENOKEY);
        assert_error(agent_identity_enroll_credentials(i, &credentials), ENOKEY);
        assert_ok(agent_identity_set_ca(i, pki_ca_cert(ca)));
        pki_cert_pin(pki_ca_cert(ca), pin);
        assert_se(agent_identity_ca_matches(i, pin));

        /* another CA, another id, expired: nothing of it stays */
        foreign = issue(i, other, "web-1", time, 0);
        assert_error(accept_cert(i, "web-1", foreign, &why), EKEYREJECTED);
        good = issue(i, ca, "web-1", time, 0);
        assert_error(accept_cert(i, "web-2", good, &why), EKEYREJECTED);
        assert_se(strstr(why, "id"));
        expired = issue(i, ca, "web-1", time - USEC_PER_DAY, USEC_PER_HOUR);
        assert_error(accept_cert(i, "web-1", expired, &why), EKEYREJECTED);
        assert_error(agent_identity_accept(i, "web-1", &(AgentCertificate){ "junk", 4 }, NULL, 0, &why),
                     EBADMSG);
        assert_se(!agent_identity_id(i));

        /* a request interrupted by a restart goes on with the same key */
        agent_identity_free(i);
        i = identity_open();
        assert_ok(accept_cert(i, "web-1", good, &why) == -EBADMSG ?
                                  0 :
                                  -EIO); /* no request is open in this process */
        const PkiKey *key;
        assert_ok(agent_identity_request_key(i, &key));
        assert_se(pki_cert_has_key(good, key));
        assert_ok(accept_cert(i, "web-1", good, &why));
        assert_streq(agent_identity_id(i), "web-1");
        assert_se(agent_identity_renew_at(i) > time &&
                  agent_identity_renew_at(i) < agent_identity_expires(i));

        /* it is there after a restart, for nobody else to read, and the request's key is gone */
        agent_identity_free(i);
        i = identity_open();
        assert_streq(agent_identity_id(i), "web-1");
        assert_ok(agent_identity_credentials(i, &credentials));
        assert_ok(fstatat(state_fd, "identity", &st, 0));
        assert_se((st.st_mode & 0777) == 0700);
        assert_ok(fstatat(state_fd, "identity/identity.pem", &st, 0));
        assert_se((st.st_mode & 0777) == 0600);
        assert_se(fstatat(state_fd, "identity/request-key.pem", &st, 0) < 0);

        /* renewal: a new key; a certificate for the old one is refused */
        assert_ok(agent_identity_request_key(i, &key));
        assert_se(!pki_cert_has_key(good, key));
        assert_error(accept_cert(i, "web-1", good, &why), EKEYREJECTED);
        short_lived = issue(i, ca, "web-1", time, USEC_PER_DAY);
        assert_error(accept_cert(i, "web-1", short_lived, &why), EKEYREJECTED);
        assert_se(strstr(why, "longer") && agent_identity_expires(i) == pki_cert_not_after(good));
        renewed = issue(i, ca, "web-1", time, 31 * USEC_PER_DAY);
        assert_ok(accept_cert(i, "web-1", renewed, &why));
        assert_se(agent_identity_expires(i) == pki_cert_not_after(renewed));

        /* damage is no end: the machine enrols anew */
        assert_ok(file_write_atomic_at(state_fd, "identity/identity.pem", "-----BEGIN", 10, 0600));
        agent_identity_free(i);
        i = identity_open();
        assert_se(!agent_identity_id(i) && agent_identity_ca_pem(i));

        /* another gateway: what the first one issued is forgotten */
        stale = issue(i, ca, "web-1", time, 0);
        assert_ok(accept_cert(i, "web-1", stale, &why));
        assert_ok(agent_identity_set_ca(i, pki_ca_cert(other)));
        assert_se(!agent_identity_id(i) && !agent_identity_ca_matches(i, pin));
        agent_identity_free(i);
        i = identity_open();
        assert_se(!agent_identity_id(i));
        agent_identity_free(i);
        (void) close(state_fd);
        assert_ok(tree_remove_at(AT_FDCWD, directory));
        return EXIT_SUCCESS;
}
