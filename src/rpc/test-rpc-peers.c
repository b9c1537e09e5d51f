/* SPDX-License-Identifier: Apache-2.0 */

/* Peers that stop, hang or die: other processes, this program again, stopped and killed by signals.
 *
 *     test-rpc-peers --client PORT DIRECTORY     opens a stream and stays
 *     test-rpc-peers --server DIRECTORY          serves, prints its port, stays */

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "parse-util.h"
#include "rpc-fixture.h"
#include "string-util.h"

typedef struct Side {
        unsigned opened, messages, closed, stopped;
        RpcStatus status;
        RpcFailure failure;
        char *text;
        RpcSession *session;
} Side;

static void on_open(RpcSession *session, void *userdata) {
        Side *s = userdata;

        s->opened++;
        s->session = session;
}

static void on_session_message(RpcSession *session, const ProtobufCMessage *message, void *userdata) {
        Side *s = userdata;

        s->messages++;
}

static void on_session_closed(RpcSession *session, RpcStatus status, const char *text, void *userdata) {
        Side *s = userdata;

        s->closed++;
        s->status = status;
        assert_ok(free_and_strdup(&s->text, text));
        s->session = NULL;
}

static const RpcSessionHandlers session_handlers = {
        .on_open = on_open, .on_message = on_session_message, .on_closed = on_session_closed,
};

static void on_stream_message(RpcStream *stream, const ProtobufCMessage *message, void *userdata) {
}

static void on_stream_closed(RpcStream *stream, const RpcResult *result, void *userdata) {
        Side *s = userdata;

        s->closed++;
        s->status = result->status;
        s->failure = result->failure;
        assert_ok(free_and_strdup(&s->text, result->text));
}

static const RpcStreamHandlers stream_handlers = { .on_message = on_stream_message,
                                                   .on_closed = on_stream_closed };

/* ---- the other process ---- */

static char *read_pem(const char *directory, const char *name) {
        _cleanup_free_ char *path = strjoinf("%s/%s", directory, name);
        void *data;
        size_t size;

        assert_ok(file_read_at(AT_FDCWD, path, 65536, &data, &size));
        return data;
}

static void write_pem(const char *directory, const char *name, const char *pem) {
        _cleanup_free_ char *path = strjoinf("%s/%s", directory, name);

        assert_ok(file_write_atomic_at(AT_FDCWD, path, pem, strlen(pem), 0600));
}

/* A fixture of the child's, with the parent's certificates. */
static void child_init(Fixture *f, const char *directory) {
        *f = (Fixture) { 0 };
        assert_se(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        assert_ok(crypto_init());
        assert_ok(sd_event_new(&f->event));
        assert_ok(rpc_queue_new(&f->queue, f->event, 1, 256));
        f->ca_pem = read_pem(directory, "ca.pem");
        f->agent = (Identity) { read_pem(directory, "agent.pem"), read_pem(directory, "agent-key.pem") };
        f->gateway = (Identity){ read_pem(directory, "gateway.pem"),
                                 read_pem(directory, "gateway-key.pem") };
}

static int run_client(const char *port, const char *directory) {
        RpcStream *stream;
        Side side = { 0 };
        uint16_t number;
        Fixture f;

        assert_ok(parse_u16(port, &number));
        child_init(&f, directory);
        RpcClient *client = fixture_client(&f, number, &f.agent, NULL);
        assert_ok(rpc_stream_open(client, &rpc_method_connect, NULL, &stream_handlers, &side, &stream));
        run_until_at_least(&f, &side.closed, 1, 120);
        rpc_stream_free(stream);
        rpc_client_free(client);
        fixture_done(&f);
        free(side.text);
        return EXIT_SUCCESS;
}

static int run_server(const char *directory) {
        RpcServer *server;
        Side side = { 0 };
        Fixture f;

        child_init(&f, directory);
        assert_ok(rpc_server_new(
                        &server, f.queue, &(RpcServerOptions){ .min_ping_interval = 100 * USEC_PER_MSEC }));
        uint16_t port = fixture_port(&f, server, true);
        assert_ok(rpc_server_add_stream(server, &rpc_method_connect, true, &session_handlers, &side));
        assert_ok(rpc_server_start(server));
        printf("%u\n", port);
        fflush(stdout);
        run_for(&f, 120 * USEC_PER_SEC);
        return EXIT_SUCCESS;
}

/* ---- starting and ending it ---- */

typedef struct Peers {
        Fixture f;
        char directory[32];
} Peers;

static void peers_init(Peers *p) {
        fixture_init(&p->f, 2, 512);
        strcpy(p->directory, "/tmp/test-rpc-XXXXXX");
        assert_se(mkdtemp(p->directory));
        write_pem(p->directory, "ca.pem", p->f.ca_pem);
        write_pem(p->directory, "agent.pem", p->f.agent.chain);
        write_pem(p->directory, "agent-key.pem", p->f.agent.key);
        write_pem(p->directory, "gateway.pem", p->f.gateway.chain);
        write_pem(p->directory, "gateway-key.pem", p->f.gateway.key);
}

static void peers_done(Peers *p) {
        assert_ok(tree_remove_at(AT_FDCWD, p->directory));
        fixture_done(&p->f);
}

static pid_t start(char *const arguments[], int out_fd) {
        posix_spawn_file_actions_t actions;
        pid_t pid;

        assert_se(posix_spawn_file_actions_init(&actions) == 0);
        if (out_fd >= 0)
                assert_se(posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO) == 0);
        assert_se(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, arguments, environ) == 0);
        posix_spawn_file_actions_destroy(&actions);
        return pid;
}

static pid_t start_client(Peers *p, uint16_t port) {
        char number[8];

        snprintf(number, sizeof(number), "%u", port);
        return start((char *[]){ (char *) "test-rpc-peers", (char *) "--client", number, p->directory,
                                 NULL },
                     -EBADF);
}

static pid_t start_child_server(Peers *p, uint16_t *ret_port) {
        char line[16] = "";
        int fds[2];

        assert_se(pipe2(fds, O_CLOEXEC) == 0);
        pid_t pid = start(
                        (char *[]){ (char *) "test-rpc-peers", (char *) "--server", p->directory, NULL },
                        fds[1]);
        close(fds[1]);
        for (size_t n = 0; n < sizeof(line) - 1 && !strchr(line, '\n'); n++)
                assert_se(read(fds[0], line + n, 1) == 1);
        close(fds[0]);
        assert_ok(parse_u16(string_strip(line), ret_port));
        return pid;
}

static void end(pid_t pid) {
        int status;

        assert_se(kill(pid, SIGKILL) == 0);
        assert_se(waitpid(pid, &status, 0) == pid);
        assert_se(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static RpcServer *start_server(Fixture *f, Side *s, const RpcServerOptions *options, uint16_t *ret_port) {
        RpcServer *server;

        assert_ok(rpc_server_new(&server, f->queue, options));
        *ret_port = fixture_port(f, server, true);
        assert_ok(rpc_server_add_stream(server, &rpc_method_connect, true, &session_handlers, s));
        assert_ok(rpc_server_start(server));
        return server;
}

/* ---- tests ---- */

static void test_client_dies(void) {
        Side side = { 0 };
        uint16_t port;
        Peers p;

        peers_init(&p);
        RpcServer *server = start_server(&p.f, &side, NULL, &port);
        pid_t pid = start_client(&p, port);
        run_until_at_least(&p.f, &side.opened, 1, 20);
        usec_t before = now(CLOCK_MONOTONIC);
        end(pid);
        run_until_at_least(&p.f, &side.closed, 1, 5);
        assert_se(now(CLOCK_MONOTONIC) - before < 2 * USEC_PER_SEC);
        assert_se(side.status == RPC_STATUS_CANCELLED);
        rpc_server_free(server);
        peers_done(&p);
        free(side.text);
}

/* Frozen without a word, as when a machine loses its power: the kernel keeps the connection, keepalive ends
 * it. */
static void test_client_half_open(void) {
        const RpcServerOptions options = { .keepalive_time = USEC_PER_SEC,
                                           .keepalive_timeout = USEC_PER_SEC };
        Side side = { 0 };
        uint16_t port;
        Peers p;

        peers_init(&p);
        RpcServer *server = start_server(&p.f, &side, &options, &port);
        pid_t pid = start_client(&p, port);
        run_until_at_least(&p.f, &side.opened, 1, 20);
        run_for(&p.f, 1500 * USEC_PER_MSEC);
        assert_se(side.closed == 0);
        assert_se(kill(pid, SIGSTOP) == 0);
        run_until_at_least(&p.f, &side.closed, 1, 10);
        assert_se(side.status == RPC_STATUS_CANCELLED);
        end(pid);
        rpc_server_free(server);
        peers_done(&p);
        free(side.text);
}

static int send_big(RpcSession *session) {
        Fleet__V1__GatewayMessage down = FLEET__V1__GATEWAY_MESSAGE__INIT;
        Fleet__V1__Drain drain = FLEET__V1__DRAIN__INIT;
        char reason[4001];

        memset(reason, 'x', sizeof(reason) - 1);
        reason[sizeof(reason) - 1] = '\0';
        down.message_case = FLEET__V1__GATEWAY_MESSAGE__MESSAGE_DRAIN;
        down.drain = &drain;
        drain.reason = reason;
        return rpc_session_send(session, &down.base, RPC_SEND_KEEP);
}

/* Does not read: flow control stops us, and the write's own deadline ends it, long before keepalive. */
static void test_slow_reader(void) {
        const RpcServerOptions options = {
                .keepalive_time = 60 * USEC_PER_SEC,
                .send_limits = { .messages = 64, .write_timeout = USEC_PER_SEC },
        };
        Side side = { 0 };
        uint16_t port;
        Peers p;

        peers_init(&p);
        RpcServer *server = start_server(&p.f, &side, &options, &port);
        pid_t pid = start_client(&p, port);
        run_until_at_least(&p.f, &side.opened, 1, 20);
        assert_se(kill(pid, SIGSTOP) == 0);

        usec_t start_time = now(CLOCK_MONOTONIC);
        unsigned full = 0;
        while (side.closed == 0) {
                if (side.session && send_big(side.session) == -ENOBUFS)
                        full++;
                if (side.session)
                        assert_se(rpc_session_queued(side.session) <= 65);
                assert_ok(sd_event_run(p.f.event, USEC_PER_MSEC));
                assert_se(now(CLOCK_MONOTONIC) - start_time < 10 * USEC_PER_SEC);
        }
        assert_se(full > 0 && side.status == RPC_STATUS_DEADLINE_EXCEEDED);
        assert_se(strstr(side.text, "write timeout"));
        end(pid);
        rpc_server_free(server);
        peers_done(&p);
        free(side.text);
}

static void on_drain(RpcSession *session, void *userdata) {
        assert_ok(send_big(session));
}

static void on_stopped(RpcServer *server, void *userdata) {
        Side *s = userdata;

        s->stopped++;
}

/* One peer that answers and one that is frozen: draining ends all the same. */
static void test_drain_with_frozen(void) {
        Side side = { 0 };
        uint16_t port;
        Peers p;

        peers_init(&p);
        RpcServer *server = start_server(&p.f, &side, NULL, &port);
        pid_t frozen = start_client(&p, port);
        run_until_at_least(&p.f, &side.opened, 1, 20);
        pid_t alive = start_client(&p, port);
        run_until_at_least(&p.f, &side.opened, 2, 20);
        assert_se(kill(frozen, SIGSTOP) == 0);

        usec_t before = now(CLOCK_MONOTONIC);
        assert_ok(rpc_server_drain(server, 2 * USEC_PER_SEC, on_drain, on_stopped, &side));
        run_until_at_least(&p.f, &side.stopped, 1, 10);
        assert_se(now(CLOCK_MONOTONIC) - before < 5 * USEC_PER_SEC);
        assert_se(side.closed == 2);
        int status;
        assert_se(waitpid(alive, &status, 0) == alive && WIFEXITED(status) && WEXITSTATUS(status) == 0);
        end(frozen);
        rpc_server_free(server);
        peers_done(&p);
        free(side.text);
}

/* The same from the agent's side: a gateway that dies, and one that freezes. */
static void test_server_ends(bool freeze) {
        const RpcClientOptions options = { .keepalive_time = USEC_PER_SEC,
                                           .keepalive_timeout = USEC_PER_SEC };
        RpcStream *stream;
        Side side = { 0 };
        uint16_t port;
        Peers p;

        peers_init(&p);
        pid_t pid = start_child_server(&p, &port);
        RpcClient *client = fixture_client_full(&p.f, port, &p.f.agent, NULL, &options);
        assert_ok(rpc_stream_open(client, &rpc_method_connect, NULL, &stream_handlers, &side, &stream));
        /* several pings of a quiet stream: the server must not take them amiss */
        run_for(&p.f, 3500 * USEC_PER_MSEC);
        assert_se(side.closed == 0 && rpc_stream_peer(stream));
        if (freeze)
                assert_se(kill(pid, SIGSTOP) == 0);
        else
                end(pid);
        run_until_at_least(&p.f, &side.closed, 1, 10);
        assert_se(side.status == RPC_STATUS_UNAVAILABLE && side.failure == RPC_FAILURE_UNREACHABLE);
        if (freeze)
                end(pid);
        rpc_stream_free(stream);
        rpc_client_free(client);
        peers_done(&p);
        free(side.text);
}

int main(int argc, char *argv[]) {
        if (argc == 4 && streq(argv[1], "--client"))
                return run_client(argv[2], argv[3]);
        if (argc == 3 && streq(argv[1], "--server"))
                return run_server(argv[2]);

        test_client_dies();
        test_client_half_open();
        test_slow_reader();
        test_drain_with_frozen();
        test_server_ends(/* freeze= */ false);
        test_server_ends(/* freeze= */ true);
        return EXIT_SUCCESS;
}
