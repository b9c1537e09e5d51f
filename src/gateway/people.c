/* SPDX-License-Identifier: Apache-2.0 */
#include "people.h"

#include <stdio.h>

#include "setup-code.h"
#include "string-util.h"
#include "view.h"

const char *const people_dummy_hash =
                "$argon2id$v=19$m=65536,t=2,p=1$Jrw/wcsebuXVecJUqItKoA$"
                "Ks2Y/JgWBWODaGz0cK3EtrldoHepI7+FNhslS5fqUV4";

json_t *people_view(const UserRecord *u) {
        _cleanup_json_ json_t *o = json_object();
        int r;

        r = o ? json_set_string(o, "name", u->name) : -ENOMEM;
        if (r >= 0)
                r = json_set_string(o, "display_name", isempty(u->display_name) ? NULL : u->display_name);
        if (r >= 0)
                r = json_set_string(o, "role", api_role_to_string(u->role));
        if (r >= 0)
                r = json_set_bool(o, "disabled", u->disabled);
        if (r >= 0)
                r = view_set_time(o, "created", u->created);
        if (r >= 0)
                r = view_set_time(o, "updated", u->updated);
        if (r >= 0)
                r = view_set_time(o, "last_login", u->last_login);
        if (r >= 0)
                r = json_set_u64(o, "revision", u->revision);
        return r < 0 ? NULL : TAKE_PTR(o);
}

/* ---- the last admin ---- */

typedef struct AdminCount {
        const char *but;
        unsigned n;
} AdminCount;

static int count_admin(UserRecord *u, void *userdata) {
        AdminCount *c = userdata;

        if (u->role == API_ROLE_ADMIN && !u->disabled && !streq(u->name, c->but))
                c->n++;
        return 0;
}

int people_check_other_admin(ApiJob *a, Store *s, const char *name) {
        AdminCount c = { .but = name };
        int r;

        r = s->ops->users_each(s, count_admin, &c);
        if (r < 0 || c.n > 0)
                return MIN(r, 0);
        return api_job_refuse(
                        a, HTTP_PROBLEM_CONFLICT, NULL,
                        "\"%s\" is the last admin who can sign in; make another one first.", name);
}

/* ---- a new one ---- */

static int count_user(UserRecord *u, void *userdata) {
        (*(unsigned *) userdata)++;
        return 0;
}

static int check_new(ApiJob *a, Store *s, const char *name) {
        _cleanup_(user_record_done) UserRecord known = {};
        unsigned n = 0;
        int r;

        r = s->ops->user_get(s, name, &known);
        if (r >= 0)
                return api_job_refuse(
                                a, HTTP_PROBLEM_CONFLICT, "/name", "There is a user \"%s\" already.", name);
        if (r != -ENOENT)
                return r;
        r = s->ops->users_each(s, count_user, &n);
        if (r < 0)
                return r;
        if (n >= USERS_MAX)
                return api_job_refuse(a, HTTP_PROBLEM_CONFLICT, NULL, "There may be %u users.", USERS_MAX);
        return 0;
}

int people_create(ApiJob *a, Store *s, UserRecord *u) {
        json_t *detail;
        int r;

        r = check_new(a, s, u->name);
        if (r < 0)
                return r;
        u->created = u->updated = now(CLOCK_REALTIME);
        u->revision = 1;
        r = s->ops->user_put(s, u);
        if (r >= 0)
                r = setup_code_forget(s);
        if (r < 0)
                return r;
        detail = people_view(u);
        r = detail ? api_audit_on(a, s, "user.create", "user", u->name, 1, detail) : -ENOMEM;
        if (r < 0)
                return r;
        a->status = 201;
        api_etag_format(a->etag, u->created, u->revision);
        a->answer = people_view(u);
        return a->answer ? 0 : -ENOMEM;
}
