/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "alloc-util.h"
#include "string-util.h"

#define INTEGER_MAX 1e15 /* up to here all are written without an exponent */

typedef struct Series {
        uint16_t values[METRIC_LABELS_MAX]; /* which of the label's values */
        double value;                       /* of a histogram: the sum */
        uint64_t count;
        uint64_t *buckets; /* each for itself; the last one is +Inf */
} Series;

typedef struct Family {
        const MetricSpec *spec;
        size_t n_labels, n_bounds;
        char **known[METRIC_LABELS_MAX]; /* values of each label */
        size_t n_known[METRIC_LABELS_MAX];
        Series *series;
        size_t n_series, n_allocated;
} Family;

struct Metrics {
        Family *families;
        size_t n;
};

static void family_empty(Family *f) {
        for (size_t i = 0; i < f->n_series; i++)
                free(f->series[i].buckets);
        for (size_t i = 0; i < f->n_labels; i++) {
                f->known[i] = strv_free(f->known[i]);
                f->n_known[i] = 0;
        }
        f->n_series = 0;
}

/* ---- finding ---- */

static int family_value(Family *f, size_t label, const char *value, uint16_t *ret) {
        size_t max = f->spec->values_max ?: METRIC_VALUES_MAX;
        int r;

        value = strempty(value);
        for (;;) {
                for (size_t i = 0; i < f->n_known[label]; i++)
                        if (streq(f->known[label][i], value)) {
                                *ret = (uint16_t) i;
                                return 0;
                        }
                /* one place beyond the bound is kept for the rest */
                if (f->n_known[label] < max || streq(value, METRIC_OTHER))
                        break;
                value = METRIC_OTHER;
        }
        r = strv_extend(&f->known[label], value);
        if (r < 0)
                return r;
        *ret = (uint16_t) f->n_known[label]++;
        return 0;
}

static Series *family_series(Family *f, const char *const labels[static METRIC_LABELS_MAX]) {
        Series new = {};

        for (size_t i = 0; i < f->n_labels; i++)
                if (family_value(f, i, labels[i], &new.values[i]) < 0)
                        return NULL;
        for (size_t i = 0; i < f->n_series; i++)
                if (memcmp(f->series[i].values, new.values, sizeof(new.values)) == 0)
                        return &f->series[i];
        if (f->spec->kind == METRIC_HISTOGRAM) {
                new.buckets = new0(uint64_t, f->n_bounds + 1);
                if (!new.buckets)
                        return NULL;
        }
        if (ARRAY_GROW(f->series, f->n_allocated, f->n_series + 1) < 0) {
                free(new.buckets);
                return NULL;
        }
        f->series[f->n_series] = new;
        return &f->series[f->n_series++];
}

/* ---- counting ---- */

void metric_add_at(
                Metrics *m, size_t which, double value, const char *const labels[static METRIC_LABELS_MAX]) {
        Series *s;

        assert(which < m->n && m->families[which].spec->kind != METRIC_HISTOGRAM);
        assert(value >= 0 || m->families[which].spec->kind != METRIC_COUNTER);
        s = family_series(&m->families[which], labels);
        if (s)
                s->value += value;
}

void metric_set_at(
                Metrics *m, size_t which, double value, const char *const labels[static METRIC_LABELS_MAX]) {
        Series *s;

        assert(which < m->n && m->families[which].spec->kind != METRIC_HISTOGRAM);
        s = family_series(&m->families[which], labels);
        if (s)
                s->value = value;
}

void metric_observe_at(
                Metrics *m, size_t which, double value, const char *const labels[static METRIC_LABELS_MAX]) {
        Family *f = &m->families[which];
        size_t i = 0;
        Series *s;

        assert(which < m->n && f->spec->kind == METRIC_HISTOGRAM);
        s = family_series(f, labels);
        if (!s)
                return;
        while (i < f->n_bounds && value > f->spec->bounds[i])
                i++;
        s->buckets[i]++;
        s->count++;
        s->value += value;
}

void metric_reset(Metrics *m, size_t which) {
        assert(which < m->n);
        family_empty(&m->families[which]);
}

/* ---- numbers ---- */

static bool reads_back(const char *text, double v) {
        double back = strtod(text, NULL);

        return !(back < v) && !(back > v);
}

const char *metric_number_format(double v, char buf[static METRIC_NUMBER_MAX]) {
        if (isnan(v))
                return strcpy(buf, "NaN");
        if (isinf(v))
                return strcpy(buf, v > 0 ? "+Inf" : "-Inf");
        if (v > -INTEGER_MAX && v < INTEGER_MAX && !(v < (double) (int64_t) v) &&
            !(v > (double) (int64_t) v)) {
                (void) snprintf(buf, METRIC_NUMBER_MAX, "%" PRIi64, (int64_t) v);
                return buf;
        }
        /* with 17 digits every number reads back; 15 are enough for what was written with as many */
        for (int digits = 15; digits <= 17; digits++) {
                (void) snprintf(buf, METRIC_NUMBER_MAX, "%.*g", digits, v);
                if (reads_back(buf, v))
                        break;
        }
        return buf;
}

/* ---- text ---- */

typedef struct Text {
        char *data;
        size_t size, allocated;
        int error;
        MetricFormat format;
} Text;

static void text_append(Text *t, const char *data, size_t size) {
        if (t->error >= 0)
                t->error = ARRAY_GROW(t->data, t->allocated, t->size + size + 1);
        if (t->error < 0)
                return;
        memcpy(t->data + t->size, data, size);
        t->size += size;
        t->data[t->size] = '\0';
}

static void text_put(Text *t, const char *s) {
        text_append(t, s, strlen(s));
}

static void text_put_number(Text *t, double v) {
        char buf[METRIC_NUMBER_MAX];

        text_put(t, metric_number_format(v, buf));
}

static void text_put_count(Text *t, uint64_t n) {
        char buf[24];

        (void) snprintf(buf, sizeof(buf), "%" PRIu64, n);
        text_put(t, buf);
}

static void text_put_escaped(Text *t, const char *s, bool quotes) {
        for (; *s; s++)
                if (*s == '\n')
                        text_put(t, "\\n");
                else {
                        if (*s == '\\' || (*s == '"' && quotes))
                                text_put(t, "\\");
                        text_append(t, s, 1);
                }
}

static const char *kind_suffix(MetricKind k) {
        return k == METRIC_COUNTER ? "_total" : k == METRIC_INFO ? "_info" : "";
}

static void text_put_comment(Text *t, const char *what, const MetricSpec *s, const char *text) {
        text_put(t, "# ");
        text_put(t, what);
        text_put(t, " ");
        text_put(t, s->name);
        /* a family has its own name in OpenMetrics, and that of its samples in the older format */
        if (t->format == METRIC_FORMAT_TEXT)
                text_put(t, kind_suffix(s->kind));
        text_put(t, " ");
        text_put_escaped(t, text, /* quotes= */ t->format == METRIC_FORMAT_OPENMETRICS);
        text_put(t, "\n");
}

static void text_put_head(Text *t, const MetricSpec *s) {
        static const char *const types[] = {
                [METRIC_COUNTER] = "counter",
                [METRIC_GAUGE] = "gauge",
                [METRIC_HISTOGRAM] = "histogram",
                [METRIC_INFO] = "info",
        };
        bool newer = t->format == METRIC_FORMAT_OPENMETRICS;

        text_put_comment(t, "HELP", s, s->help);
        text_put_comment(t, "TYPE", s, types[s->kind == METRIC_INFO && !newer ? METRIC_GAUGE : s->kind]);
        if (s->unit && newer)
                text_put_comment(t, "UNIT", s, s->unit);
}

/* "name_suffix{label="value",le="bound"} "; le may be NULL. */
static void text_put_name(Text *t, const Family *f, const Series *s, const char *suffix, const char *le) {
        const char *separator = "{";

        text_put(t, f->spec->name);
        text_put(t, suffix);
        for (size_t i = 0; i < f->n_labels; i++) {
                text_put(t, separator);
                text_put(t, f->spec->labels[i]);
                text_put(t, "=\"");
                text_put_escaped(t, f->known[i][s->values[i]], /* quotes= */ true);
                text_put(t, "\"");
                separator = ",";
        }
        if (le) {
                text_put(t, separator);
                text_put(t, "le=\"");
                text_put(t, le);
                text_put(t, "\"");
                separator = ",";
        }
        text_put(t, *separator == ',' ? "} " : " ");
}

/* A bound is text to whoever stores it: always with a point, as OpenMetrics wants it, in both formats, so
 * that it stays the same series when another format is agreed upon. */
static void bound_format(double v, char buf[static METRIC_NUMBER_MAX]) {
        (void) metric_number_format(v, buf);
        if (!strpbrk(buf, ".eIN"))
                strcat(buf, ".0");
}

static void text_put_histogram(Text *t, const Family *f, const Series *s) {
        char le[METRIC_NUMBER_MAX];
        uint64_t n = 0;

        for (size_t i = 0; i <= f->n_bounds; i++) {
                n += s->buckets[i];
                bound_format(i < f->n_bounds ? f->spec->bounds[i] : (double) INFINITY, le);
                text_put_name(t, f, s, "_bucket", le);
                text_put_count(t, n);
                text_put(t, "\n");
        }
        text_put_name(t, f, s, "_sum", NULL);
        text_put_number(t, s->value);
        text_put(t, "\n");
        text_put_name(t, f, s, "_count", NULL);
        text_put_count(t, s->count);
        text_put(t, "\n");
}

const char *metric_format_content_type(MetricFormat f) {
        return f == METRIC_FORMAT_OPENMETRICS ?
                               "application/openmetrics-text; version=1.0.0; charset=utf-8" :
                               "text/plain; version=0.0.4; charset=utf-8";
}

int metrics_format(const Metrics *m, MetricFormat format, char **ret, size_t *ret_size) {
        Text t = { .format = format };

        for (size_t i = 0; i < m->n; i++) {
                const Family *f = &m->families[i];

                text_put_head(&t, f->spec);
                for (size_t k = 0; k < f->n_series; k++) {
                        const Series *s = &f->series[k];

                        if (f->spec->kind == METRIC_HISTOGRAM) {
                                text_put_histogram(&t, f, s);
                                continue;
                        }
                        text_put_name(&t, f, s, kind_suffix(f->spec->kind), NULL);
                        text_put_number(&t, s->value);
                        text_put(&t, "\n");
                }
        }
        if (format == METRIC_FORMAT_OPENMETRICS)
                text_put(&t, "# EOF\n");
        else
                text_put(&t, ""); /* never NULL */
        if (t.error < 0) {
                free(t.data);
                return t.error;
        }
        *ret = t.data;
        *ret_size = t.size;
        return 0;
}

/* ---- life ---- */

int metrics_new(Metrics **ret, const MetricSpec *specs, size_t n) {
        _cleanup_(metrics_freep) Metrics *m = new0(Metrics, 1);

        if (!m)
                return -ENOMEM;
        m->families = new0(Family, n);
        if (!m->families)
                return -ENOMEM;
        m->n = n;
        for (size_t i = 0; i < n; i++) {
                Family *f = &m->families[i];

                f->spec = &specs[i];
                while (f->n_labels < METRIC_LABELS_MAX && specs[i].labels[f->n_labels])
                        f->n_labels++;
                while (specs[i].bounds && specs[i].bounds[f->n_bounds] > 0)
                        f->n_bounds++;
                if (f->n_labels == 0 && !family_series(f, METRIC_LABELS(NULL)))
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(m);
        return 0;
}

Metrics *metrics_free(Metrics *m) {
        if (!m)
                return NULL;
        for (size_t i = 0; m->families && i < m->n; i++) {
                family_empty(&m->families[i]);
                free(m->families[i].series);
        }
        free(m->families);
        free(m);
        return NULL;
}
