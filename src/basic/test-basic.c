/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "hashmap.h"
#include "hex.h"
#include "list.h"
#include "parse-util.h"
#include "string-util.h"
#include "tests.h"
#include "time-util.h"

static char directory[] = "/tmp/test-basic-XXXXXX";
static int dir_fd = -EBADF;

static void test_strings(void) {
        char stripped[] = " \t a b \n";

        assert_streq(startswith("abc", "ab"), "c");
        assert_se(!startswith("a", "ab"));
        assert_streq(endswith("x.conf", ".conf"), ".conf");
        assert_streq(string_strip(stripped), "a b");

        assert_se(utf8_is_valid("h\xc3\xa9", 3));
        assert_se(!utf8_is_valid("\xc0\x80", 2));             /* overlong */
        assert_se(!utf8_is_valid("\xed\xa0\x80", 3));         /* surrogate */
        assert_se(!utf8_is_valid("\xf4\x90\x80\x80", 4));     /* above U+10FFFF */
        assert_se(!utf8_is_valid("\xe2\x82", 2));             /* cut off */
        assert_se(string_is_safe("grün", 10));
        assert_se(!string_is_safe("a\033[2J", 10));
        assert_se(!string_is_safe("\xc2\x9b", 10));           /* C1 CSI */
        assert_se(!string_is_safe("abcdef", 5));

        _cleanup_free_ char *escaped = string_escape("a\033é\xff");
        assert_streq(escaped, "a\\x1bé\\xff");

        assert_se(filename_is_plain("v1.0.0+a_b-c"));
        assert_se(!filename_is_plain(".hidden"));
        assert_se(!filename_is_plain(".."));
        assert_se(!filename_is_plain("a/b"));
        assert_se(!filename_is_plain(""));

        _cleanup_strv_free_ char **v = NULL;
        assert_ok(strv_split("  a b\tc ", " \t", &v));
        assert_se(strv_length(v) == 3);
        assert_ok(strv_extend(&v, "d"));
        _cleanup_free_ char *joined = strv_join(v, ", ");
        assert_streq(joined, "a, b, c, d");
        assert_se(strv_contains(v, "c") && !strv_contains(v, "e"));
}

static void test_parse(void) {
        uint64_t u;
        uint16_t port;
        usec_t t;

        assert_ok(parse_u64("18446744073709551615", &u));
        assert_se(u == UINT64_MAX);
        assert_error(parse_u64("18446744073709551616", &u), ERANGE);
        assert_error(parse_u64("-1", &u), EINVAL);
        assert_error(parse_u64(" 1", &u), EINVAL);
        assert_error(parse_u64("", &u), EINVAL);
        assert_error(parse_u16("65536", &port), ERANGE);

        assert_ok(parse_sec("90", &t));
        assert_se(t == 90 * USEC_PER_SEC);
        assert_ok(parse_sec("2h 30min", &t));
        assert_se(t == 150 * USEC_PER_MINUTE);
        assert_ok(parse_sec("1.5s", &t));
        assert_se(t == 1500 * USEC_PER_MSEC);
        assert_ok(parse_sec("7d", &t));
        assert_se(t == 7 * USEC_PER_DAY);
        assert_ok(parse_sec("infinity", &t));
        assert_se(t == USEC_INFINITY);
        assert_error(parse_sec("3 parsecs", &t), EINVAL);
        assert_error(parse_sec("", &t), EINVAL);
        assert_error(parse_sec("99999999999999999999d", &t), ERANGE);
        assert_ok(parse_size("10M", &u));
        assert_se(u == MIB(10));
        assert_error(parse_size("10X", &u), EINVAL);

        _cleanup_free_ char *a = NULL, *b = NULL, *c = NULL, *d = NULL;
        assert_ok(parse_host_port("gw.example.com:7443", 0, &a, &port));
        assert_streq(a, "gw.example.com");
        assert_se(port == 7443);
        assert_ok(parse_host_port("[2001:db8::1]:99", 0, &b, &port));
        assert_streq(b, "2001:db8::1");
        assert_se(port == 99);
        assert_ok(parse_host_port("gw", 7444, &c, &port));
        assert_se(port == 7444);
        assert_error(parse_host_port("gw", 0, &d, &port), EINVAL);
        assert_error(parse_host_port("gw:0", 1, &d, &port), ERANGE);
        assert_error(parse_host_port("gw:1:2", 1, &d, &port), EINVAL);
        assert_error(parse_host_port("a b:1", 1, &d, &port), EINVAL);
        assert_error(parse_host_port(":1", 1, &d, &port), EINVAL);

        assert_se(parse_boolean("Yes") == 1 && parse_boolean("off") == 0);
        assert_error(parse_boolean("maybe"), EINVAL);
}

static void test_time(void) {
        char buf[RFC3339_MAX], span[TIMESPAN_MAX];
        usec_t t;

        assert_ok(rfc3339_parse("2026-11-24T12:34:56Z", &t));
        assert_streq(rfc3339_format(t, buf), "2026-11-24T12:34:56Z");
        assert_error(rfc3339_parse("2026-02-30T00:00:00Z", &t), EINVAL);
        assert_error(rfc3339_parse("2026-11-24 12:34:56Z", &t), EINVAL);
        assert_error(rfc3339_parse("2026-11-24T24:00:00Z", &t), EINVAL);
        assert_error(rfc3339_parse("2026-11-24T12:34:56+00:00", &t), EINVAL);
        assert_streq(timespan_format(192 * USEC_PER_SEC, span), "3min 12s");
        assert_streq(timespan_format(450 * USEC_PER_MSEC, span), "450ms");

        for (unsigned i = 0; i < 1000; i++) {
                assert_se(backoff_full_jitter(USEC_PER_SEC, 60 * USEC_PER_SEC, i % 80, random_u64()) <= 60 * USEC_PER_SEC);
                assert_se(backoff_full_jitter(USEC_PER_SEC, 60 * USEC_PER_SEC, 1, random_u64()) <= 2 * USEC_PER_SEC);
        }
        assert_se(usec_add(USEC_INFINITY, 1) == USEC_INFINITY && usec_sub(1, 2) == 0);
}

static void test_hex(void) {
        uint8_t bytes[3];
        void *data;
        size_t size;

        assert_ok(hex_decode("00ff1a", bytes, 3));
        assert_se(bytes[1] == 0xff);
        assert_error(hex_decode("00FF1a", bytes, 3), EINVAL);
        assert_error(hex_decode("00ff1", bytes, 3), EINVAL);
        assert_error(hex_decode("00ff1a00", bytes, 3), EINVAL);

        for (size_t n = 0; n < 40; n++) {
                uint8_t in[40];
                for (size_t i = 0; i < n; i++)
                        in[i] = (uint8_t) random_u64();
                _cleanup_free_ char *text = base64url_encode_new(in, n);
                assert_ok(base64url_decode(text, 40, &data, &size));
                assert_se(size == n && memcmp(in, data, n) == 0);
                free(data);
        }
        assert_error(base64url_decode("A", 10, &data, &size), EINVAL);
        assert_error(base64url_decode("AB", 10, &data, &size), EINVAL); /* stray bits */
        assert_error(base64url_decode("AA==", 10, &data, &size), EINVAL);
        assert_error(base64url_decode("AAAA", 2, &data, &size), EFBIG);
}

static void test_files(void) {
        _cleanup_free_ void *data = NULL, *big = NULL;
        _cleanup_free_ char *target = NULL;
        _cleanup_strv_free_ char **names = NULL;
        size_t size;
        struct stat st;

        assert_ok(file_write_atomic_at(dir_fd, "a", "hello", 5, 0640));
        assert_ok(file_write_atomic_at(dir_fd, "a", "world!", 6, 0600));
        assert_ok(file_read_at(dir_fd, "a", 6, &data, &size));
        assert_se(size == 6 && streq(data, "world!"));
        assert_ok(fstatat(dir_fd, "a", &st, 0));
        assert_se((st.st_mode & 0777) == 0600);
        assert_error(file_read_at(dir_fd, "a", 5, &big, &size), EFBIG);
        assert_error(file_read_at(dir_fd, "missing", 5, &big, &size), ENOENT);
        assert_error(file_write_atomic_at(dir_fd, "no/such/dir", "x", 1, 0600), ENOENT);

        assert_ok(symlink_atomic_at(dir_fd, "a", "link"));
        assert_ok(symlink_atomic_at(dir_fd, "b", "link"));
        assert_ok(readlink_at(dir_fd, "link", &target));
        assert_streq(target, "b");
        assert_error(readlink_at(dir_fd, "a", &target), EINVAL);
        assert_ok(symlink_atomic_at(dir_fd, "a", "link"));
        assert_error(file_read_at(dir_fd, "link", 10, &big, &size), ELOOP);
        assert_se(mkfifoat(dir_fd, "fifo", 0600) == 0);
        assert_error(file_read_at(dir_fd, "fifo", 10, &big, &size), ENOTSUP);

        _cleanup_free_ char *deep = strjoinf("%s/x/y/z", directory);
        assert_ok(mkdir_parents(deep, 0755));
        assert_ok(mkdir_parents(deep, 0755));
        assert_ok(file_write_atomic_at(dir_fd, "x/y/z/file", "", 0, 0600));
        assert_se(symlinkat(directory, dir_fd, "x/y/out") == 0);
        assert_ok(dir_list_at(dir_fd, ".", &names));
        assert_se(strv_length(names) == 4 && streq(names[0], "a")); /* and no temporary file is left */
        assert_ok(tree_remove_at(dir_fd, "x"));
        assert_ok(tree_remove_at(dir_fd, "x"));
        assert_error(faccessat(dir_fd, "x", F_OK, 0) < 0 ? -errno : 0, ENOENT);
        assert_se(faccessat(dir_fd, "a", F_OK, 0) == 0); /* the link out of the tree was not followed */
        assert_ok(unlink_durable_at(dir_fd, "a"));
        assert_ok(unlink_durable_at(dir_fd, "a"));
}

static int refuse_z(const void *data, size_t size, void *userdata) {
        (*(size_t *) userdata)++;
        return memchr(data, 'z', size) ? -EBADMSG : 0;
}

static void test_copy(void) {
        _cleanup_close_ int from = openat(dir_fd, "from", O_RDWR | O_CREAT | O_CLOEXEC, 0600),
                            to = openat(dir_fd, "to", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        size_t calls = 0;
        uint64_t size;

        assert_ok(fd_verify_regular(from));
        assert_error(fd_verify_regular(dir_fd), EISDIR);
        for (unsigned i = 0; i < 30; i++)
                assert_ok(fd_write_all(from, (char[10000]) { 'a' }, 10000));
        assert_se(lseek(from, 0, SEEK_SET) == 0);
        assert_ok(fd_copy(from, to, 300000, refuse_z, &calls, &size));
        assert_se(size == 300000 && calls > 1 && lseek(to, 0, SEEK_CUR) == 300000);
        assert_se(lseek(from, 0, SEEK_SET) == 0);
        assert_error(fd_copy(from, -EBADF, 299999, NULL, NULL, NULL), EFBIG);
        assert_ok(fd_write_all(from, "z", 1));
        assert_se(lseek(from, 0, SEEK_SET) == 0);
        assert_error(fd_copy(from, -EBADF, MIB(1), refuse_z, &calls, NULL), EBADMSG);
}

static unsigned freed;
static void count_free(void *p) {
        freed++;
        free(p);
}

static void test_hashmap(void) {
        _cleanup_(hashmap_freep) Hashmap *h = NULL;
        bool seen[5000] = {};

        assert_ok(hashmap_new(&h, count_free));
        assert_se(!hashmap_get(h, "x") && !hashmap_remove(h, "x"));
        for (unsigned i = 0; i < 5000; i++) {
                char key[16];
                snprintf(key, sizeof(key), "%u", i);
                unsigned *v = new0(unsigned, 1);
                *v = i;
                assert_ok(hashmap_put(h, key, v));
                assert_error(hashmap_put(h, key, v), EEXIST);
        }
        assert_se(hashmap_size(h) == 5000);

        /* remove the odd ones in mid-iteration: each entry is seen exactly once */
        size_t cursor = 0, n = 0;
        const char *key;
        void *value;
        while (hashmap_iterate(h, &cursor, &key, &value)) {
                unsigned v = *(unsigned *) value;
                assert_se(!seen[v]);
                seen[v] = true;
                n++;
                if (v % 2)
                        free(hashmap_remove(h, key));
        }
        assert_se(n == 5000 && hashmap_size(h) == 2500);
        for (unsigned i = 0; i < 5000; i++) {
                char k[16];
                snprintf(k, sizeof(k), "%u", i);
                assert_se(!hashmap_get(h, k) == (i % 2 == 1));
        }
        assert_se(hashmap_replace(h, "0", new0(unsigned, 1)) == 1 && freed == 1);
        h = hashmap_free(h);
        assert_se(freed == 2501);
}

typedef struct Item {
        int value;
        LIST_FIELDS(struct Item, items);
} Item;

static void test_list(void) {
        Item a = { 1 }, b = { 2 }, c = { 3 };
        LIST_HEAD(Item, head) = NULL;
        int sum = 0;

        LIST_PREPEND(items, head, &b);
        LIST_PREPEND(items, head, &a);
        LIST_APPEND(items, head, &c);
        LIST_FOREACH(items, i, head)
                sum = sum * 10 + i->value;
        assert_se(sum == 123);
        LIST_FOREACH_SAFE(items, i, head)
                if (i->value != 2)
                        LIST_REMOVE(items, head, i);
        assert_se(head == &b && !b.items_next && !b.items_prev);
}

int main(void) {
        assert_se(mkdtemp(directory));
        dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_se(dir_fd >= 0);

        test_strings();
        test_parse();
        test_time();
        test_hex();
        test_files();
        test_copy();
        test_hashmap();
        test_list();

        assert_ok(tree_remove_at(AT_FDCWD, directory));
        fd_close(dir_fd);
        return 0;
}
