/* SPDX-License-Identifier: Apache-2.0 */
#include "group.h"

#include "log.h"
#include "string-util.h"

bool group_name_is_valid(const char *name) {
        return !isempty(name) && label_value_is_valid(name);
}

int group_selector(Store *s, const char *name, Selector **ret) {
        _cleanup_(group_record_done) GroupRecord g = {};
        _cleanup_free_ char *why = NULL;
        int r;

        r = s->ops->group_get(s, name, &g);
        if (r < 0)
                return r;
        r = selector_parse(g.selector, ret, &why);
        if (r == -EINVAL) {
                log_error("The group \"%s\" cannot be used, set it anew: %s", name, why);
                return -EUCLEAN;
        }
        return r;
}

/* ---- who needs one ---- */

static int rollout_uses(Store *s, const char *name, char **ret_why) {
        uint64_t id;
        int r;

        r = s->ops->group_rollout(s, name, &id);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        *ret_why = strjoinf("rollout %" PRIu64 ", which is not over", id);
        return *ret_why ? 1 : -ENOMEM;
}

/* Whatever comes to refer to groups by name belongs here. */
static int (*const users[])(Store *s, const char *name, char **ret_why) = {
        rollout_uses,
};

int group_is_used(Store *s, const char *name, char **ret_why) {
        for (size_t i = 0; i < ELEMENTSOF(users); i++) {
                int r = users[i](s, name, ret_why);

                if (r != 0)
                        return r;
        }
        return 0;
}
