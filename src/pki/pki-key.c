/* SPDX-License-Identifier: Apache-2.0 */

#include "pki-key.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include "alloc-util.h"
#include "crypto.h"
#include "errno-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "log.h"
#include "pki-openssl.h"
#include "string-util.h"

int pki_error(int error, const char *what) {
        unsigned long code = ERR_peek_last_error();

        if (code != 0)
                log_debug("%s: %s", what, ERR_reason_error_string(code) ?: "unknown OpenSSL error");
        ERR_clear_error();
        return error;
}

int pki_check_p256(EVP_PKEY *pkey) {
        char group[32];
        size_t size;

        if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_EC)
                return -ENOTSUP;
        if (EVP_PKEY_get_group_name(pkey, group, sizeof(group), &size) != 1)
                return pki_error(-ENOTSUP, "Failed to name the curve of a key");
        if (!streq(group, SN_X9_62_prime256v1))
                return -ENOTSUP;

        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(pkey, NULL);
        if (!context)
                return pki_error(-ENOMEM, "Failed to check a key");
        int r = EVP_PKEY_public_check(context);
        EVP_PKEY_CTX_free(context);
        return r == 1 ? 0 : pki_error(-ENOTSUP, "Failed to check a key");
}

/* Takes the reference. */
static int key_wrap(EVP_PKEY *pkey, PkiKey **ret) {
        PkiKey *k = new0(PkiKey, 1);

        if (!k) {
                EVP_PKEY_free(pkey);
                return -ENOMEM;
        }
        k->pkey = pkey;
        *ret = k;
        return 0;
}

int pki_key_generate(PkiKey **ret) {
        EVP_PKEY *pkey = EVP_EC_gen("P-256");

        if (!pkey)
                return pki_error(-EIO, "Failed to generate a key");
        return key_wrap(pkey, ret);
}

PkiKey *pki_key_free(PkiKey *k) {
        if (k)
                EVP_PKEY_free(k->pkey);
        free(k);
        return NULL;
}

/* Without one OpenSSL would ask on the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *userdata) {
        return -1;
}

int pki_key_parse_pem(const void *data, size_t size, PkiKey **ret) {
        _cleanup_(BIO_free_allp) BIO *bio = NULL;
        _cleanup_(evp_pkey_releasep) EVP_PKEY *pkey = NULL;
        int r;

        if (size > PKI_KEY_PEM_MAX)
                return -EFBIG;

        bio = BIO_new_mem_buf(data, (int) size);
        if (!bio)
                return pki_error(-ENOMEM, "Failed to read a key");
        pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
        if (!pkey)
                return pki_error(-EBADMSG, "Failed to read a key");
        r = pki_check_p256(pkey);
        if (r < 0)
                return r;
        ERR_clear_error();
        return key_wrap(TAKE_PTR(pkey), ret);
}

int pki_key_format_pem(const PkiKey *k, char **ret, size_t *ret_size) {
        _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());
        char *data;

        if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, k->pkey, NULL, NULL, 0, NULL, NULL) != 1)
                return pki_error(-ENOMEM, "Failed to write a key");

        long size = BIO_get_mem_data(bio, &data);
        if (size <= 0)
                return pki_error(-ENOMEM, "Failed to write a key");
        char *pem = memdup_suffix0(data, (size_t) size);
        if (!pem)
                return -ENOMEM;
        *ret = pem;
        if (ret_size)
                *ret_size = (size_t) size;
        return 0;
}

int pki_key_save_at(const PkiKey *k, int dir_fd, const char *path) {
        char *pem;
        size_t size;

        int r = pki_key_format_pem(k, &pem, &size);
        if (r < 0)
                return r;
        r = file_write_atomic_at(dir_fd, path, pem, size, 0600);
        secret_free(pem, size);
        return r;
}

int pki_key_load_at(int dir_fd, const char *path, PkiKey **ret) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        void *data;
        size_t size;
        int r;

        fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return negative_errno();
        r = fd_verify_regular(fd);
        if (r < 0)
                return r;
        if (fstat(fd, &st) < 0)
                return negative_errno();
        if ((st.st_mode & 0077) != 0)
                return log_debug_errno(
                                -EPERM,
                                "Private key '%s' has mode %04o, which lets others in; it must be 0600.",
                                path, (unsigned) (st.st_mode & 07777));

        r = fd_read_all(fd, PKI_KEY_PEM_MAX, &data, &size);
        if (r < 0)
                return r;
        r = pki_key_parse_pem(data, size, ret);
        secret_free(data, size);
        return r;
}
