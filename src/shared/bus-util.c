/* SPDX-License-Identifier: Apache-2.0 */

#include "bus-util.h"

#include <string.h>

#include "alloc-util.h"
#include "event-util.h"
#include "log.h"
#include "string-util.h"

#define PROPERTIES_MAX 32U

const char *bus_error_text(const sd_bus_error *e, int r) {
        if (e && sd_bus_error_is_set(e) && !isempty(e->message))
                return e->message;
        return strerror(r < 0 ? -r : r);
}

struct BusChanges {
        sd_bus *bus;
        char *path, *interface;
        const char *properties[PROPERTIES_MAX + 1]; /* NULL-terminated */
        size_t n_properties;
        sd_event_source *defer_source;
};

int bus_changes_new(BusChanges **ret, sd_bus *bus, const char *path, const char *interface) {
        _cleanup_(bus_changes_freep) BusChanges *c = new0(BusChanges, 1);
        if (!c)
                return -ENOMEM;

        c->bus = sd_bus_ref(bus);
        c->path = strdup(path);
        c->interface = strdup(interface);
        if (!c->path || !c->interface)
                return -ENOMEM;
        *ret = TAKE_PTR(c);
        return 0;
}

BusChanges *bus_changes_free(BusChanges *c) {
        if (!c)
                return NULL;
        sd_event_source_disable_unref(c->defer_source);
        sd_bus_unref(c->bus);
        free(c->path);
        free(c->interface);
        free(c);
        return NULL;
}

void bus_changes_flush(BusChanges *c) {
        if (c->n_properties == 0)
                return;

        c->properties[c->n_properties] = NULL;
        c->n_properties = 0;
        int r = sd_bus_emit_properties_changed_strv(c->bus, c->path, c->interface, (char **) c->properties);
        if (r < 0)
                log_debug_errno(r, "Failed to announce changed properties, ignoring: %m");
}

static int on_defer(sd_event_source *source, void *userdata) {
        bus_changes_flush(userdata);
        return 0;
}

int bus_changes_add(BusChanges *c, const char *property) {
        for (size_t i = 0; i < c->n_properties; i++)
                if (streq(c->properties[i], property))
                        return 0;
        if (c->n_properties >= PROPERTIES_MAX)
                return -E2BIG;
        c->properties[c->n_properties++] = property;

        sd_event *e = sd_bus_get_event(c->bus);
        if (!e) {
                bus_changes_flush(c);
                return 0;
        }
        return event_defer_once(e, &c->defer_source, on_defer, c, "bus-properties-changed");
}
