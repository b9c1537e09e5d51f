/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

Store *store_close(Store *s) {
        if (s)
                s->ops->close(s);
        return NULL;
}

StoreBackup *store_backup_end(StoreBackup *b) {
        return b ? b->end(b) : NULL;
}
