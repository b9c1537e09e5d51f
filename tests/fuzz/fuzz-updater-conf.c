/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"
#include "tests.h"
#include "updater-conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever stands there, the trial has a sensible length and there is a version to go back to. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        UpdaterConf c = updater_conf_default();

        log_set_max_level(LOG_EMERG);
        if (conf_parse_buffer("fuzz", (const char *) data, size, updater_conf_items, &c) < 0)
                return 0;
        updater_conf_clamp(&c);
        assert_se(c.confirm_timeout_usec >= 5 * USEC_PER_SEC && c.confirm_timeout_usec <= USEC_PER_HOUR);
        assert_se(c.soak_usec >= USEC_PER_SEC && c.soak_usec <= 10 * USEC_PER_MINUTE);
        assert_se(c.keep_versions >= 2 && c.keep_versions <= 20);
        assert_se(updater_conf_backstop(&c) > c.soak_usec);
        return 0;
}
