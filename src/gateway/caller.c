/* SPDX-License-Identifier: Apache-2.0 */
#include "caller.h"

#include "string-util.h"

void api_caller_done(ApiCaller *c) {
        free(c->id);
        free(c->user);
        free(c->title);
        *c = (ApiCaller){};
}

int api_caller_name(const ApiCaller *c, char **ret) {
        switch (c->kind) {
        case CALLER_TOKEN:
                *ret = strjoinf("token:%s", c->id);
                break;
        case CALLER_USER:
                *ret = strjoinf("user:%s", c->user);
                break;
        case CALLER_NOBODY:
                *ret = strdup("anonymous");
                break;
        }
        return *ret ? 0 : -ENOMEM;
}

int api_caller_identity(const ApiCaller *c, char **ret) {
        if (c->kind != CALLER_USER)
                return api_caller_name(c, ret);
        *ret = strjoinf("user:%s/%" PRIx64, c->user, c->user_created);
        return *ret ? 0 : -ENOMEM;
}

int api_caller_owner(const ApiCaller *c, char **ret) {
        if (!c->user)
                return api_caller_name(c, ret);
        *ret = strjoinf("user:%s", c->user);
        return *ret ? 0 : -ENOMEM;
}
