/* SPDX-License-Identifier: Apache-2.0 */

/* An agent that passes its self-test and then fails as FAULT says, for tests and the demonstration. All but the fault
 * is the real agent: the very library that the real program links. */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "agent.h"
#include "string-util.h"

static bool mute = false;

/* Takes the place of libc's: with "mute" nothing outside of the machine can be reached. */
__attribute__((visibility("default"))) int connect(int fd, const struct sockaddr *address, socklen_t size) {
        if (mute && IN_SET(address->sa_family, AF_INET, AF_INET6)) {
                errno = ENETUNREACH;
                return -1;
        }
        return (int) syscall(SYS_connect, fd, address, size);
}

_noreturn_ static void on_alarm(int signal_number) {
        if (streq(FAULT, "hang"))
                for (;;)
                        pause(); /* in the loop's own thread: no more watchdog notifications */
        abort();
}

static void fail_after(usec_t delay) {
        struct itimerval timer = {
                .it_value.tv_sec = (time_t) (delay / USEC_PER_SEC),
                .it_value.tv_usec = (suseconds_t) (delay % USEC_PER_SEC),
        };

        (void) signal(SIGALRM, on_alarm);
        (void) setitimer(ITIMER_REAL, &timer, NULL);
}

int main(int argc, char *argv[]) {
        if (argc == 1) {
                if (streq(FAULT, "exit"))
                        return 1;
                if (streq(FAULT, "crash"))
                        fail_after(300 * USEC_PER_MSEC);
                if (streq(FAULT, "crash-late"))
                        fail_after(3 * USEC_PER_SEC);
                if (streq(FAULT, "hang"))
                        fail_after(300 * USEC_PER_MSEC);
                mute = streq(FAULT, "mute");
        }
        return agent_run(argc, argv);
}
