/* SPDX-License-Identifier: Apache-2.0 */

/* A folder as the build makes it, and all the ways in which it can be wrong. */

#include "console-files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs-util.h"
#include "hex.h"
#include "string-util.h"
#include "tests.h"

static char folder[] = "/tmp/test-console-XXXXXX";
static int folder_fd = -EBADF;

static void put(const char *name, const char *text) {
        assert_ok(file_write_atomic_at(folder_fd, name, text, strlen(text), 0644));
}

static const char *hash(const char *text) {
        static char hex[4][SHA256_HEX_MAX];
        static unsigned next;
        uint8_t digest[SHA256_SIZE];
        char *ret = hex[next++ % ELEMENTSOF(hex)];

        sha256_bytes(text, strlen(text), digest);
        hex_encode(digest, sizeof(digest), ret);
        return ret;
}

static void put_manifest(const char *files) {
        _cleanup_free_ char *text = strjoinf("{\"format\":1,\"files\":[%s]}", files);

        assert_se(text);
        put("console.json", text);
}

static char *entry(const char *path, const char *sha256) {
        char *text = strjoinf("{\"path\":\"%s\",\"immutable\":false,\"sha256\":\"%s\"}", path, sha256);

        assert_se(text);
        return text;
}

static void expect(int error) {
        _cleanup_(console_freep) Console *c = NULL;
        int r = console_load(&c, folder);

        if (r != error)
                fprintf(stderr, "expected %d, got %d\n", error, r);
        assert_se(r == error && (r == 0) == !!c);
}

static void test_good(void) {
        _cleanup_(console_freep) Console *c = NULL;
        _cleanup_free_ char *files = NULL;
        const ConsoleFile *f;

        put("index.html", "<html>");
        put("index.html.gz", "<h>");
        put("index.html.br", "b");
        put("assets/a-1.js", "code");
        put("unlisted.js", "unlisted");
        files = strjoinf("{\"path\":\"index.html\",\"immutable\":false,\"sha256\":\"%s\",\"gzip_sha256\":\"%s\","
                         "\"br_sha256\":\"%s\"},"
                         "{\"path\":\"assets/a-1.js\",\"immutable\":true,\"sha256\":\"%s\"}",
                         hash("<html>"), hash("<h>"), hash("b"), hash("code"));
        assert_se(files);
        put_manifest(files);
        assert_ok(console_load(&c, folder));
        assert_se(console_size(c) == 2);

        f = console_find(c, "index.html");
        assert_se(f && !f->immutable && startswith(f->type, "text/html"));
        assert_se(console_choose(f, "gzip, br") == CONSOLE_BROTLI);
        assert_se(console_choose(f, "gzip, br;q=0") == CONSOLE_GZIP);
        assert_se(console_choose(f, "deflate") == CONSOLE_IDENTITY);
        assert_se(console_choose(f, NULL) == CONSOLE_IDENTITY);
        assert_se(f->bodies[CONSOLE_BROTLI].size == 1);
        assert_se(!streq(f->bodies[CONSOLE_BROTLI].etag, f->bodies[CONSOLE_GZIP].etag));
        assert_se(f->bodies[CONSOLE_GZIP].etag[0] == '"' && endswith(f->bodies[CONSOLE_GZIP].etag, "\""));

        f = console_find(c, "assets/a-1.js");
        assert_se(f && f->immutable && console_choose(f, "br, gzip") == CONSOLE_IDENTITY);
        assert_se(!console_find(c, "unlisted.js"));
        assert_se(!console_find(c, "console.json"));
        assert_se(!console_find(c, "index.html.gz"));

        /* what is in memory stays as it was */
        put("assets/a-1.js", "later");
        assert_se(memcmp(f->bodies[CONSOLE_IDENTITY].data, "code", 4) == 0);
        expect(-EBADMSG);
        put("assets/a-1.js", "code");
        expect(0);
}

static void test_bad(void) {
        static const char *const paths[] = {
                "../index.html", "/etc/passwd.html", "assets/../index.html", "a/b/c.js", ".hidden.js", "",
                "assets/",       "index.txt",        "a\\\\b.js",            "a b.js",
        };
        _cleanup_free_ char *good = entry("index.html", hash("<html>"));

        put_manifest(good);
        expect(0);
        put_manifest("");
        expect(-EBADMSG);
        put("console.json", "no JSON");
        expect(-EBADMSG);
        put("console.json", "{\"format\":2,\"files\":[]}");
        expect(-EBADMSG);

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                _cleanup_free_ char *bad = entry(paths[i], hash("<html>")), *both = strjoinf("%s,%s", good, bad);
                _cleanup_(console_freep) Console *c = NULL;

                assert_se(both);
                put_manifest(both);
                if (console_load(&c, folder) >= 0)
                        fprintf(stderr, "'%s' was taken\n", paths[i]);
                assert_se(!c);
        }
}

/* There is no way out of the folder, nor to what is no file. */
static void test_links(void) {
        _cleanup_free_ char *link = entry("link.js", hash("code")), *below = entry("away/a-1.js", hash("code")),
                            *directory = entry("directory.js", hash("code")),
                            *missing = entry("missing.js", hash("code")),
                            *without_index = entry("assets/a-1.js", hash("code"));

        assert_se(symlinkat("assets/a-1.js", folder_fd, "link.js") == 0);
        assert_se(symlinkat("assets", folder_fd, "away") == 0);
        assert_se(mkdirat(folder_fd, "directory.js", 0755) == 0);
        put_manifest(link);
        expect(-ELOOP);
        put_manifest(below);
        expect(-ENOTDIR);
        put_manifest(directory);
        expect(-EISDIR);
        put_manifest(missing);
        expect(-EBADMSG);
        put_manifest(without_index);
        expect(-EBADMSG);
}

int main(void) {
        _cleanup_(console_freep) Console *c = NULL;

        assert_ok(crypto_init());
        assert_se(mkdtemp(folder));
        folder_fd = dir_open_at(AT_FDCWD, folder);
        assert_ok(folder_fd);
        assert_se(mkdirat(folder_fd, "assets", 0755) == 0);
        assert_error(console_load(&c, folder), ENOENT);
        assert_error(console_load(&c, "/nonexistent/console"), ENOENT);
        test_good();
        test_bad();
        test_links();
        assert_ok(tree_remove_at(AT_FDCWD, folder));
        return 0;
}
