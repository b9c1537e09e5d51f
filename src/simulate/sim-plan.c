/* SPDX-License-Identifier: Apache-2.0 */
#include "sim-plan.h"

#include "alloc-util.h"
#include "parse-util.h"
#include "sim-draw.h"
#include "sim-machine.h"
#include "string-util.h"
#include "version.h"

#define SLOW_PERCENT_MAX 100000U
#define TIME_MAX USEC_PER_DAY

SimPlan sim_plan_default(void) {
        return (SimPlan){
                .seed = 1,
                .times = {
                        [UPDATE_PHASE_STAGING] = { 200 * USEC_PER_MSEC, 500 * USEC_PER_MSEC },
                        [UPDATE_PHASE_RESTARTING] = { 50 * USEC_PER_MSEC, 150 * USEC_PER_MSEC },
                        [UPDATE_PHASE_CONFIRMING] = { 10 * USEC_PER_SEC, 10 * USEC_PER_SEC },
                        [UPDATE_PHASE_ROLLING_BACK] = { 50 * USEC_PER_MSEC, 150 * USEC_PER_MSEC },
                },
                .confirm_timeout = 180 * USEC_PER_SEC,
                .slow_percent = 100,
        };
}

void sim_plan_done(SimPlan *p) {
        for (size_t i = 0; i < p->n_faults; i++) {
                free(p->faults[i].version);
                free(p->faults[i].fact);
                free(p->faults[i].value);
        }
        *p = (SimPlan){ 0 };
}

static int wrong(const char **reterr_why, const char *why) {
        *reterr_why = why;
        return -EINVAL;
}

/* ---- values ---- */

/* "12.5" times unit, which is a power of ten; no more digits than it has zeros count. */
static int parse_decimal(const char *s, uint32_t unit, uint64_t *ret) {
        char whole[16];
        uint64_t n;

        size_t k = strcspn(s, ".");
        if (k == 0 || k >= sizeof(whole))
                return -EINVAL;
        memcpy(whole, s, k);
        whole[k] = '\0';
        int r = parse_u64(whole, &n);
        if (r < 0 || n > UINT32_MAX)
                return -EINVAL;
        n *= unit;
        if (s[k] == '.' && s[k + 1] == '\0')
                return -EINVAL;
        for (const char *p = s[k] == '.' ? s + k + 1 : s + k; *p; p++) {
                if (*p < '0' || *p > '9')
                        return -EINVAL;
                unit /= 10;
                n += (uint64_t) (*p - '0') * unit;
        }
        *ret = n;
        return 0;
}

int sim_parse_share(const char *s, uint32_t *ret, const char **reterr_why) {
        static const char why[] = "a share is a part of one such as 0.002, or of a hundred such as 0.2%";
        const char *percent = endswith(s, "%");
        _cleanup_free_ char *number = strndup(s, percent ? (size_t) (percent - s) : strlen(s));
        uint64_t n;

        if (!number)
                return -ENOMEM;
        if (parse_decimal(number, percent ? SIM_SHARE_ONE / 100 : SIM_SHARE_ONE, &n) < 0 ||
            n > SIM_SHARE_ONE)
                return wrong(reterr_why, why);
        *ret = (uint32_t) n;
        return 0;
}

int sim_parse_span(const char *s, SimSpan *ret, const char **reterr_why) {
        static const char why[] =
                        "a time is one such as 2s, or a range such as 500ms..3s, and at most a day";
        const char *dots = strstr(s, "..");
        _cleanup_free_ char *low = strndup(s, dots ? (size_t) (dots - s) : strlen(s));
        SimSpan span;

        if (!low)
                return -ENOMEM;
        if (parse_sec(low, &span.low) < 0 || parse_sec(dots ? dots + 2 : low, &span.high) < 0 ||
            span.high < span.low || span.high > TIME_MAX)
                return wrong(reterr_why, why);
        *ret = span;
        return 0;
}

/* Cuts "A:B" at the first colon. */
static int split(const char *s, char **ret_first, const char **ret_rest) {
        const char *colon = strchr(s, ':');
        if (!colon || colon == s)
                return -EINVAL;
        *ret_first = strndup(s, (size_t) (colon - s));
        *ret_rest = colon + 1;
        return *ret_first ? 0 : -ENOMEM;
}

/* ---- options ---- */

int sim_plan_set_time(SimPlan *p, const char *s, const char **reterr_why) {
        _cleanup_free_ char *name = NULL;
        const char *rest;

        *reterr_why = "it is PHASE:TIME, as in restarting:2s or staging:1s..3s";
        int r = split(s, &name, &rest);
        if (r < 0)
                return r;
        UpdatePhase phase = update_phase_from_string(name);
        if (!IN_SET(phase, UPDATE_PHASE_DOWNLOADING, UPDATE_PHASE_STAGING, UPDATE_PHASE_RESTARTING,
                    UPDATE_PHASE_CONFIRMING, UPDATE_PHASE_ROLLING_BACK))
                return wrong(reterr_why, "the phases that take a time are downloading, staging, restarting, "
                                         "confirming and rolling-back");
        return sim_parse_span(rest, p->times + phase, reterr_why);
}

int sim_plan_set_fail(SimPlan *p, const char *s, const char **reterr_why) {
        _cleanup_free_ char *name = NULL;
        const char *rest;

        *reterr_why = "it is PHASE:SHARE, as in staging:1%";
        int r = split(s, &name, &rest);
        if (r < 0)
                return r;
        UpdatePhase phase = update_phase_from_string(name);
        if (!IN_SET(phase, UPDATE_PHASE_DOWNLOADING, UPDATE_PHASE_VERIFYING, UPDATE_PHASE_STAGING,
                    UPDATE_PHASE_RESTARTING, UPDATE_PHASE_CONFIRMING))
                return wrong(reterr_why,
                             "the phases that fail are downloading, verifying, staging, restarting and "
                             "confirming");
        return sim_parse_share(rest, p->fails + phase, reterr_why);
}

/* "SHARE:" and what follows. */
static int split_share(const char *s, uint32_t *ret, const char **ret_rest, const char **reterr_why) {
        _cleanup_free_ char *share = NULL;
        int r = split(s, &share, ret_rest);
        return r < 0 ? r : sim_parse_share(share, ret, reterr_why);
}

int sim_plan_set_slow(SimPlan *p, const char *s, const char **reterr_why) {
        uint64_t percent;
        const char *rest;

        *reterr_why = "it is SHARE:FACTOR, as in 5%:3 or 0.05:2.5";
        int r = split_share(s, &p->slow, &rest, reterr_why);
        if (r < 0)
                return r;
        if (parse_decimal(rest, 100, &percent) < 0 || percent < 100 || percent > SLOW_PERCENT_MAX)
                return wrong(reterr_why, "the factor is from 1 to 1000, as in 5%:3");
        p->slow_percent = (uint32_t) percent;
        return 0;
}

static int parse_period(const char *s, usec_t low, usec_t *ret, const char **reterr_why) {
        usec_t t;
        if (parse_sec(s, &t) < 0 || t < low || t > 7 * TIME_MAX)
                return wrong(reterr_why, "the time is one such as 30s or 2h, from a second to a week");
        *ret = t;
        return 0;
}

int sim_plan_set_flapping(SimPlan *p, const char *s, const char **reterr_why) {
        const char *rest;

        *reterr_why = "it is SHARE:PERIOD, as in 1%:30s";
        int r = split_share(s, &p->flapping, &rest, reterr_why);
        return r < 0 ? r : parse_period(rest, USEC_PER_SEC, &p->flapping_period, reterr_why);
}

int sim_plan_set_offline(SimPlan *p, const char *s, const char **reterr_why) {
        const char *rest;

        *reterr_why = "it is SHARE:TIME, as in 2%:3h";
        int r = split_share(s, &p->offline, &rest, reterr_why);
        return r < 0 ? r : parse_period(rest, USEC_PER_SEC, &p->offline_max, reterr_why);
}

static int
add_fault(SimPlan *p,
          const char *version,
          const char *fact,
          const char *value,
          const char *share,
          const char **reterr_why) {
        SimReleaseFault *f = p->faults + p->n_faults;

        if (p->n_faults >= SIM_RELEASE_FAULTS_MAX)
                return wrong(reterr_why, "there are more than 32 faults of releases");
        if (!version_is_valid(version))
                return wrong(reterr_why, "it begins with a version such as 1.2.0");
        if (fact && !sim_machine_has_fact(fact))
                return wrong(reterr_why, "the facts are os, os_version, kernel, arch and hostname");
        int r = sim_parse_share(share, &f->share, reterr_why);
        if (r < 0)
                return r;
        f->version = strdup(version);
        f->fact = fact ? strdup(fact) : NULL;
        f->value = value ? strdup(value) : NULL;
        p->n_faults++; /* also on lack of memory: then it is freed with the rest */
        return !f->version || (fact && !f->fact) || (value && !f->value) ? -ENOMEM : 0;
}

int sim_plan_add_release_fault(SimPlan *p, const char *s, const char **reterr_why) {
        _cleanup_free_ char *version = NULL;
        const char *rest;

        *reterr_why = "it is VERSION:SHARE, as in 1.2.0:30%";
        int r = split(s, &version, &rest);
        return r < 0 ? r : add_fault(p, version, NULL, NULL, rest, reterr_why);
}

int sim_plan_add_fault_where(SimPlan *p, const char *s, const char **reterr_why) {
        _cleanup_free_ char *version = NULL, *condition = NULL;
        const char *rest;

        *reterr_why = "it is VERSION:FACT=VALUE:SHARE, as in 1.2.0:kernel=6.1.0-31-amd64:80%";
        int r = split(s, &version, &rest);
        if (r < 0)
                return r;
        const char *colon = strrchr(rest, ':');
        if (!colon)
                return -EINVAL;
        condition = strndup(rest, (size_t) (colon - rest));
        if (!condition)
                return -ENOMEM;
        char *equals = strchr(condition, '=');
        if (!equals || equals[1] == '\0')
                return -EINVAL;
        *equals = '\0';
        return add_fault(p, version, condition, equals + 1, colon + 1, reterr_why);
}

int sim_plan_check(const SimPlan *p, const char **reterr_why) {
        uint64_t sum = p->never_returns;

        for (size_t i = 0; i < ELEMENTSOF(p->fails); i++)
                sum += p->fails[i];
        if (sum > SIM_SHARE_ONE)
                return wrong(reterr_why, "--fail= and --never-returns= add up to more than all updates");
        return 0;
}
