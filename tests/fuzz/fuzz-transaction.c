/* SPDX-License-Identifier: Apache-2.0 */
#include "tests.h"
#include "updater-decide.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever is read as a record is decided upon without a crash, and never begins a trial that is not its own. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(transaction_freep) Transaction *t = NULL;
        _cleanup_(state_file_freep) StateFile *s = NULL;
        Links links = { (char *) "1.0.0", (char *) "1.0.0" };

        if (state_file_parse(data, size, &s) < 0 || transaction_from_state(s, &t) < 0)
                return 0;
        assert_se(strlen(t->id) == 32 && t->from && t->to);
        for (UpdaterVerb v = 0; v < _UPDATER_VERB_MAX; v++) {
                Decision d = updater_decide(&(Situation) {
                        .verb = v, .links = &links, .current_usable = true, .good_usable = true, .transaction = t,
                        .boot_id = "11111111111111111111111111111111", .now_usec = 1000,
                });
                if (d.action == ACTION_APPLY)
                        assert_se(v == UPDATER_APPLY && t->staged && strcmp(t->from, "1.0.0") == 0 && t->deadline_usec > 1000);
                assert_se(d.action != ACTION_GO_BACK);
        }
        return 0;
}
