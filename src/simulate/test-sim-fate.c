/* SPDX-License-Identifier: Apache-2.0 */

/* Draws, machines and fates: the same question has the same answer, and shares come out right over many. */

#include "crypto.h"
#include "hashmap.h"
#include "sim-draw.h"
#include "sim-fate.h"
#include "sim-machine.h"
#include "string-util.h"
#include "tests.h"

#define MANY 100000U

/* Within five standard deviations, and half a per mille of all for the smallest. */
static void assert_share(uint64_t n, uint64_t of, uint32_t share) {
        double p = (double) share / SIM_SHARE_ONE, expected = p * (double) of, variance = expected * (1 - p);
        double distance = (double) n - expected;

        if (distance * distance > 25 * variance + 1)
                fprintf(stderr, "%lu of %lu, expected %.0f\n", (unsigned long) n, (unsigned long) of,
                        expected);
        assert_se(distance * distance <= 25 * variance + 1);
}

static void test_draw(void) {
        uint64_t x = sim_draw(1, 2, "purpose", "text", 3), buckets[16] = { 0 };
        static const unsigned weights[] = { 0, 3, 0, 1 };
        size_t seen[ELEMENTSOF(weights)] = { 0 };
        char longer[300];

        /* every part of the question counts, also where one text ends and the other begins */
        assert_se(x == sim_draw(1, 2, "purpose", "text", 3));
        assert_se(x != sim_draw(2, 2, "purpose", "text", 3) && x != sim_draw(1, 3, "purpose", "text", 3));
        assert_se(x != sim_draw(1, 2, "purpos", "etext", 3) && x != sim_draw(1, 2, "purpose", NULL, 3));
        assert_se(x != sim_draw(1, 2, "purpose", "text", 4));
        assert_se(x ==
                  UINT64_C(0xc7fde8a2eca45764)); /* for ever: identities are kept from one run to the next */
        memset(longer, 'x', sizeof(longer));
        longer[299] = '\0';
        x = sim_draw(1, 2, "p", longer, 0);
        longer[298] = 'y';
        assert_se(x != sim_draw(1, 2, "p", longer, 0));

        for (uint32_t i = 0; i < MANY; i++) {
                uint64_t d = sim_draw(7, i, "test", NULL, 0);
                uint32_t below = sim_draw_below(d, 16);
                assert_se(below < 16);
                buckets[below]++;
                seen[sim_draw_weighted(d, weights, ELEMENTSOF(weights))]++;
                usec_t t = sim_draw_span(d, 10, 12);
                assert_se(t >= 10 && t <= 12);
        }
        for (size_t i = 0; i < ELEMENTSOF(buckets); i++)
                assert_share(buckets[i], MANY, SIM_SHARE_ONE / 16);
        assert_se(seen[0] == 0 && seen[2] == 0);
        assert_share(seen[1], MANY, SIM_SHARE_ONE / 4 * 3);
        assert_se(!sim_draw_share(0, 0) && !sim_draw_share(UINT64_MAX, 0));
        assert_se(sim_draw_share(0, SIM_SHARE_ONE) && sim_draw_share(UINT64_MAX, SIM_SHARE_ONE));
        assert_se(sim_draw_span(UINT64_MAX, 5, 5) == 5 && sim_draw_span(3, 5, 4) == 5);
}

static void count(Hashmap *h, const char *key) {
        size_t n = (size_t) (uintptr_t) hashmap_get(h, key);
        assert_ok(hashmap_replace(h, key, (void *) (uintptr_t) (n + 1)));
}

static void test_machines(void) {
        _cleanup_(hashmap_freep) Hashmap *ids = NULL, *kernels = NULL, *systems = NULL, *names = NULL;
        SimPlan plan = sim_plan_default();
        uint64_t other_arch = 0, pinned = 0, slow = 0, flapping = 0, offline = 0;
        enum { FLEET = 20000 };

        plan.other_arch = 100000;
        plan.pinned = 2000;
        plan.slow = 50000;
        plan.flapping = 10000;
        plan.offline = 20000;
        assert_ok(hashmap_new(&ids, NULL));
        assert_ok(hashmap_new(&kernels, NULL));
        assert_ok(hashmap_new(&systems, NULL));
        assert_ok(hashmap_new(&names, NULL));
        for (uint32_t i = 0; i < FLEET; i++) {
                _cleanup_free_ char *system = NULL;
                SimMachine m, again;

                assert_ok(sim_machine_init(&m, &plan, i));
                assert_ok(sim_machine_init(&again, &plan, i));
                assert_streq(m.id, again.id);
                assert_streq(m.facts.kernel, again.facts.kernel);
                assert_streq(m.facts.hostname, again.facts.hostname);
                assert_se(strlen(m.id) == 32 && strspn(m.id, "0123456789abcdef") == 32);
                assert_se(m.facts.packaging >= 1 && strlen(m.facts.boot_id) == 32);
                assert_se(!strchr(m.facts.kernel, '%'));
                assert_se(streq(m.facts.architecture, "x86_64") || !strstr(m.facts.kernel, "x86_64"));
                assert_ok(hashmap_put(ids, m.id, &plan)); /* no two are the same */
                assert_ok(hashmap_put(names, m.facts.hostname, &plan));
                system = strjoinf("%s %s", m.facts.os.id, m.facts.os.version_id);
                count(systems, system);
                if (streq(m.facts.architecture, "x86_64"))
                        count(kernels, m.facts.kernel);
                else
                        other_arch++;
                pinned += m.pinned;
                slow += m.slow;
                flapping += m.flapping;
                offline += m.offline;
                sim_machine_done(&again);
                sim_machine_done(&m);
        }
        assert_se(hashmap_size(kernels) == SIM_MACHINE_KERNELS &&
                  hashmap_size(systems) == SIM_MACHINE_SYSTEMS);
        assert_share((size_t) (uintptr_t) hashmap_get(systems, "debian 12"), FLEET, 340000);
        assert_share(other_arch, FLEET, plan.other_arch);
        assert_share(pinned, FLEET, plan.pinned);
        assert_share(slow, FLEET, plan.slow);
        assert_share(flapping, FLEET, plan.flapping);
        assert_share(offline, FLEET, plan.offline);

        /* another seed, other machines; without --arch-mix= no other architecture */
        SimMachine m, other;
        plan.other_arch = 0;
        assert_ok(sim_machine_init(&m, &plan, 5));
        plan.seed = 2;
        assert_ok(sim_machine_init(&other, &plan, 5));
        assert_se(!streq(m.id, other.id));
        assert_streq(sim_machine_fact(&m, "arch"), "x86_64");
        assert_streq(sim_machine_fact(&m, "kernel"), m.facts.kernel);
        assert_se(!sim_machine_fact(&m, "shoe-size") && sim_machine_has_fact("os") &&
                  !sim_machine_has_fact(""));
        sim_machine_done(&m);
        sim_machine_done(&other);
}

static bool fates_equal(const SimFate *a, const SimFate *b) {
        return a->end == b->end && a->phase == b->phase && a->verdict == b->verdict &&
               memcmp(a->times, b->times, sizeof(a->times)) == 0;
}

static void test_shares(void) {
        SimPlan plan = sim_plan_default();
        uint64_t fails[_UPDATE_PHASE_MAX] = { 0 }, never = 0, differs = 0;
        SimMachine m = { .number = 0 };

        plan.never_returns = 500;
        plan.fails[UPDATE_PHASE_DOWNLOADING] = 2000;
        plan.fails[UPDATE_PHASE_VERIFYING] = 300;
        plan.fails[UPDATE_PHASE_STAGING] = 10000;
        plan.fails[UPDATE_PHASE_RESTARTING] = 30000;
        plan.fails[UPDATE_PHASE_CONFIRMING] = 5000;
        plan.times[UPDATE_PHASE_STAGING] = (SimSpan){ USEC_PER_SEC, 3 * USEC_PER_SEC };
        usec_t sum = 0;
        for (m.number = 0; m.number < MANY; m.number++) {
                SimFate f = sim_fate(&plan, &m, "1.1.0", 1), again = sim_fate(&plan, &m, "1.1.0", 1),
                        second = sim_fate(&plan, &m, "1.1.0", 2);
                assert_se(fates_equal(&f, &again));
                differs += f.end != second.end;
                never += f.end == SIM_END_NEVER_RETURNS;
                assert_se((f.end == SIM_END_FAILS) == (f.phase >= 0) && !f.release);
                if (f.end == SIM_END_FAILS)
                        fails[f.phase]++;
                assert_se(f.times[UPDATE_PHASE_STAGING] >= USEC_PER_SEC &&
                          f.times[UPDATE_PHASE_STAGING] <= 3 * USEC_PER_SEC);
                sum += f.times[UPDATE_PHASE_STAGING];
        }
        assert_share(never, MANY, plan.never_returns);
        for (UpdatePhase p = 0; p < _UPDATE_PHASE_MAX; p++)
                assert_share(fails[p], MANY, plan.fails[p]);
        assert_se(sum / MANY > 1990 * USEC_PER_MSEC && sum / MANY < 2010 * USEC_PER_MSEC);
        assert_se(differs > MANY / 20); /* attempts are draws of their own */

        /* what ends how */
        static const struct {
                UpdatePhase phase;
                UpdateVerdict verdict;
        } ends[] = {
                { UPDATE_PHASE_DOWNLOADING, UPDATE_VERDICT_DOWNLOAD_FAILED },
                { UPDATE_PHASE_VERIFYING, UPDATE_VERDICT_VERIFICATION_FAILED },
                { UPDATE_PHASE_STAGING, UPDATE_VERDICT_SELF_TEST_FAILED },
                { UPDATE_PHASE_RESTARTING, UPDATE_VERDICT_CRASHED },
                { UPDATE_PHASE_CONFIRMING, UPDATE_VERDICT_WATCHDOG },
        };
        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                SimPlan one = sim_plan_default();
                one.fails[ends[i].phase] = SIM_SHARE_ONE;
                SimFate f = sim_fate(&one, &m, "1.1.0", 1);
                assert_se(f.end == SIM_END_FAILS && f.phase == ends[i].phase &&
                          f.verdict == ends[i].verdict);
        }
}

static void test_releases(void) {
        SimPlan plan = sim_plan_default();
        uint64_t bad = 0, bad_where = 0, where = 0, elsewhere = 0;
        const char *why;

        assert_ok(sim_plan_add_release_fault(&plan, "1.2.0:3%", &why));
        assert_ok(sim_plan_add_fault_where(&plan, "1.3.0:kernel=6.1.0-31-amd64:80%", &why));
        for (uint32_t i = 0; i < MANY / 5; i++) {
                SimMachine m;
                assert_ok(sim_machine_init(&m, &plan, i));
                SimFate good = sim_fate(&plan, &m, "1.1.0", 1), f = sim_fate(&plan, &m, "1.2.0", 1),
                        again = sim_fate(&plan, &m, "1.2.0", 2), k = sim_fate(&plan, &m, "1.3.0", 1);
                assert_se(good.end == SIM_END_SUCCEEDS);
                assert_se(f.end == again.end && f.phase == again.phase); /* a bad release stays bad */
                if (f.end == SIM_END_FAILS)
                        assert_se(f.release && f.phase >= UPDATE_PHASE_RESTARTING);
                bad += f.end == SIM_END_FAILS;
                if (streq(m.facts.kernel, "6.1.0-31-amd64")) {
                        where++;
                        bad_where += k.end == SIM_END_FAILS;
                } else
                        elsewhere += k.end == SIM_END_FAILS;
                sim_machine_done(&m);
        }
        assert_share(bad, MANY / 5, 30000);
        assert_share(bad_where, where, 800000);
        assert_se(elsewhere == 0 && where > MANY / 5 / 10);
        sim_plan_done(&plan);
}

static void test_absence_and_slowness(void) {
        SimPlan plan = sim_plan_default();
        SimMachine m = { .number = 3 }, slow = { .number = 3, .slow = true };
        usec_t after, length, after2, length2, sum = 0;

        plan.offline_max = USEC_PER_HOUR;
        plan.flapping_period = 30 * USEC_PER_SEC;
        plan.slow_percent = 250;
        plan.times[UPDATE_PHASE_RESTARTING] = (SimSpan){ 2 * USEC_PER_SEC, 2 * USEC_PER_SEC };
        for (uint64_t k = 0; k < 2000; k++) {
                sim_absence(&plan, &m, k, &after, &length);
                sim_absence(&plan, &m, k, &after2, &length2);
                assert_se(after == after2 && length == length2);
                assert_se(after <= USEC_PER_HOUR && length >= USEC_PER_SEC && length <= USEC_PER_HOUR);
                sum += length;
                usec_t flap = sim_flap(&plan, &m, k);
                assert_se(flap >= 15 * USEC_PER_SEC && flap <= 45 * USEC_PER_SEC);
        }
        assert_se(sum / 2000 > 27 * USEC_PER_MINUTE && sum / 2000 < 33 * USEC_PER_MINUTE);
        SimFate f = sim_fate(&plan, &m, "1.1.0", 1), g = sim_fate(&plan, &slow, "1.1.0", 1);
        assert_se(f.times[UPDATE_PHASE_RESTARTING] == 2 * USEC_PER_SEC &&
                  g.times[UPDATE_PHASE_RESTARTING] == 5 * USEC_PER_SEC);
}

int main(void) {
        assert_ok(crypto_init());
        test_draw();
        test_machines();
        test_shares();
        test_releases();
        test_absence_and_slowness();
        return EXIT_SUCCESS;
}
