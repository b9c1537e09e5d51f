/* SPDX-License-Identifier: Apache-2.0 */
#include "sim-machine.h"

#include <endian.h>
#include <stdio.h>

#include "alloc-util.h"
#include "hex.h"
#include "sim-draw.h"
#include "string-util.h"

#define KERNELS_EACH (SIM_MACHINE_KERNELS / SIM_MACHINE_SYSTEMS)

/* "%s" in a kernel's name stands for how this distribution calls the architecture. */
static const struct {
        const char *id, *version_id, *pretty_name;
        const char *arch, *other_arch;
        const char *kernels[KERNELS_EACH];
} systems[SIM_MACHINE_SYSTEMS] = {
        { "debian",
          "12",
          "Debian GNU/Linux 12 (bookworm)",
          "amd64",
          "arm64",
          { "6.1.0-31-%s", "6.1.0-28-%s" } },
        { "ubuntu",
          "22.04",
          "Ubuntu 22.04.5 LTS",
          "generic",
          "generic",
          { "5.15.0-130-%s", "5.15.0-127-%s" } },
        { "ubuntu", "24.04", "Ubuntu 24.04.1 LTS", "generic", "generic", { "6.8.0-51-%s", "6.8.0-49-%s" } },
        { "rhel",
          "9.5",
          "Red Hat Enterprise Linux 9.5 (Plow)",
          "x86_64",
          "aarch64",
          { "5.14.0-503.21.1.el9_5.%s", "5.14.0-503.14.1.el9_5.%s" } },
        { "rocky",
          "8.10",
          "Rocky Linux 8.10 (Green Obsidian)",
          "x86_64",
          "aarch64",
          { "4.18.0-553.36.1.el8_10.%s", "4.18.0-553.22.1.el8_10.%s" } },
        { "sles",
          "15.6",
          "SUSE Linux Enterprise Server 15 SP6",
          "default",
          "default",
          { "6.4.0-150600.23.33-%s", "6.4.0-150600.23.25-%s" } },
};
static const unsigned system_weights[SIM_MACHINE_SYSTEMS] = { 34, 20, 16, 14, 9, 7 };
static const unsigned kernel_weights[KERNELS_EACH] = { 7, 3 }; /* the newer one first */

static const char *const roles[] = { "web", "app", "db", "cache", "queue", "batch", "build", "edge" };
static const unsigned role_weights[ELEMENTSOF(roles)] = { 26, 30, 12, 8, 6, 8, 4, 6 };
static const char *const sites[] = { "fra1", "fra2", "ams1", "iad1", "sin1" };
static const unsigned site_weights[ELEMENTSOF(sites)] = { 30, 24, 20, 16, 10 };

/* Generations of units and bus policy: most machines have the package that was current for long. */
static const unsigned packaging_weights[] = { 0, 80, 20 };

#define DRAW(purpose) sim_draw(plan->seed, number, (purpose), NULL, 0)

static void draw_id(const SimPlan *plan, uint32_t number, const char *purpose, char ret[static 33]) {
        uint64_t parts[] = { htobe64(sim_draw(plan->seed, number, purpose, NULL, 0)),
                             htobe64(sim_draw(plan->seed, number, purpose, NULL, 1)) };
        hex_encode(parts, sizeof(parts), ret);
}

static char *kernel_name(size_t system, size_t kernel, bool other_arch) {
        const char *template = systems[system].kernels[kernel], *mark = strstr(template, "%s");
        const char *arch = other_arch ? systems[system].other_arch : systems[system].arch;
        return strjoinf("%.*s%s%s", (int) (mark - template), template, arch, mark + strlen("%s"));
}

static int draw_facts(AgentFacts *f, const SimPlan *plan, uint32_t number) {
        size_t system = sim_draw_weighted(DRAW("system"), system_weights, ELEMENTSOF(system_weights)),
               kernel = sim_draw_weighted(DRAW("kernel"), kernel_weights, ELEMENTSOF(kernel_weights)),
               role = sim_draw_weighted(DRAW("role"), role_weights, ELEMENTSOF(role_weights)),
               site = sim_draw_weighted(DRAW("site"), site_weights, ELEMENTSOF(site_weights));
        bool other_arch = sim_draw_share(DRAW("arch"), plan->other_arch);

        f->os.id = strdup(systems[system].id);
        f->os.version_id = strdup(systems[system].version_id);
        f->os.pretty_name = strdup(systems[system].pretty_name);
        f->kernel = kernel_name(system, kernel, other_arch);
        f->architecture = strdup(other_arch ? "aarch64" : "x86_64");
        f->hostname = strjoinf("%s-%05" PRIu32 ".%s.example.net", roles[role], number, sites[site]);
        f->packaging = (uint32_t) sim_draw_weighted(
                        DRAW("packaging"), packaging_weights, ELEMENTSOF(packaging_weights));
        draw_id(plan, number, "boot", f->boot_id);
        return f->os.id && f->os.version_id && f->os.pretty_name && f->kernel && f->architecture &&
                                               f->hostname ?
                               0 :
                               -ENOMEM;
}

int sim_machine_init(SimMachine *ret, const SimPlan *plan, uint32_t number) {
        SimMachine m = {
                .number = number,
                .pinned = sim_draw_share(DRAW("pinned"), plan->pinned),
                .slow = sim_draw_share(DRAW("slow"), plan->slow),
                .flapping = sim_draw_share(DRAW("flapping"), plan->flapping),
                .offline = sim_draw_share(DRAW("offline"), plan->offline),
        };

        draw_id(plan, number, "id", m.id);
        int r = draw_facts(&m.facts, plan, number);
        if (r < 0) {
                sim_machine_done(&m);
                return r;
        }
        memcpy(m.facts.machine_id, m.id, sizeof(m.id));
        *ret = m;
        return 0;
}

void sim_machine_done(SimMachine *m) {
        agent_facts_done(&m->facts);
        *m = (SimMachine){ 0 };
}

const char *sim_machine_fact(const SimMachine *m, const char *name) {
        const struct {
                const char *name, *value;
        } facts[] = {
                { "os", m->facts.os.id },          { "os_version", m->facts.os.version_id },
                { "kernel", m->facts.kernel },     { "arch", m->facts.architecture },
                { "hostname", m->facts.hostname },
        };
        for (size_t i = 0; i < ELEMENTSOF(facts); i++)
                if (streq(facts[i].name, name))
                        return strempty(facts[i].value);
        return NULL;
}

bool sim_machine_has_fact(const char *name) {
        return sim_machine_fact(&(SimMachine){ 0 }, name);
}
