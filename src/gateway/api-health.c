/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"
#include "version.h"

static int view_check(json_t *o, bool *ok, const GatewayHealth *h, HealthCheck c) {
        bool good = gateway_health_is_ok(h, c);
        int r = 0;

        if (!good && *ok) /* the first one that fails gives its name to the whole */
                r = json_set_string(o, "status", health_check_status(c));
        *ok = *ok && good;
        return r;
}

static void health_reply(HttpExchange *x, const GatewayHealth *h, HealthCheck first, HealthCheck last) {
        json_t *o = json_object(), *list = json_object();
        bool ok = true;
        int r = o && list ? json_set_string(o, "status", "ok") : -ENOMEM;

        for (HealthCheck c = first; r >= 0 && c <= last; c++) {
                r = view_check(o, &ok, h, c);
                if (r >= 0)
                        r =
                                        json_set_string(list, health_check_to_string(c),
                                                        gateway_health_is_ok(h, c) ? "ok" : "failing");
        }
        if (r >= 0)
                r = json_set_string(o, "version", fleet_version);
        if (r >= 0)
                r = json_set_take(o, "checks", list);
        else
                json_decref(list);
        if (r < 0) {
                json_decref(o);
                o = NULL;
        }
        http_reply_json(x, ok ? 200 : 503, o);
}

/* That this is answered at all says that the loop runs. */
void api_healthz(HttpExchange *x, void *userdata) {
        Gateway *g = userdata;

        health_reply(x, g->health, HEALTH_CHECK_WORKER, HEALTH_CHECK_WORKER);
}

static void ready_answer(void *waiter) {
        HttpExchange *x = waiter;
        Gateway *g = http_exchange_get_context(x);

        health_reply(x, g->health, 0, _HEALTH_CHECK_MAX - 1);
}

/* "ok" is a promise that an agent's Hello could be stored. */
void api_readyz(HttpExchange *x, void *userdata) {
        Gateway *g = userdata;

        http_exchange_set_context(x, g);
        gateway_health_ask_ready(g->health, ready_answer, x);
}
