/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Intrusive doubly linked list: LIST_FIELDS(Type, name) in the item, LIST_HEAD(Type, name) in the owner. */

#include "macro.h"

#define LIST_FIELDS(type, name) type *name##_next, *name##_prev
#define LIST_HEAD(type, name) type *name

#define LIST_PREPEND(name, head, item)                         \
        do {                                                   \
                typeof(*(head)) **_head_ = &(head), *_i_ = (item); \
                _i_->name##_prev = NULL;                       \
                _i_->name##_next = *_head_;                    \
                if (*_head_)                                   \
                        (*_head_)->name##_prev = _i_;          \
                *_head_ = _i_;                                 \
        } while (false)

#define LIST_APPEND(name, head, item)                          \
        do {                                                   \
                typeof(*(head)) **_head_ = &(head), *_i_ = (item), *_t_ = *_head_; \
                while (_t_ && _t_->name##_next)                \
                        _t_ = _t_->name##_next;                \
                _i_->name##_next = NULL;                       \
                _i_->name##_prev = _t_;                        \
                if (_t_)                                       \
                        _t_->name##_next = _i_;                \
                else                                           \
                        *_head_ = _i_;                         \
        } while (false)

#define LIST_REMOVE(name, head, item)                          \
        do {                                                   \
                typeof(*(head)) **_head_ = &(head), *_i_ = (item); \
                if (_i_->name##_next)                          \
                        _i_->name##_next->name##_prev = _i_->name##_prev; \
                if (_i_->name##_prev)                          \
                        _i_->name##_prev->name##_next = _i_->name##_next; \
                else if (*_head_ == _i_)                       \
                        *_head_ = _i_->name##_next;            \
                _i_->name##_next = _i_->name##_prev = NULL;    \
        } while (false)

#define LIST_FOREACH(name, i, head) for (typeof(*(head)) *i = (head); i; i = i->name##_next)
/* The current item may be removed or freed. */
#define LIST_FOREACH_SAFE(name, i, head)                       \
        for (typeof(*(head)) *i = (head), *_next_##i = i ? i->name##_next : NULL; i; \
             i = _next_##i, _next_##i = i ? i->name##_next : NULL)
