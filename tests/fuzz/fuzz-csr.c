/* SPDX-License-Identifier: Apache-2.0 */
#include "pki-csr.h"

#include "tests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        PkiCsr *csr = NULL;

        int r = pki_csr_parse(data, size, &csr);
        assert_se(IN_SET(r, 0, -EFBIG, -EBADMSG, -ENOTSUP, -EKEYREJECTED));
        assert_se(!csr == (r < 0));
        pki_csr_free(csr);
        return 0;
}
