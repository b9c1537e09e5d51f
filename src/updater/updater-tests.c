/* SPDX-License-Identifier: Apache-2.0 */

#include "updater-tests.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "crypto.h"
#include "fs-util.h"
#include "names.h"
#include "string-util.h"
#include "tests.h"

struct TestRoot {
        char path[64];
        Updater *updater;
};

TestRoot *test_root_new(void) {
        TestRoot *t = new0(TestRoot, 1);

        assert_se(t);
        assert_ok(crypto_init());
        strcpy(t->path, "/tmp/test-updater-XXXXXX");
        assert_se(mkdtemp(t->path));
        for (size_t i = 0; i < 2; i++) {
                _cleanup_free_ char *p = strjoinf("%s%s", t->path, i ? FLEET_PACKAGE_DIR : FLEET_CONFIG_DIR);
                assert_ok(mkdir_parents(p, 0755));
        }
        assert_ok(updater_new(&t->updater, t->path));
        return t;
}

TestRoot *test_root_free(TestRoot *t) {
        if (!t)
                return NULL;
        updater_free(t->updater);
        assert_ok(tree_remove_at(AT_FDCWD, t->path));
        free(t);
        return NULL;
}

UpdaterRoot *test_root_get(TestRoot *t) {
        return t->updater->root;
}

Updater *test_root_updater(TestRoot *t) {
        return t->updater;
}

static void make_files(int dir_fd, const char *directory, const char *content) {
        const char *const files[] = { "agent", "updater" };

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_free_ char *path = strjoinf("%s/%s", directory, files[i]);
                _cleanup_free_ char *text = strjoinf("%s of %s", files[i], content);
                assert_se(path && text);
                assert_ok(file_write_atomic_at(dir_fd, path, text, strlen(text), 0755));
        }
}

void make_version(UpdaterRoot *root, const char *version, const char *content) {
        _cleanup_free_ char *directory = strjoinf("v%s", version);

        assert_se(directory);
        assert_se(mkdirat(root->bin_fd, directory, 0755) >= 0 || errno == EEXIST);
        make_files(root->bin_fd, directory, content);
}

void make_package(UpdaterRoot *root, const char *version, const char *content) {
        _cleanup_free_ char *line = strjoinf("%s\n", version);

        assert_se(line);
        make_files(root->package_fd, ".", content);
        assert_ok(file_write_atomic_at(root->package_fd, "VERSION", line, strlen(line), 0644));
}
