/* SPDX-License-Identifier: Apache-2.0 */

/* Where the admin socket may be, and what may already be there. */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "fd-util.h"
#include "fs-util.h"
#include "gateway-conf.h"
#include "listen.h"
#include "string-util.h"
#include "tests.h"

static char directory[] = "/tmp/test-admin-XXXXXX";

static char *place(const char *name) {
        char *p = strjoinf("%s/%s", directory, name);

        assert_se(p);
        return p;
}

static void test_setting(void) {
        static const struct {
                const char *value, *expected; /* NULL: refused, and the default stays */
        } table[] = {
                { "", "" },
                { "/run/x/admin.sock", "/run/x/admin.sock" },
                { "127.0.0.1:9464", "127.0.0.1:9464" },
                { "[::1]:0", "[::1]:0" },
                { "0.0.0.0:9464", NULL },
                { "[::]:9464", NULL },
                { ":9464", NULL },
                { "127.0.0.2:9464", NULL },
                { "localhost:9464", NULL },
                { "192.0.2.1:9464", NULL },
                { "127.0.0.1", NULL },
                { "127.0.0.1:", NULL },
                { "127.0.0.1:65536", NULL },
                { "::1:80", NULL },
                { "admin.sock", NULL },
                { "/run/\x01", NULL },
                { "/0123456789012345678901234567890123456789012345678901234567890123456789"
                  "012345678901234567890123456789012345678",
                  NULL },
        };
        _cleanup_free_ char *file = place("gateway.conf");

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *text = strjoinf("[Gateway]\nAdminListen=%s\n", table[i].value);
                GatewayConf c;

                assert_se(text);
                assert_ok(file_write_atomic_at(AT_FDCWD, file, text, strlen(text), 0600));
                assert_ok(gateway_conf_load(&c, file));
                if (!streq_ptr(c.admin_listen, table[i].expected))
                        fprintf(stderr, "AdminListen=%s: %s\n", table[i].value, strna(c.admin_listen));
                assert_se(streq_ptr(c.admin_listen, table[i].expected));
                gateway_conf_done(&c);
        }
}

static void test_unix(void) {
        _cleanup_free_ char *path = place("admin.sock"), *file = place("file"), *long_path = NULL;
        _cleanup_close_ int fd = -EBADF, again = -EBADF;
        struct stat st;

        fd = listen_unix(path);
        assert_ok(fd);
        assert_se(stat(path, &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0660);
        assert_se(listen_is_local(fd) == 1);

        /* somebody listens: he keeps it */
        assert_error(listen_unix(path), EADDRINUSE);
        /* nobody does any more: a gateway that was killed must not keep the next one from it */
        fd = fd_close(fd);
        again = listen_unix(path);
        assert_ok(again);

        /* what is no socket is left alone */
        assert_ok(file_write_atomic_at(AT_FDCWD, file, "x", 1, 0600));
        assert_error(listen_unix(file), EADDRINUSE);
        assert_se(stat(file, &st) == 0 && S_ISREG(st.st_mode));

        assert_error(listen_unix("/nowhere/at/all/admin.sock"), ENOENT);
        long_path = strjoinf("%s/%0200d", directory, 1);
        assert_se(long_path);
        assert_error(listen_unix(long_path), ENAMETOOLONG);
}

static void test_local(void) {
        _cleanup_close_ int loopback = listen_tcp("127.0.0.1:0"), all = listen_tcp("0.0.0.0:0"),
                            file = open("/dev/null", O_RDONLY | O_CLOEXEC), v6 = listen_tcp("[::1]:0"),
                            any = listen_tcp("[::]:0");

        assert_ok(loopback);
        assert_ok(all);
        assert_se(listen_is_local(loopback) == 1);
        assert_se(listen_is_local(all) == 0);
        assert_error(listen_is_local(file), ENOTSOCK);
        if (v6 >= 0) /* a machine without IPv6 has no such address */
                assert_se(listen_is_local(v6) == 1);
        assert_ok(any);
        assert_se(listen_is_local(any) == 0);
}

int main(void) {
        assert_se(mkdtemp(directory));
        test_setting();
        test_unix();
        test_local();
        assert_ok(tree_remove_at(AT_FDCWD, directory));
        return 0;
}
