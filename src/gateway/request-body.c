/* SPDX-License-Identifier: Apache-2.0 */
#include "request-body.h"

#include <stdarg.h>
#include <stdio.h>

#include "string-util.h"
#include "version.h"

void request_error_done(RequestError *e) {
        free(e->detail);
        free(e->pointer_buffer);
        json_decref(e->members);
        *e = (RequestError){};
}

int request_error_below(RequestError *e, const char *prefix, int error) {
        char *pointer;

        if (error != -EINVAL || !e->detail)
                return error;
        pointer = strjoinf("%s%s", prefix, strempty(e->pointer));
        if (!pointer)
                return -ENOMEM;
        free(e->pointer_buffer);
        e->pointer = e->pointer_buffer = pointer;
        return error;
}

int request_refuse(RequestError *e, HttpProblem problem, const char *pointer, const char *format, ...) {
        char *detail = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&detail, format, ap);
        va_end(ap);
        if (r < 0)
                return -ENOMEM;
        *e = (RequestError){ .problem = problem, .pointer = pointer, .detail = detail };
        return -EINVAL;
}

int request_refuse_member(RequestError *e, const char *pointer, const char *what) {
        return request_refuse(e, HTTP_PROBLEM_BAD_REQUEST, pointer, "\"%s\" must be %s.", pointer + 1, what);
}

static int compare_versions(const void *a, const void *b) {
        return version_compare(*(char *const *) a, *(char *const *) b);
}

int request_refuse_version(RequestError *e, const char *version, char **known) {
        _cleanup_free_ char *list = NULL;

        if (strv_length(known) == 0)
                return request_refuse(
                                e, HTTP_PROBLEM_UNKNOWN_VERSION, "/version",
                                "Version %s is not in the registry, which is empty. Import a release first.", version);
        qsort(known, strv_length(known), sizeof(char *), compare_versions);
        list = strv_join(known, ", ");
        if (!list)
                return -ENOMEM;
        return request_refuse(
                        e, HTTP_PROBLEM_UNKNOWN_VERSION, "/version",
                        "Version %s is not in the registry. Known: %.512s. Import the release first.", version, list);
}

int request_check_members(json_t *body, const char *const *known, RequestError *e) {
        _cleanup_free_ char *list = NULL, *shown = NULL, *pointer = NULL;
        const char *key;
        json_t *value;
        int r;

        json_object_foreach(body, key, value) {
                if (strv_contains((char *const *) known, key))
                        continue;
                list = strv_join((char *const *) known, ", ");
                shown = string_escape(key);
                pointer = json_pointer_append("", key);
                if (!list || !shown || !pointer)
                        return -ENOMEM;
                r =
                                request_refuse(e, HTTP_PROBLEM_BAD_REQUEST, pointer,
                                               "There is no member \"%.64s\" here; known are: %s.", shown,
                                               isempty(list) ? "none" : list);
                if (r == -EINVAL)
                        e->pointer_buffer = TAKE_PTR(pointer);
                return r;
        }
        return 0;
}

int request_get_text(json_t *body, const char *pointer, size_t max, const char **ret, RequestError *e) {
        int r = json_get_string(body, pointer + 1, ret);

        if (r == -ENOENT)
                return 0;
        if (r < 0 || !string_is_safe(*ret, max))
                return request_refuse_member(
                                e, pointer, "a text without control characters, and not too long");
        return 0;
}

int request_get_number(
                json_t *body,
                const char *pointer,
                uint64_t low,
                uint64_t high,
                uint64_t *ret,
                bool *ret_present,
                RequestError *e) {
        uint64_t v;
        int r = json_get_u64(body, pointer + 1, &v);

        if (ret_present)
                *ret_present = r != -ENOENT;
        if (r == -ENOENT)
                return 0;
        if (r < 0 || v < low || v > high)
                return request_refuse(
                                e, HTTP_PROBLEM_BAD_REQUEST, pointer,
                                "\"%s\" must be an integer from %" PRIu64 " to %" PRIu64 ".", pointer + 1,
                                low, high);
        *ret = v;
        return 0;
}

int request_get_flag(json_t *body, const char *pointer, bool *ret, RequestError *e) {
        int r = json_get_bool(body, pointer + 1, ret);

        return r == -ENOENT || r >= 0 ? 0 : request_refuse_member(e, pointer, "true or false");
}
