/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-conf.h"
#include "log.h"
#include "string-util.h"
#include "tests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any file at all yields a usable configuration, and what is shown of it means the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *one = NULL, *two = NULL;
        AgentConf c;

        log_set_max_level(-1);
        int r = agent_conf_parse(&c, "fuzz", (const char *) data, size);
        assert_se(r == 0);
        assert_se(c.reconnect_min > 0 && c.reconnect_min <= c.reconnect_max && c.connect_timeout > 0);
        assert_se(!c.address || (c.enroll_address && startswith(c.url, "https://")));
        assert_se(!agent_conf_origin_allowed(&c, "http://plain.example/", NULL));
        assert_ok(agent_conf_dump(&c, &one));
        bool origins = c.allowed_origins && c.allowed_origins[0]; /* lines that are too long are cut at 4 KiB */
        agent_conf_done(&c);
        if (origins)
                return 0;
        assert_ok(agent_conf_parse(&c, "fuzz", one, strlen(one)));
        assert_ok(agent_conf_dump(&c, &two));
        agent_conf_done(&c);
        assert_streq(one, two);
        return 0;
}
