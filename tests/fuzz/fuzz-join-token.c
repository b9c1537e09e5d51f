/* SPDX-License-Identifier: Apache-2.0 */
#include "join-token.h"
#include "string-util.h"
#include "tests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(join_token_freep) JoinToken *t = NULL, *again = NULL;
        const char *why = NULL;
        int r = join_token_parse(data, size, &t, &why);

        if (r < 0) {
                assert_se(r == -EBADMSG && why && !t);
                return 0;
        }
        assert_se(strlen(t->text) == 5 + 16 + 1 + 64 + 1 + 64 && strlen(t->id) == JOIN_TOKEN_ID_SIZE);
        assert_se(string_is_safe(t->text, JOIN_TOKEN_MAX));
        assert_ok(join_token_parse(t->text, strlen(t->text), &again, &why));
        assert_streq(again->text, t->text);
        return 0;
}
