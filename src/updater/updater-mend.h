/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What settle, rollback and recover have in common, and serve at its start: look at the situation, do what
 * updater_decide() says, look again, until there is nothing to do. The caller holds the lock, or has found out that
 * whoever holds it is not to be waited for. */

#include "updater-decide.h"
#include "updater.h"

/* 0 when everything is in order at the end; negative: what could not be done, logged. */
int updater_mend(Updater *u, UpdaterVerb verb);

/* Links, record and so on as they are now; *ret points into *links and *t, which are the caller's. */
int updater_look(Updater *u, UpdaterVerb verb, Links *links, Transaction **ret_transaction, char boot_id[static TRANSACTION_ID_MAX],
                 Situation *ret);
