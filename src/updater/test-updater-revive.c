/* SPDX-License-Identifier: Apache-2.0 */

/* Who is started again, what is remembered for that, and who is to blame for a self-test. */

#include <signal.h>
#include <unistd.h>

#include "tests.h"
#include "updater-agent.h"
#include "updater-mark.h"
#include "updater-self-test.h"
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

static void test_self_test(void) {
        assert_se(self_test_judge("done", CLD_EXITED, 0) == 1);
        assert_se(self_test_judge("failed", CLD_EXITED, 1) == 0);
        assert_se(self_test_judge("failed", CLD_DUMPED, SIGSEGV) == 0);
        assert_se(self_test_judge("failed", CLD_KILLED, SIGTERM) == 0); /* it hung */
        assert_se(self_test_judge("failed", CLD_EXITED, 203) == 0);     /* of another architecture */
        assert_se(self_test_judge("failed", CLD_EXITED, 200) < 0);
        assert_se(self_test_judge("failed", CLD_EXITED, 226) < 0);      /* no namespace */
        assert_se(self_test_judge("failed", 0, 0) < 0);                 /* nothing was executed */
        assert_se(self_test_judge("canceled", 0, 0) < 0);
        assert_se(self_test_judge("dependency", 0, 0) < 0);
}

int main(void) {
        test_self_test();
        test_marks();
        test_needs_start();
        return 0;
}
