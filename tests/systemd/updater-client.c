/* SPDX-License-Identifier: Apache-2.0 */

/* Calls org.fleetagent.Updater1.Install with files of the caller's choice, good and bad ones: what a taken-over agent
 * could do. busctl cannot pass descriptors. Prints the transaction's path and ends with 0, or prints the name of the
 * D-Bus error and its message and ends with 1; 2 for a wrong command line or when there is no bus. */

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#include "alloc-util.h"
#include "bus-util.h"
#include "errno-util.h"
#include "fd-util.h"
#include "names.h"
#include "string-util.h"
#include "time-util.h"

#define FILES_MAX 64U
#define METADATA_MAX MIB(64)

typedef struct Offer {
        const char *version, *instruction;
        const char *metadata[FILES_MAX];                   /* NAME=FILE */
        const char *targets[FILES_MAX];                    /* PATH=FILE */
        size_t n_metadata, n_targets;
        uint64_t padding;                                  /* bytes of rubbish as one more metadata file */
        bool retry;
        bool write_only;                                   /* descriptors that cannot be read */
} Offer;

static int fail(int r, const char *what) {
        fprintf(stderr, "%s: %s\n", what, strerror(-r));
        return r;
}

/* "name=file" to both halves; the name is a copy. */
static int split(const char *pair, char **ret_name, const char **ret_file) {
        const char *equals = strchr(pair, '=');
        if (!equals)
                return fail(-EINVAL, pair);
        *ret_name = strndup(pair, (size_t) (equals - pair));
        *ret_file = equals + 1;
        return *ret_name ? 0 : -ENOMEM;
}

static int append_metadata(sd_bus_message *m, const char *pair) {
        _cleanup_free_ char *name = NULL;
        _cleanup_free_ void *data = NULL;
        _cleanup_close_ int fd = -EBADF;
        const char *file;
        size_t size;

        int r = split(pair, &name, &file);
        if (r < 0)
                return r;
        fd = open(file, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return fail(negative_errno(), file);
        r = fd_read_all(fd, METADATA_MAX, &data, &size);
        if (r < 0)
                return fail(r, file);
        r = sd_bus_message_open_container(m, 'r', "say");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', data, size);
        return r >= 0 ? sd_bus_message_close_container(m) : r;
}

static int append_padding(sd_bus_message *m, uint64_t size) {
        _cleanup_free_ char *data = malloc(size);
        if (!data)
                return -ENOMEM;
        memset(data, 'x', size);

        int r = sd_bus_message_open_container(m, 'r', "say");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "9.padding.json");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', data, size);
        return r >= 0 ? sd_bus_message_close_container(m) : r;
}

static int append_target(sd_bus_message *m, const char *pair, bool write_only) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -EBADF;
        const char *file;

        int r = split(pair, &path, &file);
        if (r < 0)
                return r;
        fd = open(file, (write_only ? O_WRONLY : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return fail(negative_errno(), file);
        return sd_bus_message_append(m, "(sh)", path, fd);
}

static int append_options(sd_bus_message *m, const Offer *o) {
        int r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0 && o->instruction)
                r = sd_bus_message_append(m, "{sv}", "instruction", "s", o->instruction);
        if (r >= 0 && o->retry)
                r = sd_bus_message_append(m, "{sv}", "retry", "b", 1);
        return r >= 0 ? sd_bus_message_close_container(m) : r;
}

static int fill(sd_bus_message *m, const Offer *o) {
        int r = sd_bus_message_append(m, "s", o->version);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(say)");
        for (size_t i = 0; r >= 0 && i < o->n_metadata; i++)
                r = append_metadata(m, o->metadata[i]);
        if (r >= 0 && o->padding > 0)
                r = append_padding(m, o->padding);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sh)");
        for (size_t i = 0; r >= 0 && i < o->n_targets; i++)
                r = append_target(m, o->targets[i], o->write_only);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r >= 0 ? append_options(m, o) : r;
}

static int install(const Offer *o) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *path;

        int r = sd_bus_open_system(&bus);
        if (r < 0)
                return fail(r, "cannot connect to the system bus");
        r = sd_bus_message_new_method_call(
                        bus, &m, FLEET_UPDATER_BUS_NAME, FLEET_UPDATER_BUS_PATH, FLEET_UPDATER_BUS_INTERFACE, "Install");
        if (r >= 0)
                r = fill(m, o);
        if (r < 0)
                return fail(r, "cannot build the message");
        r = sd_bus_call(bus, m, 60 * USEC_PER_SEC, &error, &reply);
        if (r < 0) {
                printf("%s %s\n", error.name ?: "errno", bus_error_text(&error, r));
                return 1;
        }
        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return fail(r, "cannot read the answer");
        printf("%s\n", path);
        return 0;
}

static int parse(int argc, char *argv[], Offer *o) {
        static const struct option options[] = {
                { "metadata", required_argument, NULL, 'm' },
                { "target", required_argument, NULL, 't' },
                { "instruction", required_argument, NULL, 'i' },
                { "retry", no_argument, NULL, 'r' },
                { "padding", required_argument, NULL, 'p' },
                { "write-only", no_argument, NULL, 'w' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 'm':
                        if (o->n_metadata >= FILES_MAX)
                                return -E2BIG;
                        o->metadata[o->n_metadata++] = optarg;
                        break;
                case 't':
                        if (o->n_targets >= FILES_MAX)
                                return -E2BIG;
                        o->targets[o->n_targets++] = optarg;
                        break;
                case 'i':
                        o->instruction = optarg;
                        break;
                case 'r':
                        o->retry = true;
                        break;
                case 'p':
                        o->padding = strtoull(optarg, NULL, 10);
                        break;
                case 'w':
                        o->write_only = true;
                        break;
                default:
                        return -EINVAL;
                }
        if (optind != argc - 1)
                return fail(-EINVAL, "one version is wanted");
        o->version = argv[optind];
        return 0;
}

int main(int argc, char *argv[]) {
        Offer o = {};

        int r = parse(argc, argv, &o);
        if (r >= 0)
                r = install(&o);
        return r < 0 ? 2 : r;
}
