/* SPDX-License-Identifier: Apache-2.0 */

#include "tar.h"

#include <string.h>

#include "tests.h"

/* The sum as a reader computes it, and as it is written. */
static void check_sum(const uint8_t h[static TAR_BLOCK]) {
        unsigned sum = 0, written = 0;

        for (size_t i = 0; i < TAR_BLOCK; i++)
                sum += i >= 148 && i < 156 ? ' ' : h[i];
        for (size_t i = 148; i < 154; i++)
                written = written * 8 + (unsigned) (h[i] - '0');
        assert_se(sum == written);
        assert_se(h[154] == '\0' && h[155] == ' ');
}

static void test_file(void) {
        uint8_t h[TAR_BLOCK];

        assert_ok(tar_header(h, "trust/root.json", 0100600, 1234, 1795523696 * USEC_PER_SEC + 5));
        assert_streq((char *) h, "trust/root.json");
        assert_streq((char *) h + 100, "0000600");
        assert_streq((char *) h + 108, "0000000");
        assert_streq((char *) h + 124, "00000002322");
        assert_streq((char *) h + 136, "15301302160");
        assert_se(h[156] == '0');
        assert_se(memcmp(h + 257, "ustar\00000", 8) == 0);
        check_sum(h);
}

static void test_directory(void) {
        uint8_t h[TAR_BLOCK];

        assert_ok(tar_header(h, "trust/", 0700, 0, 0));
        assert_se(h[156] == '5');
        check_sum(h);
}

static void test_limits(void) {
        char name[TAR_NAME_MAX + 1] = {};
        uint8_t h[TAR_BLOCK];

        assert_ok(tar_header(h, "a", 0600, UINT64_C(077777777777), 0));
        assert_streq((char *) h + 124, "77777777777");
        assert_ok(tar_header(h, "a", 0600, UINT64_C(0100000000000), 0)); /* 8 GiB */
        assert_se(memcmp(h + 124, "\x80\0\0\0\0\0\0\2\0\0\0\0", 12) == 0);
        check_sum(h);
        assert_ok(tar_header(h, "a", 0600, UINT64_MAX, 0));
        assert_se(memcmp(h + 124, "\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12) == 0);

        memset(name, 'x', TAR_NAME_MAX - 1);
        assert_ok(tar_header(h, name, 0600, 0, 0));
        assert_streq((char *) h, name);
        name[TAR_NAME_MAX - 1] = 'x';
        assert_error(tar_header(h, name, 0600, 0, 0), ENAMETOOLONG);
        assert_error(tar_header(h, "", 0600, 0, 0), ENAMETOOLONG);

        assert_se(tar_padding(0) == 0 && tar_padding(1) == 511 && tar_padding(512) == 0 &&
                  tar_padding(513) == 511);
        assert_se(tar_padding(UINT64_MAX) == 1);
}

int main(void) {
        test_file();
        test_directory();
        test_limits();
        return 0;
}
