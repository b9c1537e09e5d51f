/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reads the arguments of an Install and of a Rollback call. Everything is capped and checked for its form before it is used;
 * what it means is for updater-install to judge. */

#include "updater-install.h"

/* Strings and descriptors stay the message's; *ret_metadata is the caller's, and ret->metadata points to it.
 * On failure *reterr_why is a static sentence for whoever called. */
int install_request_read(
                sd_bus_message *m, InstallRequest *ret, TufBytes **ret_metadata, const char **reterr_why);
/* Strings stay the message's; nobody has said yet whether it is remote. */
int rollback_request_read(sd_bus_message *m, RollbackRequest *ret, const char **reterr_why);
