/* SPDX-License-Identifier: Apache-2.0 */
#include "store-sqlite.h"

int sqlite_release_put(Store *s, const ReleaseRecord *rel) {
        _cleanup_query_ Query q = {}, d = {};
        int r;

        query_begin(&q, s,
                    "INSERT INTO releases (version, product, imported, floor, requires, severity, "
                    "requires_packaging) "
                    "VALUES (?,?,?,?,?,?,?) ON CONFLICT (version) DO UPDATE SET product = excluded.product, "
                    "imported = excluded.imported, floor = excluded.floor, requires = excluded.requires, "
                    "severity = excluded.severity, requires_packaging = excluded.requires_packaging");
        query_text(&q, rel->version);
        query_text(&q, rel->product);
        query_u64(&q, rel->imported);
        query_text(&q, rel->floor);
        query_text(&q, rel->requires);
        query_text(&q, rel->severity);
        query_u64(&q, rel->requires_packaging);
        r = query_run(&q);
        if (r < 0)
                return r;

        query_begin(&d, s, "DELETE FROM artifacts WHERE version = ?");
        query_text(&d, rel->version);
        r = query_run(&d);
        return r < 0 ? r : 0;
}

int sqlite_release_delete(Store *s, const char *version) {
        _cleanup_query_ Query q = {};

        query_begin(&q, s, "DELETE FROM releases WHERE version = ?");
        query_text(&q, version);
        return query_run_one(&q);
}

int sqlite_releases_each(Store *s, store_release_t callback, void *userdata) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "SELECT version, product, imported, floor, requires, severity, requires_packaging FROM "
                    "releases "
                    "ORDER BY version");
        while ((r = query_row(&q)) > 0) {
                _cleanup_(release_record_done) ReleaseRecord rel = {};

                query_get_text(&q, &rel.version);
                query_get_text(&q, &rel.product);
                rel.imported = query_get_u64(&q);
                query_get_text(&q, &rel.floor);
                query_get_text(&q, &rel.requires);
                query_get_text(&q, &rel.severity);
                rel.requires_packaging = query_get_u64(&q);
                r = query_read(&q);
                if (r >= 0)
                        r = callback(&rel, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

int sqlite_artifact_put(Store *s, const ArtifactRecord *a) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "INSERT INTO artifacts (path, version, arch, os, length, sha256) VALUES (?,?,?,?,?,?)");
        query_text(&q, a->path);
        query_text(&q, a->version);
        query_text(&q, a->arch);
        query_text(&q, a->os);
        query_u64(&q, a->length);
        query_text(&q, a->sha256);
        r = query_run(&q);
        return r < 0 ? r : 0;
}

int sqlite_release_failures_each(Store *s, store_release_failures_t callback, void *userdata) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "SELECT update_version, update_phase, count(*) FROM agents INDEXED BY agents_by_update "
                    "WHERE update_phase IN ('failed', 'rolled-back', 'timed-out') GROUP BY 1, 2");
        while ((r = query_row(&q)) > 0) {
                _cleanup_free_ char *version = NULL, *name = NULL;
                UpdatePhase phase;
                uint64_t n;

                query_get_text(&q, &version);
                query_get_text(&q, &name);
                n = query_get_u64(&q);
                r = query_read(&q);
                if (r < 0)
                        return r;
                phase = update_phase_from_string(name);
                r = phase < 0 ? -EUCLEAN : callback(version, phase, n, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}

int sqlite_artifacts_each(Store *s, store_artifact_t callback, void *userdata) {
        _cleanup_query_ Query q = {};
        int r;

        query_begin(&q, s,
                    "SELECT path, version, arch, os, length, sha256 FROM artifacts ORDER BY version, path");
        while ((r = query_row(&q)) > 0) {
                _cleanup_(artifact_record_done) ArtifactRecord a = {};

                query_get_text(&q, &a.path);
                query_get_text(&q, &a.version);
                query_get_text(&q, &a.arch);
                query_get_text(&q, &a.os);
                a.length = query_get_u64(&q);
                query_get_text(&q, &a.sha256);
                r = query_read(&q);
                if (r >= 0)
                        r = callback(&a, userdata);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return r;
}
