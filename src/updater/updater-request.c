/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-request.h"

#include "string-util.h"
#include "version.h"

static int read_metadata(sd_bus_message *m, TufBytes **ret, const char **reterr_why) {
        _cleanup_(tuf_bytes_freep) TufBytes *b = NULL;
        int r;

        *reterr_why = "The metadata is malformed.";
        r = tuf_bytes_new(&b);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(m, 'a', "(say)");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'r', "say")) > 0) {
                const char *name;
                const void *data;
                size_t size;

                r = sd_bus_message_read(m, "s", &name);
                if (r < 0)
                        return r;
                r = sd_bus_message_read_array(m, 'y', &data, &size);
                if (r < 0)
                        return r;
                r = tuf_bytes_add(b, name, data, size);
                if (r < 0) {
                        *reterr_why = r == -EINVAL ? "The metadata has a file that is none of TUF's." :
                                      r == -EEXIST ? "The metadata has two files of one name." :
                                                     "The metadata is larger than allowed.";
                        return r;
                }
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(b);
        return 0;
}

static int read_targets(sd_bus_message *m, InstallRequest *q) {
        int r = sd_bus_message_enter_container(m, 'a', "(sh)");
        if (r < 0)
                return r;
        for (;;) {
                const char *path;
                int fd;

                r = sd_bus_message_read(m, "(sh)", &path, &fd);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;
                if (q->n_targets >= INSTALL_TARGETS_MAX)
                        return -E2BIG;
                q->targets[q->n_targets].path = path;
                q->targets[q->n_targets++].fd = fd; /* the message's, staging makes a copy */
        }
        return sd_bus_message_exit_container(m);
}

/* Of Install and Rollback; *ret_retry may be NULL, where there is no such option. */
static int read_options(sd_bus_message *m, const char **ret_instruction, bool *ret_retry) {
        int r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                const char *key;
                int flag;

                r = sd_bus_message_read(m, "s", &key);
                if (r < 0)
                        return r;
                if (streq(key, "instruction")) {
                        r = sd_bus_message_read(m, "v", "s", ret_instruction);
                        if (r >= 0 && !string_is_safe(*ret_instruction, INSTRUCTION_MAX - 1))
                                return -EINVAL;
                } else if (streq(key, "retry") && ret_retry) {
                        r = sd_bus_message_read(m, "v", "b", &flag);
                        if (r >= 0)
                                *ret_retry = flag;
                } else
                        r = sd_bus_message_skip(m, "v"); /* of a later agent */
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int install_request_read(
                sd_bus_message *m, InstallRequest *ret, TufBytes **ret_metadata, const char **reterr_why) {

        _cleanup_(tuf_bytes_freep) TufBytes *metadata = NULL;
        InstallRequest q = {};
        int r;

        *reterr_why = "The version is not one such as 1.2.0.";
        r = sd_bus_message_read(m, "s", &q.version);
        if (r < 0)
                return r;
        if (!version_is_valid(q.version))
                return -EINVAL;
        r = read_metadata(m, &metadata, reterr_why);
        if (r < 0)
                return r;
        *reterr_why = "The targets are malformed, or more than two.";
        r = read_targets(m, &q);
        if (r < 0)
                return r;
        *reterr_why = "The options are malformed.";
        r = read_options(m, &q.instruction, &q.retry);
        if (r < 0)
                return r;

        q.metadata = metadata;
        *ret = q;
        *ret_metadata = TAKE_PTR(metadata);
        return 0;
}

int rollback_request_read(sd_bus_message *m, RollbackRequest *ret, const char **reterr_why) {
        RollbackRequest q = {};
        int r;

        *reterr_why = "The version is not one such as 1.2.0.";
        r = sd_bus_message_read(m, "s", &q.version);
        if (r < 0)
                return r;
        if (!isempty(q.version) && !version_is_valid(q.version))
                return -EINVAL;
        *reterr_why = "The options are malformed.";
        r = read_options(m, &q.instruction, NULL);
        if (r < 0)
                return r;
        *ret = q;
        return 0;
}
