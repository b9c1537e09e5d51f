/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Cleanup attributes, ownership transfer and small arithmetic. Everything includes this. */

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _noreturn_ __attribute__((noreturn))
#define _unused_ __attribute__((unused))
#define _sentinel_ __attribute__((sentinel))
#define _warn_unused_result_ __attribute__((warn_unused_result))
#define _hidden_ __attribute__((visibility("hidden")))

/* Hands over the value and leaves the variable empty, so that its cleanup does nothing. */
#define TAKE_GENERIC(var, type, nullvalue)   \
        ({                                   \
                type *_pp_ = &(var);         \
                type _p_ = *_pp_;            \
                *_pp_ = (nullvalue);         \
                _p_;                         \
        })
#define TAKE_PTR(ptr) TAKE_GENERIC(ptr, typeof(ptr), NULL)
#define TAKE_FD(fd) TAKE_GENERIC(fd, int, -EBADF)

/* _cleanup_(x_freep) from a destructor that accepts NULL. */
#define DEFINE_POINTER_CLEANUP(type, func)            \
        static inline void func##p(type **p) {        \
                if (*p)                               \
                        (void) func(*p);              \
        }                                             \
        struct __useless_struct_to_allow_trailing_semicolon__

static inline void freep(void *p) {
        free(*(void **) p);
}
#define _cleanup_free_ _cleanup_(freep)

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))
#define CONST_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Names made unique by a counter, so that the macros nest without shadowing. */
#define CONCATENATE_INNER(a, b) a##b
#define CONCATENATE(a, b) CONCATENATE_INNER(a, b)

#define MAX(a, b) MAX_UNIQUE(__COUNTER__, a, b)
#define MAX_UNIQUE(n, a, b)                                                         \
        ({                                                                          \
                const typeof(a) CONCATENATE(_a_, n) = (a);                          \
                const typeof(b) CONCATENATE(_b_, n) = (b);                          \
                CONCATENATE(_a_, n) > CONCATENATE(_b_, n) ? CONCATENATE(_a_, n) : CONCATENATE(_b_, n); \
        })
#define MIN(a, b) MIN_UNIQUE(__COUNTER__, a, b)
#define MIN_UNIQUE(n, a, b)                                                         \
        ({                                                                          \
                const typeof(a) CONCATENATE(_a_, n) = (a);                          \
                const typeof(b) CONCATENATE(_b_, n) = (b);                          \
                CONCATENATE(_a_, n) < CONCATENATE(_b_, n) ? CONCATENATE(_a_, n) : CONCATENATE(_b_, n); \
        })
#define CLAMP(x, low, high) MIN(MAX(x, low), high)

/* IN_SET(x, A, B, C): the first argument is evaluated once. */
#define IN_SET(x, first, ...)                                                       \
        ({                                                                          \
                const typeof(x) _x_ = (x);                                          \
                const typeof(x) _set_[] = { first, ##__VA_ARGS__ };                 \
                bool _found_ = false;                                               \
                for (size_t _i_ = 0; _i_ < ELEMENTSOF(_set_) && !_found_; _i_++)    \
                        _found_ = _set_[_i_] == _x_;                                \
                _found_;                                                            \
        })

#define container_of(ptr, type, member)                              \
        ({                                                           \
                const typeof(((type *) 0)->member) *_m_ = (ptr);     \
                (type *) ((char *) _m_ - offsetof(type, member));    \
        })

#define STRINGIFY_INNER(x) #x
#define STRINGIFY(x) STRINGIFY_INNER(x)

#define KIB(n) ((uint64_t) (n) << 10)
#define MIB(n) ((uint64_t) (n) << 20)
#define GIB(n) ((uint64_t) (n) << 30)

static inline bool size_add_overflow(size_t a, size_t b, size_t *ret) {
        return __builtin_add_overflow(a, b, ret);
}
