/* SPDX-License-Identifier: Apache-2.0 */

/* What comes from outside: configuration, os-release, join tokens, instructions, the updater's errors. */

#include "agent-conf.h"
#include "agent-facts.h"
#include "agent-fetch.h"
#include "agent-handoff.h"
#include "agent-instruction.h"
#include "agent-patience.h"
#include "agent-stream.h"
#include "alloc-util.h"
#include "crypto.h"
#include "join-token.h"
#include "log.h"
#include "string-util.h"
#include "tests.h"

static AgentConf conf_of(const char *text) {
        AgentConf c;
        assert_ok(agent_conf_parse(&c, "test.conf", text, strlen(text)));
        return c;
}

static void test_conf_defaults(void) {
        AgentConf c = conf_of("");
        assert_se(!c.agent_id && !c.address && !c.url);
        assert_se(c.log_level == LOG_INFO && c.reconnect_min == USEC_PER_SEC && c.speed_limit == 0);
        agent_conf_done(&c);

        c = conf_of("[Gateway]\nAddress=gw.example:7443\n");
        assert_streq(c.address, "gw.example:7443");
        assert_streq(c.enroll_address, "gw.example:7444");
        assert_streq(c.url, "https://gw.example:8443");
        agent_conf_done(&c);

        c = conf_of("[Gateway]\nAddress=[2001:db8::1]:1\nUrl=https://other/base/\nEnrollAddress=third:9\n");
        assert_streq(c.address, "[2001:db8::1]:1");
        assert_streq(c.enroll_address, "third:9");
        assert_streq(c.url, "https://other/base");
        agent_conf_done(&c);

        c = conf_of("[Gateway]\nAddress=[2001:db8::1]:1\n");
        assert_streq(c.url, "https://[2001:db8::1]:8443");
        agent_conf_done(&c);
}

static void test_conf_bad_lines(void) {
        AgentConf c = conf_of(
                        "[Agent]\nAgentId=not "
                        "ok!\nLogLevel=loud\nNonsense\n[Gateway]\nAddress=a:1\nAddress=nohost:99999\n"
                        "ReconnectMinSec=0\nReconnectMaxSec=7d\nKeepaliveSec=abc\nUrl=http://plain\n"
                        "[Update]\nAllowedOrigins=https://a.example http://b.example "
                        "https://c.example/x/\n");
        assert_se(!c.agent_id);
        assert_se(c.log_level == LOG_INFO);
        assert_streq(c.address, "a:1"); /* the bad line keeps the earlier value */
        assert_streq(c.url, "https://a:8443");
        assert_se(c.reconnect_min == 100 * USEC_PER_MSEC && c.reconnect_max == USEC_PER_HOUR);
        assert_se(c.keepalive == 30 * USEC_PER_SEC);
        assert_se(strv_length(c.allowed_origins) == 2);
        assert_streq(c.allowed_origins[1], "https://c.example/x");
        agent_conf_done(&c);
}

static void test_conf_dump(void) {
        _cleanup_free_ char *one = NULL, *two = NULL;
        AgentConf c = conf_of(
                        "[Agent]\nAgentId=web-1\n[Gateway]\nAddress=gw:7443\n[Update]\nSpeedLimit=1M\n");
        assert_ok(agent_conf_dump(&c, &one));
        agent_conf_done(&c);
        c = conf_of(one); /* what is shown is a configuration that says the same */
        assert_ok(agent_conf_dump(&c, &two));
        agent_conf_done(&c);
        assert_streq(one, two);
        assert_se(strstr(one, "AgentId=web-1\n") && strstr(one, "SpeedLimit=1048576\n"));
}

static void test_origins(void) {
        AgentConf c = conf_of("[Gateway]\nAddress=gw.example:7443\n");
        bool own = false;
        assert_se(agent_conf_origin_allowed(&c, "https://gw.example:8443/tuf", &own) && own);
        assert_se(agent_conf_origin_allowed(&c, "https://gw.example:8443", NULL));
        static const char *const refused[] = {
                "http://gw.example:8443/tuf",
                "https://gw.example:84430/tuf",
                "https://gw.example:8443.evil/tuf",
                "https://gw.example:8443@evil/tuf",
                "https://evil/",
                "https://gw.example:8443/../x",
                "https://gw.example:8443/a/./b",
                "https://gw.example:8443/a/..",
                "https://gw.example:8443/%2e%2e/x",
                "https://gw.example:8443/tuf?x=y",
                "https://gw.example:8443/tuf#x",
                "https://gw.example:8443\\x",
                "file:///etc/passwd",
                "https://gw.example:8443/\n",
                "",
        };
        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                assert_se(!agent_conf_origin_allowed(&c, refused[i], NULL));
        agent_conf_done(&c);

        c = conf_of("[Gateway]\nAddress=gw.example:7443\n"
                    "[Update]\nAllowedOrigins=https://cdn.example/fleet\n");
        assert_se(agent_conf_origin_allowed(&c, "https://cdn.example/fleet/tuf", &own) && !own);
        assert_se(!agent_conf_origin_allowed(&c, "https://cdn.example/fleetx", NULL));
        assert_se(!agent_conf_origin_allowed(
                        &c, "https://gw.example:8443/tuf", NULL)); /* listed ones replace the default */
        agent_conf_done(&c);
}

static OsRelease os_of(const char *text) {
        OsRelease o;
        assert_ok(os_release_parse(text, strlen(text), &o));
        return o;
}

static void test_os_release(void) {
        OsRelease o = os_of(
                        "# comment\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n  "
                        "VERSION_ID='12' \r\nX_ID=no\n");
        assert_streq(o.id, "debian");
        assert_streq(o.version_id, "12");
        assert_streq(o.pretty_name, "Debian GNU/Linux 12 (bookworm)");
        os_release_done(&o);

        o = os_of("ID=\"unterminated\nVERSION_ID=a b\nPRETTY_NAME=\"a \\\"quoted\\\" \\$name\"\nID");
        assert_streq(o.id, "linux");
        assert_se(!o.version_id);
        assert_streq(o.pretty_name, "a \"quoted\" $name");
        os_release_done(&o);

        o = os_of("ID=first\nID=second\nPRETTY_NAME=\"bell \a\"\n");
        assert_streq(o.id, "second");
        assert_se(!o.pretty_name);
        os_release_done(&o);

        char big[300] = "PRETTY_NAME=";
        memset(big + 12, 'x', 280);
        o = os_of(big);
        assert_se(!o.pretty_name);
        os_release_done(&o);
}

static void test_packaging(void) {
        uint32_t n;
        assert_ok(packaging_parse("7\n", &n));
        assert_se(n == 7);
        assert_ok(packaging_parse("12", &n));
        static const char *const bad[] = { "", "\n", "7\n8", "-1", "7 ", "99999999999", "0x7" };
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_se(packaging_parse(bad[i], &n) < 0);
}

#define SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define PIN "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define TOKEN "fjt1_0123456789abcdef_" SECRET "_" PIN

static void test_join_token(void) {
        _cleanup_(join_token_freep) JoinToken *t = NULL;
        const char *why = NULL;
        assert_ok(join_token_parse("  " TOKEN "\n", strlen(TOKEN) + 3, &t, &why));
        assert_streq(t->text, TOKEN);
        assert_streq(t->id, "0123456789abcdef");
        assert_se(t->ca_pin[1] == 0x11 && t->ca_pin[31] == 0xff);

        static const char *const bad[] = {
                "",
                "\n",
                "nonsense",
                "fjt2_0123456789abcdef_" SECRET "_" PIN,
                "fjt1_0123456789abcdef_" SECRET,
                TOKEN "0",
                TOKEN " x",
                "fjt1_0123456789ABCDEF_" SECRET "_" PIN,
                "fjt1__" SECRET "_" PIN,
                "x" TOKEN,
        };
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                JoinToken *none = NULL;
                why = NULL;
                assert_error(join_token_parse(bad[i], strlen(bad[i]), &none, &why), EBADMSG);
                assert_se(!none && why && !strstr(why, SECRET));
        }
        char nul[] = TOKEN;
        nul[10] = '\0';
        JoinToken *none = NULL;
        assert_error(join_token_parse(nul, strlen(TOKEN), &none, &why), EBADMSG);
        char big[JOIN_TOKEN_MAX + 1];
        memset(big, 'f', sizeof(big));
        assert_error(join_token_parse(big, sizeof(big), &none, &why), EBADMSG);
}

#define ID1 "00000000000000000000000000000001"
#define ID2 "00000000000000000000000000000002"

static void test_instruction(void) {
        _cleanup_(update_record_freep) UpdateRecord *current = NULL, *finished = NULL;
        AgentConf conf = conf_of("[Gateway]\nAddress=gw.example:7443\n");
        assert_ok(update_record_new(&current, ID1, "1.0.0", "1.1.0"));
        assert_ok(update_record_new(&finished, ID2, "1.0.0", "1.1.0"));

        const Instruction good = { .id = ID1, .version = "1.1.0", .product = "agent", .repository_url = "" };
        const InstructionContext calm = {
                .conf = &conf, .running_version = "1.0.0", .has_trusted_root = true, .pinned_version = ""
        };
        struct {
                const char *what;
                Instruction i;
                InstructionContext c;
                int decision;
                UpdateVerdict verdict;
        } cases[] = {
                { "good", good, calm, INSTRUCTION_ACCEPT, UPDATE_VERDICT_NONE },
                { "bad id", good, calm, INSTRUCTION_IGNORE, UPDATE_VERDICT_NONE },
                { "repeated", good, calm, INSTRUCTION_CONTINUE, UPDATE_VERDICT_NONE },
                { "finished", good, calm, INSTRUCTION_FINISHED, UPDATE_VERDICT_NONE },
                { "full", good, calm, INSTRUCTION_IGNORE, UPDATE_VERDICT_NONE },
                { "busy", good, calm, INSTRUCTION_REFUSE, UPDATE_VERDICT_BUSY },
                { "foreign", good, calm, INSTRUCTION_REFUSE, UPDATE_VERDICT_BUSY },
                { "no root", good, calm, INSTRUCTION_REFUSE, UPDATE_VERDICT_NO_TRUSTED_ROOT },
                { "pinned", good, calm, INSTRUCTION_REFUSE, UPDATE_VERDICT_PINNED },
                { "older", good, calm, INSTRUCTION_REFUSE, UPDATE_VERDICT_DOWNGRADE },
                { "same", good, calm, INSTRUCTION_DONE, UPDATE_VERDICT_NONE },
                { "version", good, calm, INSTRUCTION_REFUSE, UPDATE_VERDICT_NOT_FOUND },
                { "product", good, calm, INSTRUCTION_REFUSE, UPDATE_VERDICT_NOT_FOR_US },
                { "origin", good, calm, INSTRUCTION_REFUSE, UPDATE_VERDICT_DOWNLOAD_FAILED },
                { "back", good, calm, INSTRUCTION_ACCEPT, UPDATE_VERDICT_NONE },
                { "back, but forward", good, calm, INSTRUCTION_REFUSE, UPDATE_VERDICT_NOT_FOR_US },
                { "back, but pinned", good, calm, INSTRUCTION_REFUSE, UPDATE_VERDICT_PINNED },
        };
        cases[1].i.id = "../../x";
        cases[2].c.current = current;
        cases[3].i.id = ID2;
        cases[3].c.finished = finished;
        cases[4].c.outbox_full = true;
        cases[5].i.id = ID2;
        cases[5].c.current = current;
        cases[6].c.foreign_transaction = true;
        cases[7].c.has_trusted_root = false;
        cases[8].c.pinned_version = "1.0.0";
        cases[9].i.version = "0.9.0";
        cases[10].i.version = "1.0.0";
        cases[11].i.version = "../1";
        cases[12].i.product = "gateway";
        cases[13].i.repository_url = "https://evil.example/tuf";
        cases[14].i.version = cases[16].i.version = "0.9.0";
        cases[14].i.back = cases[15].i.back = cases[16].i.back = true;
        cases[16].c.pinned_version = "1.0.0";

        for (size_t k = 0; k < ELEMENTSOF(cases); k++) {
                _cleanup_free_ char *why = NULL;
                UpdateVerdict verdict = UPDATE_VERDICT_NONE;
                int d = instruction_decide(&cases[k].i, &cases[k].c, &verdict, &why);
                if (d != cases[k].decision || verdict != cases[k].verdict) {
                        fprintf(stderr, "case '%s': decision %d, verdict %d\n", cases[k].what, d,
                                (int) verdict);
                        abort();
                }
                assert_se(d != INSTRUCTION_REFUSE || !isempty(why));
        }
        agent_conf_done(&conf);

        assert_se(instruction_lease(&(Instruction){ .deadline_sec = 0 }) == USEC_PER_HOUR);
        assert_se(instruction_lease(&(Instruction){ .deadline_sec = UINT64_MAX }) == USEC_PER_DAY);
        assert_se(instruction_lease(&(Instruction){ .deadline_sec = 90 }) == 90 * USEC_PER_SEC);
}

static void test_verdicts(void) {
        assert_se(agent_handoff_verdict("org.fleetagent.Error.Downgrade") == UPDATE_VERDICT_DOWNGRADE);
        assert_se(agent_handoff_verdict("org.fleetagent.Error.GatewayUnreachable") ==
                  UPDATE_VERDICT_GATEWAY_UNREACHABLE);
        assert_se(agent_handoff_verdict("org.fleetagent.Error.NoTrustedRoot") ==
                  UPDATE_VERDICT_NO_TRUSTED_ROOT);
        assert_se(agent_handoff_verdict("org.fleetagent.Error.None") == UPDATE_VERDICT_INTERNAL);
        assert_se(agent_handoff_verdict("org.fleetagent.Error.Nonsense") == UPDATE_VERDICT_INTERNAL);
        assert_se(agent_handoff_verdict("org.freedesktop.DBus.Error.NoReply") == UPDATE_VERDICT_INTERNAL);
        assert_se(agent_handoff_verdict(NULL) == UPDATE_VERDICT_INTERNAL);
        char long_name[200] = "org.fleetagent.Error.";
        memset(long_name + strlen(long_name), 'A', 150);
        assert_se(agent_handoff_verdict(long_name) == UPDATE_VERDICT_INTERNAL);

        assert_se(agent_fetch_verdict(-ENOSPC, TUF_OK) == UPDATE_VERDICT_DISK_FULL);
        assert_se(agent_fetch_verdict(-EIO, TUF_OK) == UPDATE_VERDICT_INTERNAL);
        assert_se(agent_fetch_verdict(0, TUF_EXPIRED) == UPDATE_VERDICT_METADATA_EXPIRED);
        assert_se(agent_fetch_verdict(0, TUF_ROLLBACK) == UPDATE_VERDICT_VERIFICATION_FAILED);
        assert_se(agent_fetch_verdict(0, TUF_NOT_FOUND) == UPDATE_VERDICT_NOT_FOUND);
}

/* Full jitter: anything from nothing to the cap, and the cap is never passed. */
static void test_pause(void) {
        for (unsigned attempt = 0; attempt < 64; attempt++)
                for (uint64_t k = 0; k < 16; k++) {
                        uint64_t random = k * (UINT64_MAX / 15);
                        usec_t calm = agent_stream_pause(
                                        USEC_PER_SEC, 120 * USEC_PER_SEC, false, attempt, random);
                        usec_t urgent = agent_stream_pause(
                                        USEC_PER_SEC, USEC_PER_HOUR, true, attempt, random);
                        assert_se(calm <= 120 * USEC_PER_SEC);
                        assert_se(urgent <= AGENT_STREAM_URGENT_MAX);
                        assert_se(attempt > 0 || calm <= USEC_PER_SEC);
                }
        usec_t widest = 0;
        for (unsigned k = 0; k < 100; k++)
                widest = MAX(widest, agent_stream_pause(
                                                     USEC_PER_SEC, 120 * USEC_PER_SEC, false, 20,
                                                     k * (UINT64_MAX / 99)));
        assert_se(widest > 60 * USEC_PER_SEC);
}

/* 20, 40, 80 s, then two minutes: three attempts and their pauses fit into the three minutes of a trial. */
static void test_patience(void) {
        const usec_t first = 20 * USEC_PER_SEC;
        static const unsigned seconds[] = { 20, 40, 80, 120, 120, 120 };
        usec_t trial = 0;
        unsigned late = 0;

        for (size_t i = 0; i < ELEMENTSOF(seconds); i++) {
                usec_t patience = agent_patience(first, late);
                assert_se(patience == seconds[i] * USEC_PER_SEC);
                if (i < 3)
                        trial += patience + (USEC_PER_SEC << i); /* the pause at its widest */
                assert_se(agent_patience_late(late, first, 0) == late); /* refused */
                late = agent_patience_late(late, first, patience);
                assert_se(late == i + 1);
        }
        assert_se(trial <= 3 * USEC_PER_MINUTE);
        for (unsigned i = 0; i < 100; i++)
                late = agent_patience_late(late, first, USEC_PER_HOUR);
        assert_se(agent_patience(first, late) == AGENT_PATIENCE_MAX);
        assert_se(agent_patience(first, UINT32_MAX) == AGENT_PATIENCE_MAX);
        /* who has set more than that keeps it */
        assert_se(agent_patience(5 * USEC_PER_MINUTE, 7) == 5 * USEC_PER_MINUTE);
        /* the gateway's clock ran out a little before ours */
        assert_se(agent_patience_late(0, first, 19 * USEC_PER_SEC) == 1);
}

int main(void) {
        log_set_max_level(LOG_ERR);
        assert_ok(crypto_init());
        test_conf_defaults();
        test_conf_bad_lines();
        test_conf_dump();
        test_origins();
        test_os_release();
        test_packaging();
        test_join_token();
        test_instruction();
        test_verdicts();
        test_pause();
        test_patience();
        return EXIT_SUCCESS;
}
