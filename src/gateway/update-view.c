/* SPDX-License-Identifier: Apache-2.0 */
#include "update-view.h"

#include "view.h"

typedef struct Steps {
        json_t *list, *last;
        usec_t entered; /* the last */
} Steps;

/* Most steps are shorter than a second. */
static int step_end(Steps *t, usec_t end) {
        return t->last ? json_set_u64(t->last, "took_ms", usec_sub(end, t->entered) / USEC_PER_MSEC) : 0;
}

static int step_take(UpdatePhase phase, usec_t entered, void *userdata) {
        json_t *o = json_object();
        Steps *t = userdata;
        int r;

        if (!o || json_array_append_new(t->list, o) < 0)
                return -ENOMEM;
        r = step_end(t, entered);
        t->last = o;
        t->entered = entered;
        if (r >= 0)
                r = json_set_string(o, "phase", update_phase_to_string(phase));
        return r < 0 ? r : view_set_time(o, "entered", entered);
}

int update_view(Store *s, const InstructionRecord *i, json_t **ret) {
        _cleanup_json_ json_t *o = view_instruction(i);
        Steps steps = { .list = json_array() };
        int r;

        r = o && steps.list ? json_set_take(o, "phases", steps.list) : -ENOMEM;
        if (!o)
                json_decref(steps.list);
        if (r >= 0)
                r = s->ops->instruction_phases_each(s, i->number, step_take, &steps);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(o);
        return 0;
}

static int duration_take(UpdatePhase phase, usec_t median, uint64_t n, void *userdata) {
        json_t *o = json_object();
        int r;

        if (!o || json_array_append_new(userdata, o) < 0)
                return -ENOMEM;
        r = json_set_string(o, "phase", update_phase_to_string(phase));
        if (r >= 0)
                r = json_set_u64(o, "median_ms", median / USEC_PER_MSEC);
        return r < 0 ? r : json_set_u64(o, "count", n);
}

int update_durations_view(Store *s, json_t **ret) {
        _cleanup_json_ json_t *o = json_object();
        json_t *list = json_array();
        usec_t whole;
        int r;

        r = o && list ? json_set_take(o, "phases", list) : -ENOMEM;
        if (!o)
                json_decref(list);
        if (r >= 0)
                r = s->ops->instruction_phase_medians(s, duration_take, list);
        if (r < 0)
                return r;
        r = s->ops->instructions_duration(s, &whole);
        if (r >= 0)
                r = json_set_u64(o, "median_ms", whole / USEC_PER_MSEC);
        if (r < 0 && r != -ENOENT)
                return r;
        *ret = TAKE_PTR(o);
        return 0;
}
