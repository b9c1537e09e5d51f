/* SPDX-License-Identifier: Apache-2.0 */
#include "sim-stats.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>

#include "alloc-util.h"
#include "fs-util.h"
#include "hashmap.h"
#include "log.h"
#include "parse-util.h"
#include "string-util.h"

#define SAMPLES_MAX (1U << 20)

/* Times of one kind. Beyond the bound the maximum alone is kept up. */
typedef struct Samples {
        usec_t *values;
        size_t n, n_allocated;
        uint64_t count;
        usec_t max;
} Samples;

struct SimStats {
        usec_t started; /* CLOCK_BOOTTIME */
        uint64_t decisions[_INSTRUCTION_DECISION_MAX], received, duplicates;
        uint64_t finished[_UPDATE_PHASE_MAX], verdicts[_UPDATE_VERDICT_MAX];
        uint64_t acknowledged, installing, sessions, reconnects, statuses, bytes, beats;
        Hashmap *begun; /* ids of instructions */
        Samples latency, gaps;
};

int sim_stats_new(SimStats **ret) {
        _cleanup_(sim_stats_freep) SimStats *s = new0(SimStats, 1);
        if (!s)
                return -ENOMEM;
        s->started = now(CLOCK_BOOTTIME);
        int r = hashmap_new(&s->begun, NULL);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

SimStats *sim_stats_free(SimStats *s) {
        if (!s)
                return NULL;
        hashmap_free(s->begun);
        free(s->latency.values);
        free(s->gaps.values);
        free(s);
        return NULL;
}

/* ---- counting ---- */

static void samples_add(Samples *s, usec_t value) {
        s->count++;
        s->max = MAX(s->max, value);
        if (s->n >= SAMPLES_MAX || ARRAY_GROW(s->values, s->n_allocated, s->n + 1) < 0)
                return;
        s->values[s->n++] = value;
}

void sim_stats_instruction(SimStats *s, const char *id, InstructionDecision decision) {
        s->received++;
        s->decisions[decision]++;
        if (decision != INSTRUCTION_ACCEPT)
                return;
        int r = hashmap_put(s->begun, id, s);
        if (r == -EEXIST)
                s->duplicates++;
        else if (r < 0)
                log_oom();
}

void sim_stats_finished(SimStats *s, UpdatePhase phase, UpdateVerdict verdict, usec_t latency) {
        s->finished[phase]++;
        s->verdicts[verdict]++;
        if (latency != USEC_INFINITY)
                samples_add(&s->latency, latency);
}

void sim_stats_acknowledged(SimStats *s) {
        s->acknowledged++;
}

void sim_stats_installing(SimStats *s) {
        s->installing++;
}

void sim_stats_session(SimStats *s, usec_t gap) {
        s->sessions++;
        if (gap == USEC_INFINITY)
                return;
        s->reconnects++;
        samples_add(&s->gaps, gap);
}

void sim_stats_status(SimStats *s) {
        s->statuses++;
}

void sim_stats_beat(SimStats *s) {
        s->beats++;
}

void sim_stats_bytes(SimStats *s, uint64_t bytes) {
        s->bytes += bytes;
}

uint64_t sim_stats_received(const SimStats *s) {
        return s->received;
}

uint64_t sim_stats_ended(const SimStats *s) {
        uint64_t n = 0;
        for (UpdatePhase p = 0; p < _UPDATE_PHASE_MAX; p++)
                n += s->finished[p];
        return n;
}

usec_t sim_stats_longest_gap(const SimStats *s) {
        return s->gaps.max;
}

/* ---- report ---- */

static int compare_times(const void *a, const void *b) {
        usec_t x = *(const usec_t *) a, y = *(const usec_t *) b;
        return x < y ? -1 : x > y;
}

static int add_milliseconds(json_t *o, const char *key, usec_t t) {
        return json_set_u64(o, key, t / USEC_PER_MSEC);
}

/* The value below which so many of a hundred lie. */
static usec_t percentile(const Samples *s, unsigned percent) {
        return s->n > 0 ? s->values[(s->n - 1) * percent / 100] : 0;
}

static int add_samples(json_t *report, const char *key, Samples *s) {
        static const struct {
                const char *key;
                unsigned percent;
        } rows[] = { { "p50", 50 }, { "p90", 90 }, { "p99", 99 } };
        json_t *o = json_object();

        int r = o ? json_set_u64(o, "count", s->count) : -ENOMEM;
        if (s->n > 0)
                qsort(s->values, s->n, sizeof(s->values[0]), compare_times);
        for (size_t i = 0; i < ELEMENTSOF(rows) && r >= 0; i++)
                r = add_milliseconds(o, rows[i].key, percentile(s, rows[i].percent));
        if (r >= 0)
                r = add_milliseconds(o, "max", s->max);
        if (r < 0) {
                json_decref(o);
                return r;
        }
        return json_set_take(report, key, o);
}

static int add_instructions(json_t *report, const SimStats *s) {
        static const char *const decisions[_INSTRUCTION_DECISION_MAX] = {
                [INSTRUCTION_ACCEPT] = "executed",          [INSTRUCTION_CONTINUE] = "repeated",
                [INSTRUCTION_FINISHED] = "finished_before", [INSTRUCTION_DONE] = "nothing_to_do",
                [INSTRUCTION_REFUSE] = "refused",           [INSTRUCTION_IGNORE] = "ignored",
        };
        json_t *o = json_object();

        int r = o ? json_set_u64(o, "received", s->received) : -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(decisions) && r >= 0; i++)
                r = json_set_u64(o, decisions[i], s->decisions[i]);
        if (r >= 0)
                r = json_set_u64(o, "duplicates_executed", s->duplicates);
        if (r >= 0)
                r = json_set_u64(o, "installed", s->installing);
        if (r < 0) {
                json_decref(o);
                return r;
        }
        return json_set_take(report, "instructions", o);
}

static int add_ends(json_t *report, const SimStats *s) {
        json_t *phases = json_object(), *verdicts = json_object();
        int r = phases && verdicts ? 0 : -ENOMEM;

        for (UpdatePhase p = UPDATE_PHASE_SUCCEEDED; p < _UPDATE_PHASE_MAX && r >= 0; p++)
                r = json_set_u64(phases, update_phase_to_string(p), s->finished[p]);
        for (UpdateVerdict v = UPDATE_VERDICT_NONE + 1; v < _UPDATE_VERDICT_MAX && r >= 0; v++)
                if (s->verdicts[v] > 0)
                        r = json_set_u64(verdicts, update_verdict_to_string(v), s->verdicts[v]);
        if (r >= 0)
                r = json_set_take(report, "finished", TAKE_PTR(phases));
        if (r >= 0)
                r = json_set_take(report, "verdicts", TAKE_PTR(verdicts));
        json_decref(phases);
        json_decref(verdicts);
        return r;
}

static int add_phases(json_t *report, const SimSnapshot *n) {
        json_t *o = json_object();
        int r = o ? json_set_u64(o, "idle", n->idle) : -ENOMEM;

        for (UpdatePhase p = UPDATE_PHASE_OFFERED; p < UPDATE_PHASE_SUCCEEDED && r >= 0; p++)
                r = json_set_u64(o, update_phase_to_string(p), n->phases[p]);
        if (r < 0) {
                json_decref(o);
                return r;
        }
        return json_set_take(report, "phases", o);
}

static uint64_t resident_kib(void) {
        _cleanup_free_ void *text = NULL;
        size_t size;

        if (file_read_at(AT_FDCWD, "/proc/self/status", KIB(16), &text, &size) < 0)
                return 0;
        const char *line = strstr(text, "\nVmRSS:");
        return line ? strtoull(line + strlen("\nVmRSS:"), NULL, 10) : 0;
}

static uint64_t open_descriptors(void) {
        _cleanup_strv_free_ char **names = NULL;
        return dir_list_at(AT_FDCWD, "/proc/self/fd", &names) < 0 ? 0 : strv_length(names) - 1;
}

static int add_process(json_t *report) {
        struct rusage usage = { 0 };
        json_t *o = json_object();

        (void) getrusage(RUSAGE_SELF, &usage);
#define MSEC(t) ((uint64_t) (t).tv_sec * 1000 + (uint64_t) (t).tv_usec / 1000)
        int r = o ? json_set_u64(o, "cpu_user_ms", MSEC(usage.ru_utime)) : -ENOMEM;
        if (r >= 0)
                r = json_set_u64(o, "cpu_system_ms", MSEC(usage.ru_stime));
#undef MSEC
        if (r >= 0)
                r = json_set_u64(o, "rss_kib", resident_kib());
        if (r >= 0)
                r = json_set_u64(o, "descriptors", open_descriptors());
        if (r < 0) {
                json_decref(o);
                return r;
        }
        return json_set_take(report, "process", o);
}

static int report_fill(SimStats *s, SimSnapshot *n, json_t *o) {
        const struct {
                const char *key;
                uint64_t value;
        } numbers[] = {
                { "agents", n->agents },
                { "started", n->started },
                { "enrolled", n->enrolled },
                { "online", n->online },
                { "absent", n->absent },
                { "lost", n->lost },
                { "statuses_sent", s->statuses },
                { "finals_acknowledged", s->acknowledged },
                { "finals_unacknowledged", n->unacknowledged },
                { "sessions", s->sessions },
                { "reconnects", s->reconnects },
                { "heartbeats_flooded", s->beats },
                { "bytes_downloaded", s->bytes + n->bytes },
                { "elapsed_ms", (now(CLOCK_BOOTTIME) - s->started) / USEC_PER_MSEC },
                { "longest_silence_ms", n->longest_silence / USEC_PER_MSEC },
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(numbers) && r >= 0; i++)
                r = json_set_u64(o, numbers[i].key, numbers[i].value);
        if (r >= 0)
                r = json_set_take(o, "versions", TAKE_PTR(n->versions));
        if (r >= 0)
                r = add_phases(o, n);
        if (r >= 0)
                r = add_instructions(o, s);
        if (r >= 0)
                r = add_ends(o, s);
        if (r >= 0)
                r = add_samples(o, "latency_ms", &s->latency);
        if (r >= 0)
                r = add_samples(o, "reconnect_ms", &s->gaps);
        if (r >= 0)
                r = add_process(o);
        return r;
}

int sim_stats_report(SimStats *s, SimSnapshot *n, json_t **ret) {
        json_t *o = json_object();
        int r = o ? report_fill(s, n, o) : -ENOMEM;
        if (r < 0) {
                json_decref(o);
                return r;
        }
        *ret = o;
        return 0;
}
