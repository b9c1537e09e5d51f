/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* For test programs alone: assertions that stay in every kind of build and say what failed. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "macro.h"

#define assert_se(expr)                                                                          \
        do {                                                                                     \
                if (!(expr)) {                                                                   \
                        fprintf(stderr, "%s:%d: '%s' failed.\n", __FILE__, __LINE__, #expr);      \
                        abort();                                                                 \
                }                                                                                \
        } while (false)

#define assert_ok(expr)                                                                          \
        do {                                                                                     \
                int _r_ = (expr);                                                                \
                if (_r_ < 0) {                                                                   \
                        fprintf(stderr, "%s:%d: '%s' failed: %s\n", __FILE__, __LINE__, #expr, strerror(-_r_)); \
                        abort();                                                                 \
                }                                                                                \
        } while (false)

#define assert_error(expr, error)                                                                \
        do {                                                                                     \
                int _r_ = (expr), _e_ = -(error);                                                \
                if (_r_ != _e_) {                                                                \
                        fprintf(stderr, "%s:%d: '%s' gave %d, expected %d (%s).\n", __FILE__, __LINE__, #expr, _r_, _e_, #error); \
                        abort();                                                                 \
                }                                                                                \
        } while (false)

#define assert_streq(a, b)                                                                       \
        do {                                                                                     \
                const char *_a_ = (a), *_b_ = (b);                                               \
                if (!_a_ || !_b_ || strcmp(_a_, _b_) != 0) {                                     \
                        fprintf(stderr, "%s:%d: \"%s\" is not \"%s\".\n", __FILE__, __LINE__, _a_ ?: "(null)", _b_ ?: "(null)"); \
                        abort();                                                                 \
                }                                                                                \
        } while (false)
