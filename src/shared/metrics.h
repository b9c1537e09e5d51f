/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Numbers for Prometheus: counters, gauges, histograms and one-valued facts, told apart by a few labels, and
 * their text in the formats 0.0.4 and OpenMetrics 1.0. Which families there are is a table that is fixed at
 * the start. Owned by whoever made it; one thread. Nothing here fails: what cannot be counted for lack of
 * memory is left out.
 *
 * Bounded: a label keeps METRIC_VALUES_MAX values (or as many as its table says), what comes later is
 * counted under "other". Values that are chosen by strangers, and whatever names one machine, do not belong
 * into labels all the same. */

#include "macro.h"

#define METRIC_LABELS_MAX 3U
#define METRIC_VALUES_MAX 32U
#define METRIC_OTHER "other"

typedef struct Metrics Metrics;

typedef enum MetricKind {
        METRIC_COUNTER,
        METRIC_GAUGE,
        METRIC_HISTOGRAM,
        METRIC_INFO, /* a gauge that is always 1: its labels are what it says */
} MetricKind;

typedef struct MetricSpec {
        MetricKind kind;
        const char *name; /* without "_total" and "_info", which the formats add */
        const char *unit; /* "seconds": the name must end with it; NULL: none */
        const char *help;
        const char *labels[METRIC_LABELS_MAX]; /* in order; NULL: no more */
        unsigned values_max;                   /* of each label; 0: METRIC_VALUES_MAX */
        const double *bounds;                  /* of a histogram: rising, without +Inf; ends with 0 */
} MetricSpec;

/* The table must stay; a family is named by its index. A family without labels is there with 0 at once. */
int metrics_new(Metrics **ret, const MetricSpec *specs, size_t n);
Metrics *metrics_free(Metrics *m);
DEFINE_POINTER_CLEANUP(Metrics, metrics_free);

/* Values of labels follow in the order of the table; they are copied. */
#define METRIC_LABELS(...) ((const char *const[METRIC_LABELS_MAX]){ __VA_ARGS__ })
#define metric_add(m, which, value, ...) metric_add_at((m), (which), (value), METRIC_LABELS(__VA_ARGS__))
#define metric_set(m, which, value, ...) metric_set_at((m), (which), (value), METRIC_LABELS(__VA_ARGS__))
#define metric_observe(m, which, value, ...)                                                                \
        metric_observe_at((m), (which), (value), METRIC_LABELS(__VA_ARGS__))

/* Counters and gauges; a counter is never given less than nothing. With 0 it only says that there is such a
 * thing, so that the first one that is counted shows as an increase. */
void metric_add_at(
                Metrics *m, size_t which, double value, const char *const labels[static METRIC_LABELS_MAX]);
/* Gauges, and counters that somebody else keeps. */
void metric_set_at(
                Metrics *m, size_t which, double value, const char *const labels[static METRIC_LABELS_MAX]);
/* Histograms: one more of this size. */
void metric_observe_at(
                Metrics *m, size_t which, double value, const char *const labels[static METRIC_LABELS_MAX]);
/* Forgets all values of a family, and of its labels: for gauges that are gathered anew each time. */
void metric_reset(Metrics *m, size_t which);

typedef enum MetricFormat {
        METRIC_FORMAT_TEXT, /* 0.0.4 */
        METRIC_FORMAT_OPENMETRICS,
} MetricFormat;

const char *metric_format_content_type(MetricFormat f);
/* All families in the order of the table. *ret is NUL-terminated. -ENOMEM. */
int metrics_format(const Metrics *m, MetricFormat f, char **ret, size_t *ret_size);

/* Text that reads back as the same number, short where it can be; "+Inf", "-Inf", "NaN". */
#define METRIC_NUMBER_MAX 32U
const char *metric_number_format(double v, char buf[static METRIC_NUMBER_MAX]);
