/* SPDX-License-Identifier: Apache-2.0 */

#include "alloc-util.h"
#include "string-util.h"
#include "tuf-metadata-internal.h"

#define FILE_NAME_MAX 255U

static int read_file(TufFileInfo *f, json_t *object, char **reterr_message) {
        if (!json_is_object(object) || tuf_read_u64(object, "version", 1, TUF_VERSION_MAX, &f->version) < 0)
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message,
                                "the version of a file is no integer from 1 to 2^63-1");

        int r = tuf_read_u64(object, "length", 0, TUF_VERSION_MAX, &f->length);
        if (r < 0 && r != -ENOENT)
                return tuf_refuse(TUF_MALFORMED, reterr_message, "the length of a file is no integer");
        f->has_length = r >= 0;

        json_t *hashes = json_object_get(object, "hashes");
        if (hashes && tuf_read_hashes(hashes, &f->has_sha256, f->sha256, &f->has_sha512, f->sha512) < 0)
                return tuf_refuse(
                                TUF_MALFORMED, reterr_message,
                                "the hashes of a file hold no valid sha256 or sha512");
        return 0;
}

int tuf_metadata_read_files(TufMetadata *m, json_t *signed_, char **reterr_message) {
        const char *required = m->role == TUF_ROLE_TIMESTAMP ? "snapshot.json" : "targets.json";
        json_t *meta = json_object_get(signed_, "meta"), *object;
        const char *name;

        if (!json_is_object(meta) || !json_object_get(meta, required))
                return tuf_refuse(TUF_MALFORMED, reterr_message, "\"meta\" does not name %s", required);
        if (json_object_size(meta) > (m->role == TUF_ROLE_TIMESTAMP ? 1 : TUF_SNAPSHOT_ENTRIES_MAX))
                return tuf_refuse(TUF_MALFORMED, reterr_message, "\"meta\" names too many files");

        m->files = new0(TufFileInfo, json_object_size(meta));
        if (!m->files)
                return -ENOMEM;

        json_object_foreach(meta, name, object) {
                TufFileInfo *f = m->files + m->n_files;

                if (!string_is_safe(name, FILE_NAME_MAX))
                        return tuf_refuse(
                                        TUF_MALFORMED, reterr_message,
                                        "\"meta\" names a file in unprintable characters");
                f->name = strdup(name);
                if (!f->name)
                        return -ENOMEM;
                m->n_files++;
                int r = read_file(f, object, reterr_message);
                if (r != 0)
                        return r;
        }
        return 0;
}
