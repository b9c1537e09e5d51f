/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "crypto.h"
#include "fd-util.h"
#include "fs-util.h"
#include "string-util.h"
#include "tests.h"
#include "updater-links.h"
#include "updater-stage.h"
#include "updater-tests.h"

#define SIZE (1000 * 1000U)

static char content[SIZE];

static int file_with(UpdaterRoot *root, const void *data, size_t size) {
        int fd = openat(root->state_fd, "handed-over", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_ok(fd);
        assert_ok(fd_write_all(fd, data, size));
        return fd;
}

static int stage_run(Stage *s) {
        int r;

        do
                r = stage_step(s);
        while (r > 0);
        return r;
}

static void test_publishes(UpdaterRoot *root) {
        _cleanup_(stage_freep) Stage *s = NULL;
        _cleanup_close_ int agent = file_with(root, content, SIZE), updater = -EBADF;
        uint8_t digest[SHA256_SIZE];
        char hex[SHA256_HEX_MAX];
        struct stat st;

        sha256_bytes(content, SIZE, digest);
        assert_ok(mkdirat(root->bin_fd, ".v1.1.0.new", 0700)); /* left behind */
        assert_ok(stage_new(&s, root, "1.1.0"));
        assert_ok(stage_add(s, "agent", agent, SIZE, digest)); /* its offset is at the end: must not matter */
        updater = openat(root->state_fd, "handed-over", O_RDONLY | O_CLOEXEC);
        assert_ok(stage_add(s, "updater", updater, SIZE, NULL));
        assert_error(stage_add(s, "updater", updater, SIZE, NULL), EINVAL);
        assert_se(stage_step(s) == 1);
        assert_se(stage_bytes_done(s) > 0 && stage_bytes_done(s) < SIZE);
        assert_se(!version_is_usable(root->bin_fd, "1.1.0"));
        assert_ok(stage_run(s));
        assert_se(stage_bytes_done(s) == 2 * SIZE);
        stage_digest(s, hex);
        assert_se(strlen(hex) == 64);

        make_version(root, "1.1.0", "an older build of that name");
        assert_ok(stage_publish(s));
        s = stage_free(s);
        assert_se(version_is_usable(root->bin_fd, "1.1.0"));
        assert_ok(fstatat(root->bin_fd, "v1.1.0/agent", &st, 0));
        assert_se(st.st_size == SIZE && (st.st_mode & 07777) == 0755);
        assert_se(faccessat(root->bin_fd, ".v1.1.0.new", F_OK, 0) < 0);
}

/* Each of these must leave nothing behind. */
static void expect_refused(UpdaterRoot *root, int fd, uint64_t length, const uint8_t *digest, int add, int run) {
        Stage *s = NULL;

        assert_ok(stage_new(&s, root, "2.0.0"));
        int r = stage_add(s, "agent", fd, length, digest);
        assert_se(r == add);
        if (r >= 0) {
                assert_se(stage_run(s) == run);
                if (run == -EBADMSG)
                        assert_se(strstr(stage_problem(s), "2.0.0"));
        }
        stage_free(s);
        assert_se(faccessat(root->bin_fd, ".v2.0.0.new", F_OK, 0) < 0);
        assert_se(faccessat(root->bin_fd, "v2.0.0", F_OK, 0) < 0);
}

static void test_refuses(UpdaterRoot *root) {
        _cleanup_close_ int fd = file_with(root, content, SIZE), dir = -EBADF, null = -EBADF, p0 = -EBADF, p1 = -EBADF;
        uint8_t digest[SHA256_SIZE], wrong[SHA256_SIZE] = {};
        int p[2];

        sha256_bytes(content, SIZE, digest);
        expect_refused(root, fd, SIZE, wrong, 0, -EBADMSG);
        expect_refused(root, fd, SIZE - 1, digest, -EFBIG, 0);
        expect_refused(root, fd, SIZE + 1, digest, -EFBIG, 0);

        dir = dir_open_at(root->state_fd, ".");
        expect_refused(root, dir, SIZE, digest, -EISDIR, 0);
        null = open("/dev/zero", O_RDONLY | O_CLOEXEC);
        expect_refused(root, null, SIZE, digest, -ENOTSUP, 0);
        assert_ok(pipe2(p, O_CLOEXEC));
        p0 = p[0];
        p1 = p[1];
        expect_refused(root, p0, SIZE, digest, -ENOTSUP, 0);
}

/* Whoever handed the file over goes on writing to it. */
static void test_changes_under_us(UpdaterRoot *root) {
        _cleanup_close_ int fd = file_with(root, content, SIZE);
        uint8_t digest[SHA256_SIZE];
        Stage *s = NULL;

        sha256_bytes(content, SIZE, digest);

        assert_ok(stage_new(&s, root, "2.0.0"));
        assert_ok(stage_add(s, "agent", fd, SIZE, digest));
        assert_se(stage_step(s) == 1);
        assert_se(pwrite(fd, "evil", 4, 0) == 4); /* behind the copy: what was signed arrives */
        assert_ok(stage_run(s));
        stage_free(s);

        assert_se(pwrite(fd, content, 4, 0) == 4);
        assert_ok(stage_new(&s, root, "2.0.0"));
        assert_ok(stage_add(s, "agent", fd, SIZE, digest));
        assert_se(stage_step(s) == 1);
        assert_se(pwrite(fd, "evil", 4, SIZE - 4) == 4); /* before the copy: refused */
        assert_error(stage_run(s), EBADMSG);
        stage_free(s);

        fd_close(TAKE_FD(fd));
        fd = file_with(root, content, SIZE);
        assert_ok(stage_new(&s, root, "2.0.0"));
        assert_ok(stage_add(s, "agent", fd, SIZE, digest));
        assert_se(stage_step(s) == 1);
        assert_se(pwrite(fd, "more", 4, SIZE) == 4);
        assert_error(stage_run(s), EBADMSG);
        stage_free(s);

        assert_ok(ftruncate(fd, SIZE));
        assert_ok(stage_new(&s, root, "2.0.0"));
        assert_ok(stage_add(s, "agent", fd, SIZE, digest));
        assert_se(stage_step(s) == 1);
        assert_ok(ftruncate(fd, SIZE / 2));
        assert_error(stage_run(s), EBADMSG);
        stage_free(s);
}

int main(void) {
        _cleanup_(test_root_freep) TestRoot *t = test_root_new();
        UpdaterRoot *root = test_root_get(t);

        for (size_t i = 0; i < SIZE; i++)
                content[i] = (char) (i * 31 + i / 251);
        test_publishes(root);
        test_refuses(root);
        test_changes_under_us(root);
        return 0;
}
