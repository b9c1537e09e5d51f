/* SPDX-License-Identifier: Apache-2.0 */
#include "tests.h"
#include "tuf-canonical.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* However the same JSON is written, its canonical form is one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_json_ json_t *v = NULL, *w = NULL;
        _cleanup_free_ char *one = NULL, *two = NULL, *text = NULL;
        size_t n, m;

        if (json_parse(data, size, 65536, &v, NULL) < 0)
                return 0;
        int r = tuf_canonical_encode(v, &one, &n);
        if (r < 0) {
                assert_se(r == -EBADMSG);
                return 0;
        }
        assert_se(strlen(one) == n);
        text = json_format(v, true);
        assert_se(text);
        assert_se(json_parse(text, strlen(text), 1 << 20, &w, NULL) == 0);
        assert_se(tuf_canonical_encode(w, &two, &m) == 0);
        assert_se(n == m && memcmp(one, two, n) == 0);
        return 0;
}
