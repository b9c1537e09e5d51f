/* SPDX-License-Identifier: Apache-2.0 */
#include "tests.h"
#include "tuf-secret-key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What opens can sign, and its public half says so. Sealed files end at "passphrase needed". */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(tuf_secret_key_freep) TufSecretKey *k = NULL;
        _cleanup_(tuf_key_freep) TufKey *public = NULL;
        _cleanup_free_ char *why = NULL, *other_why = NULL, *sig = NULL;

        int r = tuf_secret_key_parse(data, size, NULL, &k, &why);
        assert_se(r >= 0 || r == -ENOKEY);
        assert_se((r == 0) == (k != NULL) && (r > 0) == (why != NULL));
        if (k) {
                assert_se(tuf_secret_key_sign(k, data, size, &sig) == 0);
                assert_se(tuf_key_verify(tuf_secret_key_public(k), sig, data, size) == 1);
        }
        r = tuf_public_key_parse(data, size, &public, &other_why);
        assert_se(r >= 0 && (r == 0) == (public != NULL));
        assert_se(!k || public);
        return 0;
}
