/* SPDX-License-Identifier: Apache-2.0 */

/* Who is started again, and what is remembered for that. */

#include <unistd.h>

#include "tests.h"
#include "updater-agent.h"
#include "updater-mark.h"
#include "updater-tests.h"

static void test_marks(void) {
        _cleanup_(test_root_freep) TestRoot *t = test_root_new();
        UpdaterRoot *root = test_root_get(t);

        assert_se(!mark_is(root, MARK_BRING_UP, NULL));
        mark_clear(root, MARK_BRING_UP);
        mark_set(root, MARK_BRING_UP, "one");
        assert_se(mark_is(root, MARK_BRING_UP, NULL) && mark_is(root, MARK_BRING_UP, "one"));
        assert_se(!mark_is(root, MARK_BRING_UP, "two") && !mark_is(root, MARK_BROUGHT_BACK, NULL));
        mark_clear(root, MARK_BRING_UP);
        assert_se(!mark_is(root, MARK_BRING_UP, NULL));
}

/* A reset that no start followed looks like an agent that somebody has stopped. */
static void test_needs_start(void) {
        _cleanup_(test_root_freep) TestRoot *t = test_root_new();
        UpdaterRoot *root = test_root_get(t);

        assert_se(agent_needs_start(root, "failed"));
        assert_se(!agent_needs_start(root, "inactive"));
        mark_set(root, MARK_BRING_UP, "yes");
        assert_se(agent_needs_start(root, "failed"));
        assert_se(agent_needs_start(root, "inactive"));
        assert_se(!agent_needs_start(root, "active"));
        assert_se(!agent_needs_start(root, "activating"));
        assert_se(!agent_needs_start(root, "deactivating"));
}

int main(void) {
        test_marks();
        test_needs_start();
        return 0;
}
