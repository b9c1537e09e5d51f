/* SPDX-License-Identifier: Apache-2.0 */

/* What is pure about people: requests, scopes, the limit on attempts, who may come in, the setup code. */

#include "people-request.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "alloc-util.h"
#include "auth.h"
#include "crypto.h"
#include "fd-util.h"
#include "fs-util.h"
#include "http-auth.h"
#include "login-limit.h"
#include "login-log.h"
#include "people.h"
#include "setup-code.h"
#include "string-util.h"
#include "tests.h"

static json_t *parse(const char *text) {
        json_t *v = NULL;

        assert_ok(json_parse(text, strlen(text), HTTP_JSON_MAX, &v, NULL));
        return v;
}

/* ---- requests ---- */

static void test_tokens(void) {
        static const struct {
                const char *body, *pointer;
        } refused[] = {
                { "{}", "/role" },
                { "{\"role\":\"root\"}", "/role" },
                { "{\"role\":\"viewer\",\"scopes\":[]}", "/scopes" },
                { "{\"role\":\"viewer\",\"scopes\":\"agents\"}", "/scopes" },
                { "{\"role\":\"viewer\",\"scopes\":[\"agent\"]}", "/scopes" },
                { "{\"role\":\"viewer\",\"scopes\":[\"none\"]}", "/scopes" },
                { "{\"role\":\"viewer\",\"scopes\":[7]}", "/scopes" },
                { "{\"role\":\"viewer\",\"expires_in_sec\":59}", "/expires_in_sec" },
                { "{\"role\":\"viewer\",\"expires_in_sec\":315360001}", "/expires_in_sec" },
        };
        _cleanup_(api_token_request_done) ApiTokenRequest plain = {}, scoped = {};
        _cleanup_json_ json_t *one = parse("{\"role\":\"viewer\"}"),
                              *two = parse("{\"role\":\"operator\",\"scopes\":[\"events\",\"agents\"],"
                                           "\"expires_in_sec\":0}");
        RequestError e = {};

        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                _cleanup_(api_token_request_done) ApiTokenRequest q = {};
                _cleanup_json_ json_t *body = parse(refused[i].body);

                assert_error(api_token_request_parse(body, &q, &e), EINVAL);
                assert_streq(e.pointer, refused[i].pointer);
                request_error_done(&e);
        }
        assert_ok(api_token_request_parse(one, &plain, &e));
        assert_se(plain.role == API_ROLE_VIEWER && plain.scopes == API_SCOPES_ALL);
        assert_se(plain.expires_in_sec == 90 * 86400);
        assert_ok(api_token_request_parse(two, &scoped, &e));
        assert_se(scoped.scopes == (API_SCOPE(API_AREA_AGENTS) | API_SCOPE(API_AREA_EVENTS)));
        assert_se(scoped.expires_in_sec == 0);
}

static void test_passwords(void) {
        static const struct {
                const char *password;
                bool good;
        } table[] = {
                { "elevenbytes", false },     { "twelve bytes", true },     { "alice", false },
                { "ALICE.THE.GREAT", false }, { "alice.the.great1", true }, { "", false },
        };
        char too_long[PASSWORD_MAX + 2] = {};
        RequestError e = {};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_json_ json_t *body = json_pack("{s:s}", "password", table[i].password);
                _cleanup_(password_request_done) PasswordRequest q = {};
                int r = password_request_parse(body, "alice.the.great", &q, &e);

                assert_se(r == (table[i].good ? 0 : -EINVAL));
                if (r < 0)
                        assert_se(!strstr(e.detail, table[i].password) || isempty(table[i].password));
                else
                        assert_streq(q.password, table[i].password);
                request_error_done(&e);
                /* it does not stay in the body */
                if (!isempty(table[i].password))
                        assert_streq(json_string_value(json_object_get(body, "password")), "");
        }
        memset(too_long, 'x', PASSWORD_MAX + 1);
        for (size_t n = PASSWORD_MAX; n <= PASSWORD_MAX + 1; n++) {
                _cleanup_json_ json_t *body = json_pack("{s:s#}", "password", too_long, n);
                _cleanup_(password_request_done) PasswordRequest q = {};

                assert_se(password_request_parse(body, "a", &q, &e) == (n <= PASSWORD_MAX ? 0 : -EINVAL));
                request_error_done(&e);
        }
        _cleanup_json_ json_t *same = parse("{\"old\":\"several words\",\"new\":\"several words\"}");
        _cleanup_(password_request_done) PasswordRequest own = {};
        assert_error(own_password_request_parse(same, "alice", &own, &e), EINVAL);
        assert_streq(e.pointer, "/new");
        request_error_done(&e);
}

static void test_users(void) {
        static const char *const names[] = { "a", "alice", "a.b_c-9", "abcdefghijklmnopqrstuvwxyz012345" };
        static const char *const bad_names[] = {
                "",    "Alice", "9a",    "-a", "a b",
                "a/b", "a\n",   "älice", "_a", "abcdefghijklmnopqrstuvwxyz0123456"
        };
        static const char *const bad[] = {
                "{\"name\":\"alice\",\"password\":\"several words\"}",
                "{\"name\":\"alice\",\"role\":\"viewer\"}",
                "{\"password\":\"several words\",\"role\":\"viewer\"}",
                "{\"name\":\"alice\",\"password\":\"several words\",\"role\":\"viewer\",\"admin\":true}",
                "{\"name\":\"alice\",\"password\":\"several words\",\"role\":\"viewer\",\"disabled\":1}",
                "{\"name\":\"alice\",\"password\":[],\"role\":\"viewer\"}",
        };
        _cleanup_(user_request_done) UserRequest good = {}, change = {}, nothing = {};
        _cleanup_json_ json_t *
                        body = parse("{\"name\":\"alice\",\"password\":\"several words\",\"role\":\"admin\"}"),
                       *patch = parse("{\"disabled\":false}"), *empty = parse("{}");
        RequestError e = {};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                assert_se(user_name_is_valid(names[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad_names); i++)
                assert_se(!user_name_is_valid(bad_names[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(user_request_done) UserRequest q = {};
                _cleanup_json_ json_t *v = parse(bad[i]);

                assert_error(user_request_parse(v, &q, &e), EINVAL);
                request_error_done(&e);
        }
        assert_ok(user_request_parse(body, &good, &e));
        assert_se(good.role == API_ROLE_ADMIN && !good.disabled && !good.display_name);
        assert_ok(user_change_parse(patch, &change, &e));
        assert_se(change.has_disabled && !change.disabled && !change.has_role);
        assert_error(user_change_parse(empty, &nothing, &e), EINVAL);
        request_error_done(&e);
}

/* ---- scopes ---- */

static void test_scopes(void) {
        _cleanup_free_ char *text = NULL, *all = NULL;
        ApiScopes s = API_SCOPE(API_AREA_AUDIT) | API_SCOPE(API_AREA_AGENTS), back;

        for (ApiArea a = API_AREA_NONE + 1; a < _API_AREA_MAX; a++)
                assert_se(api_area_from_string(api_area_to_string(a)) == a);
        assert_se(api_area_from_string("none") < 0 && api_area_from_string("") < 0 &&
                  api_area_from_string(NULL) < 0);
        assert_ok(api_scopes_format(s, &text));
        assert_streq(text, "agents,audit");
        assert_ok(api_scopes_parse(text, &back));
        assert_se(back == s);
        assert_ok(api_scopes_parse("agents,of-a-newer-gateway", &back));
        assert_se(back == API_SCOPE(API_AREA_AGENTS));
        assert_ok(api_scopes_format(API_SCOPES_ALL, &all));
        assert_se(!all);
        assert_ok(api_scopes_parse(NULL, &back));
        assert_se(back == API_SCOPES_ALL);
        assert_ok(api_scopes_parse("", &back)); /* nothing is nothing, not everything */
        assert_se(back == 0 && !api_scopes_include(back, API_AREA_AGENTS) &&
                  api_scopes_include(back, API_AREA_NONE));
        assert_se(api_scopes_include(s, API_AREA_AUDIT) && !api_scopes_include(s, API_AREA_USERS));
}

static void test_route_allows(void) {
        static const struct {
                ApiRole role;
                ApiScopes scopes;
                ApiRole needs;
                ApiArea area;
                bool allowed;
        } table[] = {
                { API_ROLE_ADMIN, API_SCOPES_ALL, API_ROLE_ADMIN, API_AREA_USERS, true },
                { API_ROLE_OPERATOR, API_SCOPES_ALL, API_ROLE_ADMIN, API_AREA_USERS, false },
                { API_ROLE_ADMIN, API_SCOPE(API_AREA_AGENTS), API_ROLE_VIEWER, API_AREA_USERS, false },
                { API_ROLE_ADMIN, API_SCOPE(API_AREA_AGENTS), API_ROLE_ADMIN, API_AREA_AGENTS, true },
                { API_ROLE_VIEWER, API_SCOPE(API_AREA_AGENTS), API_ROLE_VIEWER, API_AREA_NONE, true },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_se(http_route_allows(
                                          &(HttpRoute){ .role = table[i].needs, .area = table[i].area },
                                          &(ApiCaller){ .role = table[i].role,
                                                        .scopes = table[i].scopes }) == table[i].allowed);
}

/* ---- attempts ---- */

#define S USEC_PER_SEC

static int attempt(LoginLimit *l, const char *name, const char *address, usec_t t, usec_t *ret_wait) {
        bool begins;

        return login_limit_try(l, name, address, t, ret_wait, &begins);
}

/* From one network: as it always was for who guesses, and of no matter to anybody elsewhere. */
static void test_limit_of_a_name(void) {
        static const usec_t pauses[] = { 2, 4, 8, 16, 32 };
        _cleanup_(login_limit_freep) LoginLimit *l = NULL;
        usec_t t = 1000 * S, wait, begun;
        unsigned passed = 0;
        bool begins;

        assert_ok(login_limit_new(&l));
        for (unsigned i = 0; i < 5; i++)
                assert_se(attempt(l, "alice", "192.0.2.1", t, &wait) == 0);
        for (size_t i = 0; i < ELEMENTSOF(pauses); i++) {
                assert_se(attempt(l, "bob", "192.0.2.1", t, &wait) == 0);
                assert_ok(login_limit_success(l, "bob", "192.0.2.1", t));
                assert_se(login_limit_try(l, "alice", "192.0.2.1", t, &wait, &begins) == 1);
                assert_se(begins && wait == pauses[i] * S);
                t += wait - 1; /* it comes too early: longer now */
                assert_se(login_limit_try(l, "alice", "192.0.2.1", t, &wait, &begins) == 1 && !begins);
                assert_se(wait >= pauses[i] * S);
                t += wait;
                assert_se(attempt(l, "alice", "192.0.2.1", t, &wait) == 0);
                assert_se(wait == 0);
                assert_ok(login_limit_success(l, "alice", "192.0.2.1", t));
                for (unsigned n = 0; n < 5 + i + 1; n++)
                        while (attempt(l, "alice", "192.0.2.1", t, &wait) == 1)
                                t += wait;
        }
        /* who goes on for hours, as often as it may, gets one a minute */
        for (begun = t; t < begun + 10 * USEC_PER_HOUR; t += MAX(wait, S))
                passed += attempt(l, "alice", "192.0.2.1", t, &wait) == 0;
        assert_se(passed >= 550 && passed <= 660);
        /* and who asks all the time gets none */
        for (begun = t, passed = 0; t < begun + USEC_PER_HOUR; t += S / 20)
                passed += attempt(l, "alice", "192.0.2.1", t, &wait) == 0;
        assert_se(passed <= 1);
        assert_se(attempt(l, "alice", "198.51.100.1", t, &wait) == 0); /* as if nothing had been */
        assert_se(attempt(l, "bob", "192.0.2.1", t, &wait) == 0);      /* known there */
}

/* From many networks: it is limited altogether, who asks early loses, and who came in before is not concerned. */
static void test_limit_of_a_name_everywhere(void) {
        _cleanup_(login_limit_freep) LoginLimit *l = NULL;
        usec_t t = 1000 * S, wait, begun, victim, next[200] = {};
        unsigned passed = 0, mine = 0;

        assert_ok(login_limit_new(&l));
        assert_ok(login_limit_success(l, "alice", "203.0.113.9", t)); /* yesterday, at home */
        t += USEC_PER_DAY;
        for (begun = t, victim = t + USEC_PER_HOUR; t < begun + 2 * USEC_PER_HOUR; t += S / 4) {
                for (unsigned i = 0; i < ELEMENTSOF(next); i++) {
                        _cleanup_free_ char *address = NULL;

                        if (next[i] > t)
                                continue;
                        address = strjoinf("10.0.0.%u", i);
                        passed += attempt(l, "alice", address, t, &wait) == 0;
                        next[i] = t + S; /* whatever it was told */
                }
                if (t < victim)
                        continue;
                if (attempt(l, "alice", "198.51.100.1", t, &wait) == 0)
                        mine++;
                victim = t + MAX(wait, 60 * S); /* as it was told */
        }
        assert_se(passed >= 50 && passed <= 50 + 2 * 60 * 7);
        assert_se(mine >= 10);
        assert_se(login_limit_knows(l, "alice", "203.0.113.9", t));
        assert_se(!login_limit_knows(l, "alice", "198.51.100.1", t) &&
                  !login_limit_knows(l, "bob", "203.0.113.9", t));
        assert_se(attempt(l, "alice", "203.0.113.9", t, &wait) == 0);
        assert_se(!login_limit_knows(l, "alice", "203.0.113.9", t + LOGIN_LIMIT_KNOWN_TIME));
}

static void test_limit_of_an_address(void) {
        _cleanup_(login_limit_freep) LoginLimit *l = NULL;
        usec_t t = 1000 * S, wait;
        unsigned passed = 0;

        assert_ok(login_limit_new(&l));
        for (unsigned i = 0; i < 100; i++) {
                _cleanup_free_ char *name = strjoinf("user%u", i);

                if (attempt(l, name, "192.0.2.1", t, &wait) == 0)
                        passed++;
        }
        assert_se(passed == 20);
        assert_se(attempt(l, "alice", "192.0.2.2", t, &wait) == 0);

        /* one good password does not buy guesses at others */
        for (unsigned i = 0; i < 1000; i++) {
                if (attempt(l, "mine", "192.0.2.3", t, &wait) == 0)
                        assert_ok(login_limit_success(l, "mine", "192.0.2.3", t));
                else
                        t += wait;
                if (attempt(l, "victim", "192.0.2.3", t, &wait) == 1)
                        t += wait;
        }
        assert_se(t >= 1000 * S + 450 * 60 * S);

        /* time heals: after the time for twenty of them there is room for twenty */
        t += 20 * 15 * S + 300 * S;
        for (unsigned i = 0; i < 19; i++) {
                _cleanup_free_ char *name = strjoinf("again%u", i);

                assert_se(attempt(l, name, "192.0.2.1", t, &wait) == 0);
        }
}

/* All before the first was answered. */
static void test_limit_at_once(void) {
        _cleanup_(login_limit_freep) LoginLimit *l = NULL;
        unsigned passed = 0;
        usec_t wait;

        assert_ok(login_limit_new(&l));
        for (unsigned i = 0; i < 1000; i++)
                passed += attempt(l, "alice", "192.0.2.1", S, &wait) == 0;
        assert_se(passed == 5);
}

/* Made-up names from made-up networks: what they cost together is bounded. */
static void test_limit_of_all(void) {
        _cleanup_(login_limit_freep) LoginLimit *l = NULL;
        usec_t t = 1000 * S, wait;
        unsigned passed = 0, n = 0;

        assert_ok(login_limit_new(&l));
        assert_ok(login_limit_success(l, "alice", "203.0.113.9", t));
        for (usec_t begun = t; t < begun + 60 * S; t += S / 50, n++) {
                _cleanup_free_ char *name = strjoinf("made-up-%u", n),
                                    *address = strjoinf("10.0.%u.%u", n / 256, n % 256);

                passed += attempt(l, name, address, t, &wait) == 0;
        }
        assert_se(passed >= 60 && passed <= 30 + 60 * 8);
        assert_se(attempt(l, "alice", "203.0.113.9", t, &wait) == 0);
}

static void test_limit_is_bounded(void) {
        _cleanup_(login_limit_freep) LoginLimit *l = NULL;
        usec_t t = 1000 * S, wait;

        assert_ok(login_limit_new(&l));
        for (unsigned i = 0; i < 6; i++)
                (void) attempt(l, "alice", "192.0.2.1", t, &wait);
        for (unsigned i = 0; i < 6000; i++) {
                _cleanup_free_ char *name = strjoinf("made-up-%u", i),
                                    *address = strjoinf("10.0.%u.%u", i / 256, i % 256);

                (void) attempt(l, name, address, t, &wait);
                assert_ok(login_limit_success(l, "mallory", address, t));
        }
        assert_se(login_limit_size(l) <= 4 * LOGIN_LIMIT_ENTRIES_MAX);
        assert_se(attempt(l, "alice", "192.0.2.1", t, &wait) == 1); /* was not washed away */
}

static void test_network(void) {
        static const struct {
                const char *address, *network;
        } table[] = {
                { "192.0.2.7", "192.0.2.7" },
                { "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::" },
                { "2001:db8:1:2::1", "2001:db8:1:2::" },
                { "", "" },
        };
        char network[LOGIN_ADDRESS_MAX];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                login_limit_network(table[i].address, network);
                assert_streq(network, table[i].network);
        }
}

static void test_login_log(void) {
        LoginLog l = {};
        uint64_t count = 0, told = 0;
        unsigned entries = 0;

        for (unsigned i = 0; i < 10000; i++) /* an hour and a half of two a second */
                if (login_log_may_enter(&l, S + i * S / 2, &count)) {
                        entries++;
                        told += count;
                }
        assert_se(entries == 2 * LOGIN_LOG_ENTRIES);
        assert_se(told + l.left_out == 10000); /* nothing is forgotten, only put together */
}

/* ---- who may come in ---- */

static UserRecord user(const char *name, ApiRole role, bool disabled) {
        return (UserRecord){ .name = (char *) name, .role = role, .disabled = disabled, .revision = 3 };
}

static void put_user(Auth *a, const char *name, ApiRole role, bool disabled) {
        UserRecord u = user(name, role, disabled);

        assert_ok(auth_put_user(a, &u));
}

static char *put_session(Auth *a, const char *name, usec_t t, usec_t life) {
        _cleanup_(session_record_done)
                        SessionRecord e = { .created = t, .last_used = t, .expires = t + life };
        char *cookie = NULL;

        assert_ok(token_generate("fgs1", &e.id, &cookie, &e.hash));
        e.user = strdup(name);
        e.csrf = strdup("salt");
        assert_se(e.user && e.csrf);
        assert_ok(auth_put_session(a, &e));
        return cookie;
}

static int come_in(Auth *a, const char *cookie, usec_t t, ApiRole *ret) {
        _cleanup_(api_caller_done) ApiCaller c = {};
        int r = auth_check_session(a, cookie, t, &c);

        *ret = r >= 0 ? c.role : API_ROLE_PUBLIC;
        return r;
}

static void test_sessions(void) {
        _cleanup_(auth_freep) Auth *a = NULL;
        _cleanup_(api_caller_done) ApiCaller c = {};
        _cleanup_free_ char *one = NULL, *two = NULL, *bobs = NULL, *forged = NULL;
        char csrf[CALLER_CSRF_HEX + 1];
        AuthSeen *seen;
        ApiRole role;
        size_t n;

        assert_ok(auth_new(&a, 100));
        assert_se(!auth_has_users(a));
        put_user(a, "alice", API_ROLE_ADMIN, false);
        put_user(a, "bob", API_ROLE_VIEWER, false);
        assert_se(auth_has_users(a));
        one = put_session(a, "alice", 1000, 1000);
        two = put_session(a, "alice", 1000, 1000);
        bobs = put_session(a, "bob", 1000, 1000);

        assert_ok(auth_check_session(a, one, 1050, &c));
        assert_se(c.kind == CALLER_USER && c.role == API_ROLE_ADMIN && c.revision == 3);
        assert_streq(c.user, "alice");
        session_csrf_token("salt", one, csrf);
        assert_streq(c.csrf, csrf);
        session_csrf_token("salt", two, csrf);
        assert_se(!streq(c.csrf, csrf)); /* each session has its own */
        forged = strdup(one);
        assert_se(forged);
        forged[strlen(forged) - 1] ^= 1;
        assert_se(come_in(a, forged, 1050, &role) < 0);
        assert_error(come_in(a, "fgs1_x", 1050, &role), EINVAL);
        assert_error(come_in(a, "fga1_0123456789abcdef_00", 1050, &role), EINVAL);

        /* idle, and as old as any may become */
        assert_ok(come_in(a, one, 1149, &role));
        assert_error(come_in(a, two, 1100, &role), EKEYEXPIRED);
        for (usec_t t = 1200; t < 2000; t += 90)
                assert_ok(come_in(a, one, t, &role));
        assert_error(come_in(a, one, 2000, &role), EKEYEXPIRED);
        assert_se(!auth_is_valid(a, &c, 2000));
        assert_ok(auth_take_seen(a, 2000, &seen, &n));
        assert_se(n == 0); /* what has ended is forgotten */
        auth_seen_free(seen, n);
        assert_error(come_in(a, one, 1250, &role), ENOENT);

        /* what becomes of the user becomes of the session */
        free(one);
        one = put_session(a, "alice", 1000, 1000);
        free(two);
        two = put_session(a, "alice", 1000, 1000);
        api_caller_done(&c);
        assert_ok(auth_check_session(a, one, 1010, &c));
        put_user(a, "alice", API_ROLE_OPERATOR, false);
        assert_ok(come_in(a, one, 1010, &role));
        assert_se(role == API_ROLE_OPERATOR && auth_is_valid(a, &c, 1010));
        auth_end_sessions(a, "alice", c.id);
        assert_error(come_in(a, two, 1010, &role), ENOENT);
        assert_ok(come_in(a, one, 1010, &role));
        put_user(a, "alice", API_ROLE_OPERATOR, true);
        assert_error(come_in(a, one, 1010, &role), ENOENT);
        assert_se(!auth_is_valid(a, &c, 1010));
        put_user(a, "alice", API_ROLE_OPERATOR, false);
        assert_error(come_in(a, one, 1010, &role), ENOENT); /* and does not come back */

        free(bobs);
        bobs = put_session(a, "bob", 1000, 1000);
        assert_ok(come_in(a, bobs, 1010, &role));
        assert_ok(auth_take_seen(a, 1010, &seen, &n));
        assert_se(n == 1 && seen[0].is_session && seen[0].when == 1010);
        auth_seen_free(seen, n);
        assert_ok(auth_take_seen(a, 1010, &seen, &n));
        assert_se(n == 0);
        auth_seen_free(seen, n);
        auth_remove_user(a, "bob");
        assert_error(come_in(a, bobs, 1010, &role), ENOENT);
}

static char *put_token(Auth *a, const char *owner, ApiRole role) {
        _cleanup_(api_token_done) ApiToken t = { .role = role, .scopes = API_SCOPES_ALL, .expires = 2000 };
        char *token = NULL;

        assert_ok(token_generate("fga1", &t.id, &token, &t.hash));
        t.owner = owner ? strdup(owner) : NULL;
        assert_ok(auth_add(a, &t));
        return token;
}

static int use_token(Auth *a, const char *token, ApiRole *ret) {
        _cleanup_(api_caller_done) ApiCaller c = {};
        int r = auth_check(a, token, 1000, &c);

        *ret = r >= 0 ? c.role : API_ROLE_PUBLIC;
        assert_se(r < 0 || auth_is_valid(a, &c, 1000));
        return r;
}

/* A token is never more than who made it. */
static void test_owned_tokens(void) {
        _cleanup_(auth_freep) Auth *a = NULL;
        _cleanup_free_ char *owned = NULL, *free_one = NULL, *of_token = NULL;
        ApiRole role;

        assert_ok(auth_new(&a, 100));
        put_user(a, "alice", API_ROLE_ADMIN, false);
        owned = put_token(a, "user:alice", API_ROLE_ADMIN);
        free_one = put_token(a, NULL, API_ROLE_OPERATOR);
        of_token = put_token(a, "token:0123456789abcdef", API_ROLE_OPERATOR);
        assert_ok(use_token(a, owned, &role));
        assert_se(role == API_ROLE_ADMIN);
        put_user(a, "alice", API_ROLE_VIEWER, false);
        assert_ok(use_token(a, owned, &role));
        assert_se(role == API_ROLE_VIEWER);
        put_user(a, "alice", API_ROLE_VIEWER, true);
        assert_error(use_token(a, owned, &role), EACCES);
        auth_remove_user(a, "alice");
        assert_error(use_token(a, owned, &role), ENOENT);
        put_user(a, "alice", API_ROLE_ADMIN, false); /* another one of that name */
        assert_error(use_token(a, owned, &role), ENOENT);
        assert_ok(use_token(a, free_one, &role));
        assert_se(role == API_ROLE_OPERATOR);
        assert_ok(use_token(a, of_token, &role));
}

/* ---- passwords and codes ---- */

static void test_hash(void) {
        char one[PASSWORD_HASH_MAX], two[PASSWORD_HASH_MAX];
        usec_t begun = now(CLOCK_MONOTONIC);

        assert_ok(password_hash("several words do well", one));
        printf("A password's hash takes %" PRIu64 " ms.\n", (now(CLOCK_MONOTONIC) - begun) / USEC_PER_MSEC);
        assert_ok(password_hash("several words do well", two));
        assert_se(!streq(one, two)); /* salted */
        assert_se(startswith(one, "$argon2id$v=19$m=65536,t=2,p=1$"));
        assert_se(password_verify("several words do well", one) == 1);
        assert_se(password_verify("several words do wel", one) == 0);
        assert_se(password_verify("", one) == 0);
        assert_se(password_verify("several words do well", "garbage") == 0);
        assert_se(!password_hash_is_old(one));
        assert_se(password_hash_is_old("$argon2id$v=19$m=8192,t=2,p=1$3dgwRKJxDGmFjdgH/nCn4w$"
                                       "tQqa2db6jzkpYlm3hB/bcdViM3BCXBesUc/TI5ILt2I"));
        /* who does not exist costs as much as who does */
        assert_se(!password_hash_is_old(people_dummy_hash));
        assert_se(password_verify("several words do well", people_dummy_hash) == 0);
}

static void test_setup_code(void) {
        char template[] = "/tmp/test-people-XXXXXX", code[SETUP_CODE_MAX], other[SETUP_CODE_MAX];
        _cleanup_free_ char *path = NULL, *spaced = NULL;
        _cleanup_(store_closep) Store *s = NULL;
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ void *file = NULL;
        StoreJob j = {};
        struct stat st;
        size_t size;

        assert_se(mkdtemp(template));
        path = strjoinf("%s/db", template);
        assert_se(path);
        assert_ok(store_sqlite_open(path, &s));
        fd = dir_open_at(AT_FDCWD, template);
        assert_ok(fd);

        assert_error(setup_code_check(s, "abcd-efgh-ijkm-npqr-stuv", 1), ENOENT);
        assert_ok(setup_code_make(&j, s, fd, 1000, code));
        assert_se(strlen(code) == 24);
        assert_ok(file_read_at(fd, SETUP_CODE_FILE, 100, &file, &size));
        assert_se(size == 25 && strncmp(file, code, 24) == 0);
        assert_ok(fstatat(fd, SETUP_CODE_FILE, &st, 0));
        assert_se((st.st_mode & 0777) == 0600);
        assert_ok(setup_code_check(s, code, 1000));
        spaced = strjoinf(" %.4s %c%s", code, code[5] >= 'a' ? code[5] - 'a' + 'A' : code[5], code + 6);
        assert_ok(setup_code_check(s, spaced, 1000)); /* as people type */
        assert_error(setup_code_check(s, "abcd-efgh-ijkm-npqr-stuv", 1000), EKEYREJECTED);
        assert_error(setup_code_check(s, "", 1000), EKEYREJECTED);
        assert_error(setup_code_check(s, code, 1000 + SETUP_CODE_LIFE), EKEYEXPIRED);
        assert_ok(setup_code_make(&j, s, fd, 1000, other));
        assert_error(setup_code_check(s, code, 1000), EKEYREJECTED);
        assert_ok(setup_code_check(s, other, 1000));
        assert_ok(setup_code_forget(s));
        assert_error(setup_code_check(s, other, 1000), ENOENT);
        j.audit = audit_notes_free(j.audit);
        s = store_close(s);
        assert_ok(tree_remove_at(AT_FDCWD, template));
}

int main(void) {
        assert_ok(crypto_init());
        test_tokens();
        test_passwords();
        test_users();
        test_scopes();
        test_route_allows();
        test_limit_of_a_name();
        test_limit_of_a_name_everywhere();
        test_limit_of_all();
        test_limit_of_an_address();
        test_limit_at_once();
        test_limit_is_bounded();
        test_network();
        test_login_log();
        test_sessions();
        test_owned_tokens();
        test_hash();
        test_setup_code();
        return 0;
}
