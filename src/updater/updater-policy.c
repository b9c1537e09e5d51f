/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-policy.h"

#include <string.h>

#include "fs-util.h"
#include "log.h"
#include "parse-util.h"
#include "state-file.h"
#include "string-util.h"
#include "version.h"

#define FLOOR_NAME "floor"
#define PREVIOUS_NAME "previous"
#define PIN_NAME "updater-pin"
#define PACKAGE_VERSION_NAME "VERSION"
#define PACKAGE_GENERATION_NAME "PACKAGING"
#define LINE_MAX_BYTES 256U

/* State files with one version in them. 0 with NULL when there is none. */
static int version_file_load(int dir_fd, const char *name, char **ret) {
        _cleanup_(state_file_freep) StateFile *s = NULL;

        *ret = NULL;
        if (dir_fd < 0)
                return 0;
        int r = state_file_load_at(dir_fd, name, &s);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        const char *v = state_file_get(s, "version");
        if (!v || !version_is_valid(v))
                return -EBADMSG;
        *ret = strdup(v);
        return *ret ? 0 : -ENOMEM;
}

static int version_file_save(int dir_fd, const char *name, const char *version) {
        _cleanup_(state_file_freep) StateFile *s = NULL;

        if (dir_fd < 0)
                return -EBADF;
        int r = state_file_new(&s);
        if (r < 0)
                return r;
        r = state_file_set(s, "version", version);
        if (r < 0)
                return r;
        return state_file_save_at(s, dir_fd, name, 0600);
}

/* Files for people and packages: one line. */
static int line_load(int dir_fd, const char *name, char **ret) {
        _cleanup_free_ void *data = NULL;
        size_t size;

        if (dir_fd < 0)
                return -ENOENT;
        int r = file_read_at(dir_fd, name, LINE_MAX_BYTES, &data, &size);
        if (r < 0)
                return r == -EFBIG ? -EBADMSG : r;
        if (strlen(data) != size)
                return -EBADMSG;
        char *line = strdup(string_strip(data));
        if (!line)
                return -ENOMEM;
        *ret = line;
        return 0;
}

int floor_load(UpdaterRoot *root, char **ret) {
        return version_file_load(root->state_fd, FLOOR_NAME, ret);
}

int floor_raise(UpdaterRoot *root, const char *version) {
        _cleanup_free_ char *held = NULL;

        int r = floor_load(root, &held);
        if (r < 0 && r != -EBADMSG)
                return r;
        if (held && version_compare(held, version) >= 0)
                return 0;
        r = version_file_save(root->state_fd, FLOOR_NAME, version);
        return r < 0 ? r : 1;
}

bool floor_allows(const char *floor, const char *version) {
        return !floor || version_compare(version, floor) >= 0;
}

int previous_load(UpdaterRoot *root, char **ret) {
        int r = version_file_load(root->state_fd, PREVIOUS_NAME, ret);
        return r == -EBADMSG ? 0 : r; /* only a convenience */
}

int previous_save(UpdaterRoot *root, const char *version) {
        return version_file_save(root->state_fd, PREVIOUS_NAME, version);
}

int pin_load(UpdaterRoot *root, char **ret) {
        _cleanup_free_ char *line = NULL;

        *ret = NULL;
        int r = line_load(root->config_fd, PIN_NAME, &line);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        if (!version_is_valid(line))
                return -EBADMSG;
        *ret = TAKE_PTR(line);
        return 0;
}

int pin_set(UpdaterRoot *root, const char *version) {
        if (root->config_fd < 0)
                return -ENOENT;
        _cleanup_free_ char *line = strjoinf("%s\n", version);
        if (!line)
                return -ENOMEM;
        return file_write_atomic_at(root->config_fd, PIN_NAME, line, strlen(line), 0644);
}

int pin_clear(UpdaterRoot *root) {
        if (root->config_fd < 0)
                return 0;
        return unlink_durable_at(root->config_fd, PIN_NAME);
}

int package_version_load(UpdaterRoot *root, char **ret) {
        _cleanup_free_ char *line = NULL;

        int r = line_load(root->package_fd, PACKAGE_VERSION_NAME, &line);
        if (r < 0)
                return r;
        if (!version_is_valid(line))
                return -EBADMSG;
        *ret = TAKE_PTR(line);
        return 0;
}

int package_generation_load(UpdaterRoot *root, uint32_t *ret) {
        _cleanup_free_ char *line = NULL;

        int r = line_load(root->package_fd, PACKAGE_GENERATION_NAME, &line);
        if (r < 0)
                return r;
        return parse_u32(line, ret) < 0 ? -EBADMSG : 0;
}
