/* SPDX-License-Identifier: Apache-2.0 */

/* What a certificate means: whose it is, and whether it may be believed. Declared in pki-cert.h. */

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "alloc-util.h"
#include "pki-cert.h"
#include "pki-openssl.h"
#include "string-util.h"

static bool id_char_is_alphanumeric(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool pki_agent_id_is_valid(const char *id) {
        size_t n = 0;

        if (isempty(id) || !id_char_is_alphanumeric(id[0]))
                return false;
        for (; id[n]; n++)
                if (n >= PKI_AGENT_ID_MAX ||
                    (!id_char_is_alphanumeric(id[n]) && !IN_SET(id[n], '.', '_', '-')))
                        return false;
        return true;
}

/* Text of an ASN.1 string that must be plain ASCII without NUL. */
static int asn1_text(const ASN1_STRING *s, size_t max, char **ret) {
        int length = ASN1_STRING_length(s);
        const unsigned char *data = ASN1_STRING_get0_data(s);

        if (length <= 0 || (size_t) length > max)
                return -EBADMSG;
        for (int i = 0; i < length; i++)
                if (data[i] <= ' ' || data[i] >= 0x7f)
                        return -EBADMSG;
        char *text = memdup_suffix0(data, (size_t) length);
        if (!text)
                return -ENOMEM;
        *ret = text;
        return 0;
}

static int id_of_alternative_name(const X509 *x509, char **ret) {
        _cleanup_(general_names_releasep) GENERAL_NAMES *names = NULL;
        _cleanup_free_ char *uri = NULL;
        int critical, type, r;

        /* NULL also when the extension is there twice */
        names = X509_get_ext_d2i(x509, NID_subject_alt_name, &critical, NULL);
        if (!names || sk_GENERAL_NAME_num(names) != 1)
                return -EBADMSG;
        const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, 0), &type);
        if (type != GEN_URI)
                return -EBADMSG;
        r = asn1_text(value, strlen(PKI_AGENT_URI_PREFIX) + PKI_AGENT_ID_MAX, &uri);
        if (r < 0)
                return r;

        const char *id = startswith(uri, PKI_AGENT_URI_PREFIX);
        if (!id || !pki_agent_id_is_valid(id))
                return -EBADMSG;
        char *copy = strdup(id);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

static int check_common_name(const X509 *x509, const char *id) {
        X509_NAME *subject = X509_get_subject_name(x509);
        _cleanup_free_ char *name = NULL;

        if (!subject || X509_NAME_entry_count(subject) != 1)
                return -EBADMSG;
        X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, 0);
        if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName)
                return -EBADMSG;
        int r = asn1_text(X509_NAME_ENTRY_get_data(entry), PKI_AGENT_ID_MAX, &name);
        if (r < 0)
                return r;
        return streq(name, id) ? 0 : -EBADMSG;
}

int pki_cert_agent_id(const PkiCert *c, char **ret) {
        _cleanup_free_ char *id = NULL;
        uint32_t flags = X509_get_extension_flags(c->x509);
        int r;

        if ((flags & (EXFLAG_CA | EXFLAG_INVALID)) != 0 || (flags & EXFLAG_XKUSAGE) == 0 ||
            X509_get_extended_key_usage(c->x509) != XKU_SSL_CLIENT)
                return pki_error(-EBADMSG, "Failed to read an agent's certificate");

        r = id_of_alternative_name(c->x509, &id);
        if (r < 0)
                return pki_error(r, "Failed to read the alternative name of an agent's certificate");
        r = check_common_name(c->x509, id);
        if (r < 0)
                return pki_error(r, "Failed to read the common name of an agent's certificate");
        *ret = TAKE_PTR(id);
        return 0;
}

bool pki_cert_matches_host(const PkiCert *c, const char *host) {
        bool match = X509_check_ip_asc(c->x509, host, 0) == 1 ||
                     X509_check_host(c->x509, host, 0,
                                     X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                                     NULL) == 1;

        ERR_clear_error();
        return match;
}

static X509_STORE *store_of(PkiCert *const *anchors) {
        X509_STORE *store = X509_STORE_new();

        for (PkiCert *const *a = anchors; store && a && *a; a++)
                if (X509_STORE_add_cert(store, (*a)->x509) != 1) {
                        X509_STORE_free(store);
                        return NULL;
                }
        return store;
}

/* References only: the stack is freed without its members. */
static STACK_OF(X509) *stack_of(PkiCert *const *chain) {
        STACK_OF(X509) *stack = sk_X509_new_null();

        for (PkiCert *const *c = chain; stack && c && *c; c++)
                if (sk_X509_push(stack, (*c)->x509) <= 0) {
                        sk_X509_free(stack);
                        return NULL;
                }
        return stack;
}

static int
verify_with(X509_STORE *store,
            STACK_OF(X509) *chain,
            const PkiCert *leaf,
            PkiPurpose purpose,
            usec_t time,
            const char **reterr_why) {

        static const int purposes[_PKI_PURPOSE_MAX] = {
                [PKI_PURPOSE_CLIENT] = X509_PURPOSE_SSL_CLIENT,
                [PKI_PURPOSE_SERVER] = X509_PURPOSE_SSL_SERVER,
                [PKI_PURPOSE_ANY] = X509_PURPOSE_ANY,
        };
        X509_STORE_CTX *context = X509_STORE_CTX_new();

        if (!context || X509_STORE_CTX_init(context, store, leaf->x509, chain) != 1) {
                X509_STORE_CTX_free(context);
                return pki_error(-ENOMEM, "Failed to verify a certificate");
        }
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
        X509_VERIFY_PARAM_set_time(param, (time_t) (time / USEC_PER_SEC));
        X509_VERIFY_PARAM_set_purpose(param, purposes[purpose]);
        X509_VERIFY_PARAM_set_depth(param, PKI_CHAIN_MAX);
        X509_VERIFY_PARAM_set_auth_level(param, 2);
        (void) X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);

        int r = X509_verify_cert(context) == 1 ? 0 : -EKEYREJECTED;
        if (r < 0 && reterr_why)
                *reterr_why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context));
        X509_STORE_CTX_free(context);
        return pki_error(r, "Failed to verify a certificate");
}

int pki_cert_verify(
                const PkiCert *leaf,
                PkiCert *const *chain,
                PkiCert *const *anchors,
                PkiPurpose purpose,
                usec_t time,
                const char **reterr_why) {

        uint32_t wanted = purpose == PKI_PURPOSE_CLIENT ? XKU_SSL_CLIENT : XKU_SSL_SERVER;

        /* OpenSSL takes a certificate that names no purpose for one that serves all; ours always name one */
        if (purpose != PKI_PURPOSE_ANY &&
            ((X509_get_extension_flags(leaf->x509) & EXFLAG_XKUSAGE) == 0 ||
             (X509_get_extended_key_usage(leaf->x509) & wanted) == 0)) {
                if (reterr_why)
                        *reterr_why = "certificate is not meant for this purpose";
                return pki_error(-EKEYREJECTED, "Failed to verify a certificate");
        }

        X509_STORE *store = store_of(anchors);
        STACK_OF(X509) *stack = stack_of(chain);
        int r = store && stack ? verify_with(store, stack, leaf, purpose, time, reterr_why) :
                                 pki_error(-ENOMEM, "Failed to verify a certificate");
        sk_X509_free(stack);
        X509_STORE_free(store);
        return r;
}
