/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-facts.h"
#include "string-util.h"
#include "tests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever comes out may go into a log line and to the gateway. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        OsRelease o;
        int r = os_release_parse((const char *) data, size, &o);

        if (r < 0) {
                assert_se(r == -EFBIG && size > OS_RELEASE_MAX);
                return 0;
        }
        assert_se(!isempty(o.id) && string_is_safe(o.id, FACT_MAX));
        assert_se(!o.version_id || string_is_safe(o.version_id, FACT_MAX));
        assert_se(!o.pretty_name || string_is_safe(o.pretty_name, FACT_MAX));
        os_release_done(&o);
        return 0;
}
