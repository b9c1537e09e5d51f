/* SPDX-License-Identifier: Apache-2.0 */
#include "desired-change.h"

#include "string-util.h"
#include "view.h"

int desired_change(
                StoreJob *j,
                Store *s,
                const DesiredChange *change,
                usec_t now,
                DesiredRecord *d,
                char **ret_before) {
        _cleanup_free_ char *before = NULL;
        int r;

        r = s->ops->desired_find(s, change->kind, change->target, d);
        if (r < 0 && r != -ENOENT)
                return r;
        if (r >= 0 && !change->retry && streq(d->version, change->version))
                return 0;
        if (r == -ENOENT) {
                d->kind = change->kind;
                d->created = now;
                r = free_and_strdup(&d->target, change->target);
                if (r < 0)
                        return r;
        }
        d->generation++;
        d->retry = change->retry;
        d->updated = now;
        before = TAKE_PTR(d->version);
        r = free_and_strdup(&d->version, change->version);
        if (r >= 0)
                r = free_and_strdup(&d->actor, change->actor);
        if (r >= 0)
                r = s->ops->desired_put(s, d);
        if (r >= 0)
                r = store_job_emit(
                                j, s, "desired", change->kind == DESIRED_KIND_AGENT ? change->target : NULL,
                                view_event_text(view_desired(d)), /* progress= */ false, now);
        if (r < 0)
                return r;
        if (ret_before)
                *ret_before = TAKE_PTR(before);
        return 1;
}

static json_t *view_deleted(uint64_t id) {
        json_t *o = json_object();

        if (o && (json_set_u64(o, "id", id) < 0 || json_set_bool(o, "deleted", true) < 0)) {
                json_decref(o);
                return NULL;
        }
        return o;
}

int desired_drop(StoreJob *j, Store *s, const DesiredRecord *d, usec_t now) {
        int r;

        r = s->ops->desired_delete(s, d->id);
        return r < 0 ? r :
                       store_job_emit(j, s, "desired", d->kind == DESIRED_KIND_AGENT ? d->target : NULL,
                                      view_event_text(view_deleted(d->id)), /* progress= */ false, now);
}

int desired_forget(StoreJob *j, Store *s, DesiredKind kind, const char *target, usec_t now) {
        _cleanup_(desired_record_done) DesiredRecord d = {};
        int r;

        r = s->ops->desired_find(s, kind, target, &d);
        if (r == -ENOENT)
                return 0;
        if (r >= 0)
                r = desired_drop(j, s, &d, now);
        return r < 0 ? r : 1;
}
