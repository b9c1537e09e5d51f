/* SPDX-License-Identifier: Apache-2.0 */
#include "people-request.h"

#include <strings.h>

#include "crypto.h"
#include "string-util.h"

#define DESCRIPTION_MAX 256U

static int copy_text(char **to, const char *from) {
        *to = strdup(strempty(from));
        return *to ? 0 : -ENOMEM;
}

static void wipe_text(char *s) {
        if (s)
                secret_free(s, strlen(s));
}

/* ---- API tokens ---- */

static int get_scopes(json_t *body, ApiScopes *ret, RequestError *e) {
        json_t *list = json_object_get(body, "scopes"), *item;
        ApiScopes scopes = 0;
        size_t i;

        *ret = API_SCOPES_ALL;
        if (!list)
                return 0;
        if (!json_is_array(list) || json_array_size(list) == 0)
                return request_refuse_member(
                                e, "/scopes",
                                "a list with at least one area; leave it out for all that the role allows");
        json_array_foreach(list, i, item) {
                ApiArea a = api_area_from_string(json_string_value(item));

                if (a < 0)
                        return request_refuse_member(
                                        e, "/scopes",
                                        "a list of areas: agents, rollouts, releases, enrolment, tokens, users, "
                                        "audit, events");
                scopes |= API_SCOPE(a);
        }
        *ret = scopes;
        return 0;
}

static int get_role(json_t *body, bool *ret_present, ApiRole *ret, RequestError *e) {
        const char *role = NULL;
        int r;

        r = request_get_text(body, "/role", 32, &role, e);
        *ret_present = role;
        if (r < 0 || !role)
                return r;
        *ret = api_role_from_string(role);
        return *ret < 0 ? request_refuse_member(e, "/role", "viewer, operator or admin") : 0;
}

int api_token_request_parse(json_t *body, ApiTokenRequest *ret, RequestError *e) {
        static const char *const known[] = { "role", "scopes", "expires_in_sec", "description", NULL };
        const char *description = NULL;
        bool has_role;
        int r;

        ret->expires_in_sec = API_TOKEN_LIFE_DEFAULT / USEC_PER_SEC;
        r = request_check_members(body, known, e);
        if (r >= 0)
                r = get_role(body, &has_role, &ret->role, e);
        if (r >= 0 && !has_role)
                r = request_refuse_member(e, "/role", "viewer, operator or admin");
        if (r >= 0)
                r = get_scopes(body, &ret->scopes, e);
        if (r >= 0)
                r = request_get_number(
                                body, "/expires_in_sec", 0, API_TOKEN_LIFE_MAX / USEC_PER_SEC,
                                &ret->expires_in_sec, NULL, e);
        if (r >= 0 && ret->expires_in_sec > 0 && ret->expires_in_sec < 60)
                r = request_refuse_member(e, "/expires_in_sec", "60 or more, or 0 for never");
        if (r >= 0)
                r = request_get_text(body, "/description", DESCRIPTION_MAX, &description, e);
        return r < 0 ? r : copy_text(&ret->description, description);
}

void api_token_request_done(ApiTokenRequest *r) {
        free(r->description);
        *r = (ApiTokenRequest){};
}

/* ---- passwords ---- */

/* A copy; what stood in the body is gone after it. */
static int take_secret(json_t *body, const char *pointer, char **ret, RequestError *e) {
        json_t *v = json_object_get(body, pointer + 1);
        const char *text = json_string_value(v);

        if (!text)
                return request_refuse_member(e, pointer, "a text");
        *ret = strdup(text);
        memory_wipe((char *) text, json_string_length(v));
        return *ret ? 0 : -ENOMEM;
}

static int judge_password(const char *pointer, const char *password, const char *name, RequestError *e) {
        size_t n = strlen(password);

        if (n < PASSWORD_MIN)
                return request_refuse(
                                e, HTTP_PROBLEM_BAD_REQUEST, pointer,
                                "A password must have at least %u bytes; this one has %zu. Several words do "
                                "well.",
                                PASSWORD_MIN, n);
        if (n > PASSWORD_MAX)
                return request_refuse(
                                e, HTTP_PROBLEM_BAD_REQUEST, pointer,
                                "A password may have %u bytes; this one has %zu.", PASSWORD_MAX, n);
        if (name && strcasecmp(password, name) == 0)
                return request_refuse(
                                e, HTTP_PROBLEM_BAD_REQUEST, pointer,
                                "The password must not be the user's name.");
        return 0;
}

static int
take_new_password(json_t *body, const char *pointer, const char *name, char **ret, RequestError *e) {
        int r;

        r = take_secret(body, pointer, ret, e);
        return r < 0 ? r : judge_password(pointer, *ret, name, e);
}

int password_request_parse(json_t *body, const char *name, PasswordRequest *ret, RequestError *e) {
        static const char *const known[] = { "password", NULL };
        int r;

        r = request_check_members(body, known, e);
        return r < 0 ? r : take_new_password(body, "/password", name, &ret->password, e);
}

int own_password_request_parse(json_t *body, const char *name, PasswordRequest *ret, RequestError *e) {
        static const char *const known[] = { "old", "new", NULL };
        int r;

        r = request_check_members(body, known, e);
        if (r >= 0)
                r = take_secret(body, "/old", &ret->old, e);
        if (r >= 0)
                r = take_new_password(body, "/new", name, &ret->password, e);
        if (r >= 0 && streq(ret->old, ret->password))
                r =
                                request_refuse(e, HTTP_PROBLEM_BAD_REQUEST, "/new",
                                               "The new password must not be the old one.");
        return r;
}

int login_request_parse(json_t *body, PasswordRequest *ret, RequestError *e) {
        static const char *const known[] = { "name", "password", NULL };
        const char *name = NULL;
        int r;

        r = request_check_members(body, known, e);
        if (r >= 0)
                r = request_get_text(body, "/name", 256, &name, e);
        if (r >= 0 && !name)
                r = request_refuse_member(e, "/name", "the user's name");
        if (r >= 0)
                r = take_secret(body, "/password", &ret->password, e);
        if (r >= 0 && strlen(ret->password) > PASSWORD_MAX)
                r =
                                request_refuse(e, HTTP_PROBLEM_BAD_REQUEST, "/password",
                                               "A password has at most %u bytes.", PASSWORD_MAX);
        return r < 0 ? r : copy_text(&ret->name, name);
}

static int take_name(json_t *body, char **ret, RequestError *e) {
        const char *name = NULL;
        int r;

        r = request_get_text(body, "/name", 256, &name, e);
        if (r < 0)
                return r;
        if (!name || !user_name_is_valid(name))
                return request_refuse_member(
                                e, "/name",
                                "a name: a small letter, then at most 31 of small letters, digits, '.', "
                                "'_' and '-'");
        return copy_text(ret, name);
}

int setup_request_parse(json_t *body, PasswordRequest *ret, RequestError *e) {
        static const char *const known[] = { "code", "name", "password", NULL };
        int r;

        r = request_check_members(body, known, e);
        if (r >= 0)
                r = take_secret(body, "/code", &ret->code, e);
        if (r >= 0 && strlen(ret->code) > 64)
                r = request_refuse_member(e, "/code", "the code that the gateway wrote");
        if (r >= 0)
                r = take_name(body, &ret->name, e);
        return r < 0 ? r : take_new_password(body, "/password", ret->name, &ret->password, e);
}

void password_request_done(PasswordRequest *r) {
        free(r->name);
        wipe_text(r->code);
        wipe_text(r->old);
        wipe_text(r->password);
        *r = (PasswordRequest){};
}

/* ---- users ---- */

static int user_members(json_t *body, UserRequest *ret, RequestError *e) {
        const char *display_name = NULL;
        int r;

        r = get_role(body, &ret->has_role, &ret->role, e);
        if (r >= 0)
                r = request_get_text(body, "/display_name", DISPLAY_NAME_MAX, &display_name, e);
        if (r >= 0)
                r = request_get_flag(body, "/disabled", &ret->disabled, e);
        ret->has_disabled = json_object_get(body, "disabled");
        return r < 0 || !display_name ? r : copy_text(&ret->display_name, display_name);
}

int user_request_parse(json_t *body, UserRequest *ret, RequestError *e) {
        static const char *const known[] = { "name", "password", "role", "display_name", "disabled", NULL };
        int r;

        r = request_check_members(body, known, e);
        if (r >= 0)
                r = take_name(body, &ret->name, e);
        if (r >= 0)
                r = user_members(body, ret, e);
        if (r >= 0 && !ret->has_role)
                r = request_refuse_member(e, "/role", "viewer, operator or admin");
        return r < 0 ? r : take_new_password(body, "/password", ret->name, &ret->password, e);
}

int user_change_parse(json_t *body, UserRequest *ret, RequestError *e) {
        static const char *const known[] = { "role", "display_name", "disabled", NULL };
        int r;

        r = request_check_members(body, known, e);
        if (r >= 0)
                r = user_members(body, ret, e);
        if (r >= 0 && json_object_size(body) == 0)
                r = request_refuse(
                                e, HTTP_PROBLEM_BAD_REQUEST, "",
                                "Nothing is to be changed: name \"role\", \"display_name\" or "
                                "\"disabled\".");
        return r;
}

void user_request_done(UserRequest *r) {
        free(r->name);
        free(r->display_name);
        wipe_text(r->password);
        *r = (UserRequest){};
}
