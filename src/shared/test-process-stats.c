/* SPDX-License-Identifier: Apache-2.0 */
#include "process-stats.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests.h"

int main(void) {
        struct rlimit limit = { .rlim_cur = 512, .rlim_max = 512 };
        uint64_t before, after;
        ProcessStats a, b;
        volatile char *memory; /* or a compiler sees that nobody reads it */
        int fd;

        /* a name with everything that could lead a reader astray */
        assert_se(prctl(PR_SET_NAME, "a) R (1 2", 0, 0, 0) == 0);
        assert_se(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        assert_ok(process_stats_read(&a));
        assert_ok(process_count_fds(&before));
        assert_se(a.max_fds == 512 && before >= 3 && before < 512);
        assert_se(a.resident > 0 && a.virtual >= a.resident);
        assert_se(a.started <= now(CLOCK_REALTIME) && now(CLOCK_REALTIME) - a.started < USEC_PER_MINUTE);

        for (unsigned i = 0; i < 10; i++) {
                fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
                assert_se(fd >= 0);
        }
        memory = malloc(MIB(32));
        assert_se(memory);
        for (size_t i = 0; i < MIB(32); i += 1024)
                memory[i] = 1;
        for (volatile unsigned i = 0; i < 30000000; i++)
                ;
        assert_ok(process_stats_read(&b));
        assert_ok(process_count_fds(&after));
        assert_se(after == before + 10);
        assert_se(b.resident >= a.resident + MIB(24));
        assert_se(b.cpu > a.cpu);
        assert_se(b.started + USEC_PER_SEC > a.started && a.started + USEC_PER_SEC > b.started);
        free((char *) memory);
        return 0;
}
