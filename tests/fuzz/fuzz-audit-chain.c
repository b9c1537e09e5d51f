/* SPDX-License-Identifier: Apache-2.0 */
#include "audit-chain.h"

#include "tests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lines of an audit log, from a gateway that need not be honest. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *text = (const char *) data;
        AuditChain c = {};
        int r = 0;

        while (size > 0 && r == 0) {
                const char *end = memchr(text, '\n', size);
                size_t n = end ? (size_t) (end - text) : size;
                _cleanup_free_ char *why = NULL;
                uint64_t before = c.last;

                r = audit_chain_line(&c, text, n, &why);
                assert_se((r == 1) == (why != NULL));
                if (r == 0)
                        assert_se(c.last > before && (before == 0 || c.last == before + 1));
                else
                        assert_se(c.last == before);
                n = MIN(n + 1, size);
                text += n;
                size -= n;
        }
        return 0;
}
