/* SPDX-License-Identifier: Apache-2.0 */

/* Runs a fuzz target over files, for builds without libFuzzer: replay DIRECTORY... Every file of each
 * directory, and the empty input, must be survived. */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

#include "alloc-util.h"
#include "fs-util.h"
#include "string-util.h"
#include "tests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replay_directory(const char *path) {
        _cleanup_strv_free_ char **names = NULL;
        unsigned n = 0;

        assert_ok(dir_list_at(AT_FDCWD, path, &names));
        STRV_FOREACH(name, names) {
                _cleanup_free_ char *file = strjoinf("%s/%s", path, *name);
                _cleanup_free_ void *data = NULL;
                size_t size = 0;

                assert_se(file);
                assert_ok(file_read_at(AT_FDCWD, file, MIB(16), &data, &size));
                /* a copy of exactly this size, so that the sanitizer sees a read beyond the end */
                _cleanup_free_ uint8_t *exact = memdup(data, size);
                assert_se(exact);
                fprintf(stderr, "%s\n", file);
                (void) LLVMFuzzerTestOneInput(exact, size);
                n++;
        }
        return n;
}

int main(int argc, char *argv[]) {
        unsigned n = 0;

        assert_se(argc > 1);
        (void) LLVMFuzzerTestOneInput((const uint8_t *) "", 0);
        for (int i = 1; i < argc; i++)
                n += replay_directory(argv[i]);
        fprintf(stderr, "%u inputs\n", n);
        return n > 0 ? 0 : 1;
}
