/* SPDX-License-Identifier: Apache-2.0 */
#include "tests.h"
#include "updater-denylist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever is read refuses nothing for longer than a day, takes another strike, and stays bounded. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char digest[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        static const char id[] = "99999999999999999999999999999999";
        const usec_t times[] = { 0, 1795000000 * USEC_PER_SEC, USEC_INFINITY };
        _cleanup_(denylist_freep) Denylist *d = NULL;
        _cleanup_(state_file_freep) StateFile *s = NULL;

        if (state_file_parse(data, size, &s) < 0 || denylist_from_state(s, &d) < 0)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(times); i++) {
                assert_se(denylist_remaining(d, digest, times[i]) <= USEC_PER_DAY);
                int r = denylist_lift(d, digest, times[i]);
                if (r > 0)
                        assert_se(denylist_remaining(d, digest, times[i]) == 0);
        }
        assert_se(denylist_strike(d, digest, id, times[1]) >= 0);
        assert_se(denylist_size(d) <= DENYLIST_MAX);
        return 0;
}
