/* SPDX-License-Identifier: Apache-2.0 */

#include "updater.h"

int main(int argc, char *argv[]) {
        return updater_run(argc, argv);
}
