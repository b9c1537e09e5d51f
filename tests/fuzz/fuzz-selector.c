/* SPDX-License-Identifier: Apache-2.0 */
#include "selector.h"

#include "alloc-util.h"
#include "string-util.h"
#include "tests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *lookup(const char *key, void *userdata) {
        return key[0] == 'a' ? "web" : NULL;
}

/* Whatever parses has one spelling, which parses to the same thing. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(selector_freep) Selector *s = NULL, *t = NULL;
        _cleanup_free_ char *text = NULL, *one = NULL, *two = NULL, *message = NULL;
        int r;

        text = memdup_suffix0(data, size);
        assert_se(text);
        r = selector_parse(text, &s, &message);
        if (r < 0) {
                assert_se(r == -EINVAL && message && !s);
                return 0;
        }
        assert_se(selector_format(s, &one) == 0);
        if (strlen(one) > SELECTOR_TEXT_MAX)
                return 0;
        assert_se(selector_parse(one, &t, NULL) == 0);
        assert_se(selector_format(t, &two) == 0);
        assert_se(streq(one, two));
        assert_se(selector_matches(s, lookup, NULL) == selector_matches(t, lookup, NULL));
        return 0;
}
