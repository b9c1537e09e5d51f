/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <unistd.h>

#include "conf.h"
#include "crypto.h"
#include "event-util.h"
#include "fd-util.h"
#include "fs-util.h"
#include "hex.h"
#include "json.h"
#include "log.h"
#include "messages.h"
#include "phase.h"
#include "state-file.h"
#include "string-util.h"
#include "tests.h"
#include "version.h"

static char directory[] = "/tmp/test-shared-XXXXXX";
static int dir_fd = -EBADF;

static void test_version(void) {
        /* SemVer 2.0.0 §11, in ascending order */
        static const char *const ascending[] = {
                "0.0.1", "0.9.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
                "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0", "18446744073709551616.0.0",
        };
        static const char *const invalid[] = {
                "", "1", "1.0", "1.0.0.0", "01.0.0", "1.00.0", "1.0.0-", "1.0.0-a..b", "1.0.0-01", "1.0.0+build", "v1.0.0",
                "1.0.0 ", "1.0.0-a_b", "-1.0.0", "1.0.x", "../1.0.0",
                "1.0.0-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        };

        for (size_t i = 0; i < ELEMENTSOF(ascending); i++) {
                assert_se(version_is_valid(ascending[i]));
                for (size_t j = 0; j < ELEMENTSOF(ascending); j++) {
                        int c = version_compare(ascending[i], ascending[j]);
                        char key_i[VERSION_KEY_MAX], key_j[VERSION_KEY_MAX];
                        int k = strcmp(version_sort_key(ascending[i], key_i), version_sort_key(ascending[j], key_j));
                        assert_se((k > 0) - (k < 0) == (c > 0) - (c < 0));
                        assert_se(i < j ? c < 0 : i > j ? c > 0 : c == 0);
                }
        }
        for (size_t i = 0; i < ELEMENTSOF(invalid); i++)
                assert_se(!version_is_valid(invalid[i]));
        assert_se(!version_is_valid(NULL));
        assert_se(version_is_valid(fleet_version));
}

static void test_phase(void) {
        for (UpdatePhase p = 0; p < _UPDATE_PHASE_MAX; p++) {
                assert_se(update_phase_from_string(update_phase_to_string(p)) == p);
                assert_se(update_phase_title(p));
                assert_se(!update_phase_can_follow(p, p));
                /* every path ends: whatever is not terminal can at least time out */
                assert_se(update_phase_is_terminal(p) || update_phase_can_follow(p, UPDATE_PHASE_TIMED_OUT));
        }
        for (UpdateVerdict v = 0; v < _UPDATE_VERDICT_MAX; v++) {
                assert_se(update_verdict_from_string(update_verdict_to_string(v)) == v);
                assert_se(update_verdict_explain(v));
        }
        assert_se(update_phase_from_string("nonsense") == _UPDATE_PHASE_INVALID);
        assert_se(!update_phase_to_string(_UPDATE_PHASE_MAX) && !update_phase_to_string(_UPDATE_PHASE_INVALID));

        assert_se(update_phase_can_follow(UPDATE_PHASE_DOWNLOADING, UPDATE_PHASE_STAGING));
        assert_se(!update_phase_can_follow(UPDATE_PHASE_STAGING, UPDATE_PHASE_DOWNLOADING));
        assert_se(!update_phase_can_follow(UPDATE_PHASE_SUCCEEDED, UPDATE_PHASE_FAILED));
        assert_se(!update_phase_can_follow(UPDATE_PHASE_RESTARTING, UPDATE_PHASE_FAILED));
        assert_se(update_phase_can_follow(UPDATE_PHASE_CONFIRMING, UPDATE_PHASE_ROLLED_BACK));
        assert_se(!update_phase_can_follow(UPDATE_PHASE_ROLLING_BACK, UPDATE_PHASE_SUCCEEDED));
        assert_se(update_phase_can_follow(UPDATE_PHASE_TIMED_OUT, UPDATE_PHASE_SUCCEEDED));
        assert_se(!update_phase_can_follow(UPDATE_PHASE_TIMED_OUT, UPDATE_PHASE_OFFERED));

        assert_se(update_verdict_blames_release(UPDATE_VERDICT_NOT_CONNECTED));
        assert_se(!update_verdict_blames_release(UPDATE_VERDICT_GATEWAY_UNREACHABLE));
        assert_se(!update_verdict_blames_release(UPDATE_VERDICT_INTERRUPTED));
}

static void test_state_file(void) {
        _cleanup_(state_file_freep) StateFile *s = NULL, *t = NULL, *u = NULL;
        _cleanup_free_ char *text = NULL;
        uint64_t v;

        assert_ok(state_file_new(&s));
        assert_ok(state_file_set(s, "a", "one\ntwo\\three=four"));
        assert_ok(state_file_set(s, "b", ""));
        assert_ok(state_file_set_u64(s, "n", UINT64_MAX));
        assert_ok(state_file_set(s, "gone", "x"));
        assert_ok(state_file_set(s, "gone", NULL));
        assert_error(state_file_set(s, "bad key", "x"), EINVAL);
        assert_ok(state_file_save_at(s, dir_fd, "state", 0600));
        assert_ok(state_file_load_at(dir_fd, "state", &t));
        assert_streq(state_file_get(t, "a"), "one\ntwo\\three=four");
        assert_streq(state_file_get(t, "b"), "");
        assert_ok(state_file_get_u64(t, "n", &v));
        assert_se(v == UINT64_MAX && !state_file_get(t, "gone"));
        assert_error(state_file_get_u64(t, "a", &v), EINVAL);
        assert_error(state_file_get_u64(t, "gone", &v), ENOENT);

        /* every shorter file is noticed */
        assert_ok(state_file_format(s, &text));
        for (size_t n = 0; n < strlen(text); n++)
                assert_error(state_file_parse(text, n, &u), EBADMSG);
        assert_error(state_file_parse("a=1\na=2\n# end\n", 14, &u), EBADMSG);
        assert_error(state_file_parse("a=\\x\n# end\n", 11, &u), EBADMSG);
        assert_error(state_file_parse("a=1\n# end\nb=2\n", 14, &u), EBADMSG);
        assert_error(state_file_load_at(dir_fd, "none", &u), ENOENT);
}

typedef struct Settings {
        char *name, *address, *url;
        char **origins;
        usec_t pause;
        uint64_t limit;
        unsigned count;
        bool enabled;
        int level;
} Settings;

static const ConfItem settings_items[] = {
        { "Main", "Name", conf_parse_string, offsetof(Settings, name) },
        { "Main", "Address", conf_parse_host_port, offsetof(Settings, address) },
        { "Main", "Url", conf_parse_https_url, offsetof(Settings, url) },
        { "Main", "Origins", conf_parse_strv, offsetof(Settings, origins) },
        { "Main", "PauseSec", conf_parse_sec, offsetof(Settings, pause) },
        { "Other", "Limit", conf_parse_size, offsetof(Settings, limit) },
        { "Other", "Count", conf_parse_unsigned, offsetof(Settings, count) },
        { "Other", "Enabled", conf_parse_bool, offsetof(Settings, enabled) },
        { "Other", "LogLevel", conf_parse_log_level, offsetof(Settings, level) },
        {},
};

static void settings_done(Settings *s) {
        free(s->name);
        free(s->address);
        free(s->url);
        strv_free(s->origins);
}

static void write_file(const char *name, const char *text) {
        assert_ok(file_write_atomic_at(dir_fd, name, text, strlen(text), 0600));
}

static void test_conf(void) {
        _cleanup_(settings_done) Settings s = { .pause = 7, .count = 3 };
        _cleanup_free_ char *path = strjoinf("%s/main.conf", directory), *d = strjoinf("%s.d", path);

        log_set_max_level(LOG_ERR); /* the warnings are meant */
        write_file("main.conf",
                   "# comment\n; comment\n"
                   "[Main]\nName = one \nAddress=gw:1\nUrl=https://gw/x\nOrigins=a b\nOrigins=c\nPauseSec=2min\n"
                   "[Other]\nLimit=1K\nEnabled=yes\nLogLevel=debug\n");
        assert_ok(mkdir_parents(d, 0755));
        write_file("main.conf.d/20.conf", "[Main]\nName=three\n");
        write_file("main.conf.d/10.conf", "[Main]\nName=two\nPauseSec=5\n");
        write_file("main.conf.d/30.conf.bak", "[Main]\nName=never\n");
        assert_se(conf_load(path, settings_items, &s) == 0);
        assert_streq(s.name, "three");
        assert_streq(s.address, "gw:1");
        assert_se(strv_length(s.origins) == 3 && s.pause == 5 * USEC_PER_SEC && s.limit == 1024 && s.enabled);
        assert_se(s.level == LOG_DEBUG && s.count == 3);

        /* bad lines are counted, one by one, and change nothing */
        static const char bad[] = "Stray=1\n[Main]\nPauseSec=soon\nUrl=http://x\nAddress=a b\nNonsense=1\nno assignment\n"
                                  "[Nowhere]\nX=1\n[Main\nName=x\n[Other]\nCount=-1\nEnabled=maybe\n";
        assert_se(conf_parse_buffer("bad", bad, strlen(bad), settings_items, &s) == 11);
        assert_se(s.pause == 5 * USEC_PER_SEC && s.count == 3 && s.enabled);
        assert_streq(s.url, "https://gw/x");
        assert_streq(s.name, "three");
        assert_se(conf_parse_buffer("empty", "[Main]\nName=\nOrigins=\n", 22, settings_items, &s) == 0);
        assert_se(!s.name && !s.origins);
        assert_se(conf_load("/nowhere/at/all.conf", settings_items, &s) == 0);
        log_set_max_level(LOG_INFO);
}

static void test_crypto(void) {
        uint8_t public[ED25519_PUBLIC_SIZE], secret[ED25519_SECRET_SIZE], signature[ED25519_SIGNATURE_SIZE],
                        digest[SHA256_SIZE], other[SHA256_SIZE];
        char hex[SHA256_HEX_MAX];
        _cleanup_free_ void *box = NULL, *plain = NULL, *none = NULL;
        _cleanup_(sha256_freep) Sha256 *h = NULL, *copy = NULL;
        size_t size, plain_size;

        assert_ok(crypto_init());
        sha256_bytes("abc", 3, digest); /* FIPS 180-4 */
        hex_encode(digest, sizeof(digest), hex);
        assert_streq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_ok(sha256_new(&h));
        sha256_update(h, "a", 1);
        assert_ok(sha256_clone(h, &copy));
        sha256_update(h, "bc", 2);
        sha256_final(h, other);
        assert_se(memory_equal_ct(digest, other, sizeof(digest)));
        sha256_final(copy, other);
        assert_se(!memory_equal_ct(digest, other, sizeof(digest)));

        assert_ok(ed25519_generate(public, secret));
        assert_ok(ed25519_sign(secret, "message", 7, signature));
        assert_se(ed25519_verify(public, signature, "message", 7) == 1);
        assert_se(ed25519_verify(public, signature, "messagE", 7) == 0);
        signature[63] |= 0xe0; /* S not below the group order */
        assert_se(ed25519_verify(public, signature, "message", 7) == 0);

        assert_ok(secret_seal("secret", 6, "correct horse", &box, &size));
        assert_ok(secret_open(box, size, "correct horse", &plain, &plain_size));
        assert_se(plain_size == 6 && memcmp(plain, "secret", 6) == 0);
        assert_error(secret_open(box, size, "wrong horse", &none, &plain_size), EKEYREJECTED);
        ((uint8_t *) box)[size - 1] ^= 1;
        assert_error(secret_open(box, size, "correct horse", &none, &plain_size), EKEYREJECTED);
        assert_error(secret_open(box, 20, "correct horse", &none, &plain_size), EBADMSG);
}

static void test_json(void) {
        static const char *const bad[] = {
                "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "{\"a\":1}x", "{\"a\":\"\\u0000\"}", "{\"a\":9223372036854775808}",
                "{\"a\":007}", "{'a':1}", "{\"a\":\"\xff\"}", "",
                "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]",
        };
        _cleanup_json_ json_t *v = NULL;
        const char *text;
        uint64_t u;
        bool b;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_free_ char *message = NULL;
                assert_error(json_parse(bad[i], strlen(bad[i]), 1000, &v, &message), EBADMSG);
                assert_se(message);
        }
        assert_error(json_parse("{}", 2, 1, &v, NULL), EFBIG);
        static const char good[] = "{\"s\":\"[[[[[[[[[[[[[[[[[[[[\",\"n\":5,\"b\":true,\"m\":-1}";
        assert_ok(json_parse(good, strlen(good), 1000, &v, NULL));
        assert_ok(json_get_string(v, "s", &text));
        assert_ok(json_get_u64(v, "n", &u));
        assert_ok(json_get_bool(v, "b", &b));
        assert_se(u == 5 && b);
        assert_error(json_get_u64(v, "m", &u), EBADMSG);
        assert_error(json_get_u64(v, "s", &u), EBADMSG);
        assert_error(json_get_string(v, "x", &text), ENOENT);

        _cleanup_free_ char *plain = json_pointer_append("/a", "b"), *odd = json_pointer_append("", "~/~1"),
                            *empty = json_pointer_append("", "");
        assert_streq(plain, "/a/b");
        assert_streq(odd, "/~0~1~01");
        assert_streq(empty, "/");
}

static int on_fire(sd_event_source *source, uint64_t usec, void *userdata) {
        (*(unsigned *) userdata)++;
        return 0;
}

static int on_last(sd_event_source *source, uint64_t usec, void *userdata) {
        return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int on_deferred(sd_event_source *source, void *userdata) {
        (*(unsigned *) userdata)++;
        return 0;
}

static void test_event(void) {
        _cleanup_(sd_event_unrefp) sd_event *e = NULL;
        _cleanup_(sd_event_source_disable_unrefp) sd_event_source *timer = NULL, *last = NULL, *defer = NULL, *off = NULL;
        unsigned fired = 0, deferred = 0, never = 0;

        assert_ok(sd_event_new(&e));
        assert_ok(event_timer_arm(e, &timer, USEC_PER_HOUR, on_fire, &fired, "timer"));
        assert_ok(event_timer_arm(e, &timer, 1000, on_fire, &fired, "timer")); /* re-armed, not added */
        assert_ok(event_timer_arm(e, &off, 1000, on_fire, &never, "off"));
        assert_ok(event_timer_arm(e, &off, USEC_INFINITY, on_fire, &never, "off"));
        assert_ok(event_defer_once(e, &defer, on_deferred, &deferred, "defer"));
        assert_ok(event_defer_once(e, &defer, on_deferred, &deferred, "defer"));
        assert_ok(event_timer_arm(e, &last, 60000, on_last, NULL, "last"));
        assert_ok(sd_event_loop(e));
        assert_se(fired == 1 && deferred == 1 && never == 0);
}

static void test_log(void) {
        int pipe_fds[2], saved = dup(STDERR_FILENO);
        char buffer[1024] = "";

        assert_se(pipe(pipe_fds) == 0 && dup2(pipe_fds[1], STDERR_FILENO) >= 0);
        unsetenv("INVOCATION_ID");
        log_event(LOG_NOTICE, FLEET_MESSAGE_SWAPPED_STR, "MESSAGE=Now %s, %u of %" PRIu64 ", 100%%.", "1.1.0", 2U, (uint64_t) 3,
                  "FLEET_VERSION=%s", "1.1.0", NULL);
        errno = EINTR;
        assert_se(log_error_errno(-ENOENT, "Cannot open '%s': %m", "a\nb") == -ENOENT);
        assert_se(errno == EINTR);
        log_debug("not shown");
        assert_se(dup2(saved, STDERR_FILENO) >= 0);
        assert_se(read(pipe_fds[0], buffer, sizeof(buffer) - 1) > 0);
        assert_streq(buffer, "test: Now 1.1.0, 2 of 3, 100%.\ntest: Cannot open 'a\\x0ab': No such file or directory\n");
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        close(saved);
}

int main(void) {
        log_setup("test");
        assert_se(mkdtemp(directory));
        dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_se(dir_fd >= 0);

        test_version();
        test_phase();
        test_state_file();
        test_conf();
        test_crypto();
        test_json();
        test_event();
        test_log();

        assert_ok(tree_remove_at(AT_FDCWD, directory));
        fd_close(dir_fd);
        return 0;
}
