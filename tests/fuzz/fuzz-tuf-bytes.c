/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc-util.h"
#include "string-util.h"
#include "tests.h"
#include "tuf-bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lines are names of files: which the collection takes, and that it gives back what it took. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(tuf_bytes_freep) TufBytes *b = NULL;
        _cleanup_free_ char *text = memdup_suffix0(data, size);
        const void *bytes;
        size_t n, taken = 0;
        char *save;

        assert_se(text && tuf_bytes_new(&b) == 0);
        for (char *name = strtok_r(text, "\n", &save); name; name = strtok_r(NULL, "\n", &save)) {
                int r = tuf_bytes_add(b, name, name, strlen(name));
                assert_se(IN_SET(r, 0, -EINVAL, -EEXIST, -EFBIG, -E2BIG));
                if (r < 0)
                        continue;
                taken++;
                assert_se(!strchr(name, '/') && endswith(name, ".json") && name[0] != '.');
                assert_se(tuf_bytes_get(b, name, &bytes, &n) == 0 && n == strlen(name) &&
                          memcmp(bytes, name, n) == 0);
        }
        assert_se(tuf_bytes_count(b) == taken);
        return 0;
}
