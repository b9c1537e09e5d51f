/* SPDX-License-Identifier: Apache-2.0 */

/* Kills the updater before each of its system calls, one after the other, in each of its steps, and lets recover bring
 * the machine to rest: it must always end with an agent that can run, the old or the new one, no transaction open, and
 * an answer for whoever asked. The page cache survives a kill, so this does not find a missing fsync().
 *
 * A second round lets the disk be full from each call on that would need room. Going back and the commit must move
 * their link all the same; everything else must come to rest once there is room again. */

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd-util.h"
#include "fs-util.h"
#include "log.h"
#include "names.h"
#include "string-util.h"
#include "tests.h"
#include "updater-adopt.h"
#include "updater-links.h"
#include "updater-package.h"
#include "updater-policy.h"
#include "updater-record.h"
#include "updater-rollback.h"
#include "updater-tests.h"
#include "updater-transaction.h"

typedef struct Step {
        const char *name;
        void (*prepare)(Updater *u);
        int (*run)(Updater *u);
        bool answers;                                      /* a transaction is open, so there must be a result */
} Step;

static Transaction *record_new(Updater *u, UpdatePhase phase) {
        Transaction *t = NULL;

        assert_ok(transaction_new(&t, u->root, TRANSACTION_INSTALL, "1.0.0", "1.1.0", "i1"));
        memset(t->digest, 'a', sizeof(t->digest) - 1);
        t->floor = strdup("1.0.0");
        t->staged = true;
        t->phase = phase;
        return t;
}

static void prepare(Updater *u, UpdatePhase phase, const char *current, const char *good) {
        _cleanup_(transaction_freep) Transaction *t = record_new(u, phase);

        make_version(u->root, "0.8.0", "oldest");
        make_version(u->root, "0.9.0", "older");
        make_version(u->root, "1.0.0", "one");
        make_version(u->root, "1.1.0", "two");
        assert_ok(link_set(u->root->bin_fd, FLEET_LINK_CURRENT, current));
        assert_ok(link_set(u->root->bin_fd, FLEET_LINK_GOOD, good));
        assert_ok(transaction_save(u->root, t));
}

static void prepare_staged(Updater *u) {
        prepare(u, UPDATE_PHASE_STAGING, "1.0.0", "1.0.0");
}

static void prepare_trial(Updater *u) {
        prepare(u, UPDATE_PHASE_CONFIRMING, "1.1.0", "1.0.0");
        assert_ok(link_prepare_back(u->root->bin_fd, "1.0.0"));
        assert_ok(link_prepare_commit(u->root->bin_fd, "1.1.0"));
}

static void prepare_adopted(Updater *u) {
        make_version(u->root, "1.0.0", "one");
        assert_ok(link_set(u->root->bin_fd, FLEET_LINK_CURRENT, "1.0.0"));
        assert_ok(link_set(u->root->bin_fd, FLEET_LINK_GOOD, "1.0.0"));
        make_package(u->root, "1.1.0", "packaged");
}

static void prepare_new(Updater *u) {
        make_package(u->root, "1.0.0", "packaged");
}

static void prepare_broken(Updater *u) {
        make_package(u->root, "1.0.0", "packaged");
        assert_ok(link_set(u->root->bin_fd, FLEET_LINK_CURRENT, "9.0.0"));
        assert_ok(link_set(u->root->bin_fd, FLEET_LINK_GOOD, "9.0.0"));
}

static int run_swap(Updater *u) {
        _cleanup_(transaction_freep) Transaction *t = NULL;
        int r = transaction_load(u->root, &t);
        return r < 0 ? r : transaction_swap(u, t);
}

static int run_commit(Updater *u) {
        _cleanup_(transaction_freep) Transaction *t = NULL;
        int r = transaction_load(u->root, &t);
        return r < 0 ? r : transaction_commit(u, t);
}

static int run_back(Updater *u) {
        _cleanup_(transaction_freep) Transaction *t = NULL;
        int r = transaction_load(u->root, &t);
        return r < 0 ? r : transaction_go_back(u, t, t->to, t->from, UPDATE_VERDICT_CRASHED, "It crashed.", false);
}

static int run_close(Updater *u) {
        _cleanup_(transaction_freep) Transaction *t = NULL;
        int r = transaction_load(u->root, &t);
        return r < 0 ? r : transaction_close_failed(u, t, UPDATE_VERDICT_SELF_TEST_FAILED, "It did not pass.");
}

static const Step steps[] = {
        { "swap", prepare_staged, run_swap, true },
        { "commit", prepare_trial, run_commit, true },
        { "go back", prepare_trial, run_back, true },
        { "close", prepare_staged, run_close, true },
        { "recover", prepare_trial, updater_recover, true },
        { "adopt first", prepare_new, updater_adopt, false },
        { "adopt newer", prepare_adopted, updater_adopt, false },
        { "repair", prepare_broken, updater_recover, false },
};

static bool changes_something(uint64_t nr) {
        return IN_SET(nr, SYS_openat, SYS_write, SYS_pwrite64, SYS_fsync, SYS_fchmod, SYS_renameat, SYS_renameat2,
                      SYS_symlinkat, SYS_unlinkat, SYS_mkdirat, SYS_ftruncate, SYS_flock, SYS_close);
}

static bool needs_room(const struct __ptrace_syscall_info *i) {
        return IN_SET(i->entry.nr, SYS_write, SYS_pwrite64, SYS_symlinkat, SYS_mkdirat) ||
                (i->entry.nr == SYS_openat && (i->entry.args[2] & O_CREAT));
}

typedef enum Fault {
        FAULT_KILL,
        FAULT_FULL,
} Fault;

/* Lets the call that is about to begin fail instead. False where this program cannot do that. */
static bool fail_with(pid_t pid, int error) {
#if defined(__x86_64__)
        struct user_regs_struct regs;
        int status;

        assert_ok(ptrace(PTRACE_GETREGS, pid, NULL, &regs));
        regs.orig_rax = UINT64_MAX;
        assert_ok(ptrace(PTRACE_SETREGS, pid, NULL, &regs));
        assert_ok(ptrace(PTRACE_SYSCALL, pid, NULL, NULL));
        assert_se(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
        assert_ok(ptrace(PTRACE_GETREGS, pid, NULL, &regs));
        regs.rax = (unsigned long long) -error;
        assert_ok(ptrace(PTRACE_SETREGS, pid, NULL, &regs));
        return true;
#else
        return false;
#endif
}

/* Runs the step in another process. FAULT_KILL: kills it before its n-th call that changes something; FAULT_FULL: the
 * n-th that needs room, and all after it, fail. Counted from 1; true if there were so many. */
static bool run_with_fault(const Step *step, Updater *u, Fault fault, unsigned n) {
        unsigned seen = 0;
        int status;

        pid_t pid = fork();
        assert_ok(pid);
        if (pid == 0) {
                if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
                        _exit(EXIT_FAILURE);
                (void) raise(SIGSTOP);
                (void) step->run(u);
                _exit(EXIT_SUCCESS);
        }

        assert_se(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
        assert_ok(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
        for (;;) {
                struct __ptrace_syscall_info info;

                assert_ok(ptrace(PTRACE_SYSCALL, pid, NULL, NULL));
                assert_se(waitpid(pid, &status, 0) == pid);
                if (WIFEXITED(status)) {
                        assert_se(WEXITSTATUS(status) == EXIT_SUCCESS);
                        return seen >= n;
                }
                assert_se(WIFSTOPPED(status));
                if (WSTOPSIG(status) != (SIGTRAP | 0x80))
                        continue;
                assert_se(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0);
                if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
                        continue;
                if (fault == FAULT_KILL && changes_something(info.entry.nr) && ++seen == n) {
                        assert_ok(kill(pid, SIGKILL));
                        assert_se(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
                        return true;
                }
                if (fault == FAULT_FULL && needs_room(&info) && ++seen >= n && !fail_with(pid, ENOSPC)) {
                        assert_ok(kill(pid, SIGKILL));
                        assert_se(waitpid(pid, &status, 0) == pid);
                        return false;
                }
        }
}

static void expect_rest(const Step *step, Updater *u, unsigned n) {
        _cleanup_(transaction_freep) Transaction *t = NULL;
        _cleanup_(state_file_freep) StateFile *s = NULL;
        _cleanup_links_ Links l = {};

        assert_ok(links_read(u->root->bin_fd, &l));
        if (links_differ(&l) || !version_is_usable(u->root->bin_fd, l.current)) {
                fprintf(stderr, "%s, fault at call %u: current %s, good %s\n", step->name, n, strna(l.current),
                        strna(l.good));
                abort();
        }
        assert_error(transaction_load(u->root, &t), ENOENT);
        if (!step->answers)
                return;
        assert_ok(result_load(u->root, &s));
        assert_se(update_phase_is_terminal(update_phase_from_string(state_file_get(s, "phase"))));
        assert_streq(state_file_get(s, "instruction"), "i1");
        if (streq(state_file_get(s, "phase"), "succeeded"))
                assert_streq(l.current, "1.1.0");
        else
                assert_streq(l.current, "1.0.0");
}

static void test_step(const Step *step, Fault fault) {
        unsigned n = 0;

        for (bool more = true; more;) {
                _cleanup_(test_root_freep) TestRoot *t = test_root_new();
                _cleanup_links_ Links l = {};
                Updater *u = test_root_updater(t);

                step->prepare(u);
                more = run_with_fault(step, u, fault, ++n);
                if (fault == FAULT_FULL && step->run == run_back) {
                        assert_ok(links_read(u->root->bin_fd, &l));
                        assert_streq(l.current, "1.0.0");
                }
                if (fault == FAULT_FULL && step->run == run_commit) {
                        assert_ok(links_read(u->root->bin_fd, &l));
                        assert_streq(l.good, "1.1.0");
                }
                assert_ok(updater_recover(u));
                expect_rest(step, u, n);
                assert_ok(updater_recover(u));
                expect_rest(step, u, n);
        }
        printf("%-12s %s: %u places\n", step->name, fault == FAULT_KILL ? "killed" : "disk full", n - 1);
}

int main(void) {
        log_set_max_level(LOG_EMERG);
        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                test_step(steps + i, FAULT_KILL);
                test_step(steps + i, FAULT_FULL);
        }
        return 0;
}
