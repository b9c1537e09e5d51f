/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Members of a request's body, each of the right type and within its range, or refused with a pointer to it
 * and a sentence. -EINVAL: refused, see the error; -ENOMEM. */

#include "http.h"
#include "json.h"

typedef struct RequestError {
        HttpProblem problem;
        const char *pointer;                 /* static, or the buffer; NULL: the whole body */
        char *pointer_buffer;
        char *detail;
        json_t *members; /* of the problem besides; NULL: none */
} RequestError;
void request_error_done(RequestError *e);
/* What was refused lies below this member of the body. error: as it was returned; returned again, or -ENOMEM. */
int request_error_below(RequestError *e, const char *prefix, int error);

int request_refuse(RequestError *e, HttpProblem problem, const char *pointer, const char *format, ...)
                _printf_(4, 5);
/* "member" must be ... */
int request_refuse_member(RequestError *e, const char *pointer, const char *what);

/* A version that is none of the known ones, which are put in order. */
int request_refuse_version(RequestError *e, const char *version, char **known);

/* Members that nobody would look at are a mistake of the caller, who must hear of it. known: NULL-terminated. */
int request_check_members(json_t *body, const char *const *known, RequestError *e);

/* Absent members leave *ret alone. */
int request_get_text(json_t *body, const char *pointer, size_t max, const char **ret, RequestError *e);
int request_get_number(
                json_t *body,
                const char *pointer,
                uint64_t low,
                uint64_t high,
                uint64_t *ret,
                bool *ret_present, /* may be NULL */
                RequestError *e);
int request_get_flag(json_t *body, const char *pointer, bool *ret, RequestError *e);
