/* SPDX-License-Identifier: Apache-2.0 */

/* An updater that passes its self-test and then does not answer on the bus: such a release must not be committed. */

#include "string-util.h"
#include "updater.h"

int main(int argc, char *argv[]) {
        if (argc > 1 && streq(argv[1], "serve"))
                return 1;
        return updater_run(argc, argv);
}
