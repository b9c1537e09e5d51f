/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc-util.h"
#include "api.h"
#include "log.h"
#include "registry-import.h"
#include "string-util.h"
#include "version.h"
#include "view-release.h"

/* ---- list ---- */

typedef struct ReleasesJob {
        ApiJob api;
        json_t **items;
        char **versions;
        size_t n, n_allocated, n_versions_allocated;
} ReleasesJob;

static void releases_free(ApiJob *a) {
        ReleasesJob *j = container_of(a, ReleasesJob, api);

        for (size_t i = 0; i < j->n; i++) {
                json_decref(j->items[i]);
                free(j->versions[i]);
        }
        free(j->items);
        free(j->versions);
        api_job_done(a);
        free(j);
}

static int take_release(ReleaseRecord *rel, void *userdata) {
        ReleasesJob *j = userdata;
        int r;

        r = ARRAY_GROW(j->items, j->n_allocated, j->n + 1);
        if (r >= 0)
                r = ARRAY_GROW(j->versions, j->n_versions_allocated, j->n + 1);
        if (r < 0)
                return r;
        j->items[j->n] = view_release(rel);
        j->versions[j->n] = TAKE_PTR(rel->version);
        if (!j->items[j->n++])
                return -ENOMEM;
        return json_set_take(j->items[j->n - 1], "artifacts", json_array());
}

static int take_artifact(ArtifactRecord *a, void *userdata) {
        ReleasesJob *j = userdata;
        json_t *v;

        for (size_t i = 0; i < j->n; i++)
                if (streq(j->versions[i], a->version)) {
                        v = view_artifact(a);
                        return v && json_array_append_new(json_object_get(j->items[i], "artifacts"), v) >=
                                                                               0 ?
                                               0 :
                                               -ENOMEM;
                }
        return 0;
}

static int take_failures(const char *version, UpdatePhase phase, uint64_t agents, void *userdata) {
        ReleasesJob *j = userdata;

        for (size_t i = 0; i < j->n; i++)
                if (streq(j->versions[i], version))
                        return view_release_add_failures(j->items[i], phase, agents);
        return 0;
}

static int add_metadata(json_t *answer, const RegistryMetadata *m, const TufTrustedSet *set) {
        json_t *o;

        if (m->timestamp == 0)
                return 0;
        o = view_metadata(m, set);
        return o ? json_set_take(answer, "metadata", o) : -ENOMEM;
}

/* Newest version first; few enough to sort by hand. */
static int append_sorted(ReleasesJob *j, json_t *list) {
        for (size_t done = 0; done < j->n; done++) {
                size_t best = SIZE_MAX;

                for (size_t i = 0; i < j->n; i++)
                        if (j->items[i] &&
                            (best == SIZE_MAX || version_compare(j->versions[i], j->versions[best]) > 0))
                                best = i;
                if (json_array_append_new(list, TAKE_PTR(j->items[best])) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int releases_run(ApiJob *a, Store *s) {
        ReleasesJob *j = container_of(a, ReleasesJob, api);
        _cleanup_(tuf_trusted_set_freep) TufTrustedSet *set = NULL;
        RegistryMetadata metadata;
        json_t *list;
        int r;

        r = s->ops->releases_each(s, take_release, j);
        if (r >= 0)
                r = s->ops->artifacts_each(s, take_artifact, j);
        if (r >= 0)
                r = s->ops->release_failures_each(s, take_failures, j);
        if (r < 0)
                return r;
        list = json_array();
        a->answer = json_object();
        if (!list || !a->answer) {
                json_decref(list);
                return -ENOMEM;
        }
        r = json_set_take(a->answer, "releases", list);
        if (r >= 0)
                r = append_sorted(j, list);
        if (r >= 0)
                r = registry_load(a->gateway->registry, &set, &metadata);
        return r < 0 ? r : add_metadata(a->answer, &metadata, set);
}

void api_releases_list(HttpExchange *x, void *userdata) {
        ReleasesJob *j = new0(ReleasesJob, 1);

        if (!j) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return;
        }
        j->api.run = releases_run;
        j->api.free = releases_free;
        api_submit(&j->api, userdata, x);
}

/* ---- imports ---- */

static void reply_oom(HttpExchange *x) {
        http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
}

static bool body_is_empty(HttpExchange *x) {
        static const char *const known[] = { NULL };
        _cleanup_json_ json_t *body = NULL;
        RequestError error = {};
        int r;

        if (http_exchange_json(x, &body) < 0)
                return false;
        r = request_check_members(body, known, &error);
        if (r < 0)
                api_reply_request_error(x, r, &error);
        return r >= 0;
}

static Import *find_import(HttpExchange *x, Gateway *g) {
        Import *m = imports_get(g->imports, http_exchange_argument(x, 0));

        if (!m)
                http_reply_problem(
                                x, HTTP_PROBLEM_NOT_FOUND, NULL,
                                "There is no such import; it may have been dropped. Begin another.");
        return m;
}

void api_imports_create(HttpExchange *x, void *userdata) {
        Gateway *g = userdata;
        const char *id;
        json_t *o;
        int r;

        if (!body_is_empty(x))
                return;
        r = imports_begin(g->imports, &id);
        if (r == -ENOBUFS) {
                http_reply_problem(
                                x, HTTP_PROBLEM_TOO_MANY, NULL, "%u imports are open; finish or delete one.",
                                IMPORTS_MAX);
                return;
        }
        if (r < 0) {
                (void) log_error_errno(r, "Failed to begin an import: %m");
                http_reply_problem(
                                x, HTTP_PROBLEM_INTERNAL, NULL,
                                "The import cannot be stored; see the gateway's journal.");
                return;
        }
        o = json_object();
        if (!o || json_set_string(o, "id", id) < 0 ||
            json_set_u64(o, "max_metadata_bytes", IMPORT_METADATA_MAX) < 0 ||
            json_set_u64(o, "max_target_bytes", g->conf.target_size_max) < 0) {
                json_decref(o);
                reply_oom(x);
                return;
        }
        http_reply_json(x, 201, o);
}

static void reply_upload_error(HttpExchange *x, int error) {
        switch (error) {
        case -EINVAL:
                http_reply_problem(
                                x, HTTP_PROBLEM_BAD_REQUEST, NULL,
                                "A repository has metadata/NAME and targets/DIRECTORIES/NAME.");
                break;
        case -EFBIG:
                http_reply_problem(
                                x, HTTP_PROBLEM_TOO_LARGE, NULL,
                                "The file is larger than it may be (TargetSizeMax= for targets).");
                break;
        case -E2BIG:
                http_reply_problem(
                                x, HTTP_PROBLEM_TOO_LARGE, NULL, "An import may have %u files.",
                                IMPORT_FILES_MAX);
                break;
        case -EBUSY:
                http_reply_problem(x, HTTP_PROBLEM_CONFLICT, NULL, "The import is being committed.");
                break;
        case -EMSGSIZE:
                http_reply_problem(
                                x, HTTP_PROBLEM_BAD_REQUEST, NULL,
                                "The body was shorter than its Content-Length.");
                break;
        default:
                (void) log_error_errno(error, "Failed to store an uploaded file: %m");
                http_reply_problem(
                                x, HTTP_PROBLEM_OVERLOADED, NULL,
                                errno_is_disk_space(error) ? "The gateway's disk is full." :
                                                             "The file cannot be stored.");
        }
}

int api_imports_put_begin(HttpExchange *x, uint64_t length, void *userdata) {
        const char *path[HTTP_SEGMENTS_MAX];
        ImportUpload *u;
        size_t n = 0;
        Import *m;
        int r;

        m = find_import(x, userdata);
        if (!m)
                return -ENOENT;
        while (n < ELEMENTSOF(path) &&
               (path[n] = http_exchange_argument(x, n + 2))) /* after the id and "files" */
                n++;
        r = import_upload_new(m, path, n, length, &u);
        if (r < 0) {
                reply_upload_error(x, r);
                return r;
        }
        http_exchange_set_context(x, u);
        return 0;
}

int api_imports_put_data(HttpExchange *x, const void *data, size_t size, void *userdata) {
        int r = import_upload_write(http_exchange_get_context(x), data, size);

        if (r < 0)
                reply_upload_error(x, r);
        return r;
}

void api_imports_put(HttpExchange *x, void *userdata) {
        ImportUpload *u = http_exchange_get_context(x);
        json_t *o;
        int r;

        r = import_upload_finish(u);
        if (r < 0) {
                reply_upload_error(x, r);
                return;
        }
        o = json_object();
        if (!o || json_set_string(o, "path", import_upload_path(u)) < 0 ||
            json_set_u64(o, "length", import_upload_length(u)) < 0) {
                json_decref(o);
                reply_oom(x);
                return;
        }
        http_reply_json(x, 201, o);
}

void api_imports_put_end(HttpExchange *x, void *userdata) {
        import_upload_free(http_exchange_get_context(x));
}

static void on_import_result(const ImportResult *result, void *userdata) {
        HttpExchange *x = userdata;
        json_t *o = NULL, *imported, *releases;
        int r;

        if (result->refusal) {
                http_reply_problem(x, HTTP_PROBLEM_IMPORT_REFUSED, NULL, "%s", result->refusal);
                return;
        }
        if (errno_is_disk_space(result->error)) {
                http_reply_problem(x, HTTP_PROBLEM_OVERLOADED, NULL, "The gateway's disk is full.");
                return;
        }
        if (result->error < 0) {
                http_reply_problem(
                                x, HTTP_PROBLEM_INTERNAL, NULL,
                                "The import failed; see the gateway's journal.");
                return;
        }
        o = json_object();
        imported = view_texts(result->imported);
        releases = view_texts(result->releases);
        r = o && imported && releases ? 0 : -ENOMEM;
        if (r >= 0)
                r = json_set_take(o, "imported", TAKE_PTR(imported));
        if (r >= 0)
                r = json_set_take(o, "releases", TAKE_PTR(releases));
        if (r >= 0)
                r = add_metadata(o, &result->metadata, NULL);
        json_decref(imported);
        json_decref(releases);
        if (r < 0) {
                json_decref(o);
                reply_oom(x);
                return;
        }
        http_reply_json(x, 200, o);
}

void api_imports_commit(HttpExchange *x, void *userdata) {
        _cleanup_(audit_actor_done) AuditActor actor = {};
        Import *m;
        int r;

        if (!body_is_empty(x))
                return;
        m = find_import(x, userdata);
        if (!m)
                return;
        r = api_actor(x, &actor);
        if (r >= 0)
                r = import_commit(m, &actor, on_import_result, x);
        if (r == -EBUSY)
                http_reply_problem(
                                x, HTTP_PROBLEM_CONFLICT, NULL,
                                "An import is being committed, or a file is still being sent.");
        else if (r < 0)
                http_reply_problem(
                                x, HTTP_PROBLEM_OVERLOADED, NULL,
                                "Too much is waiting for the store; try again soon.");
}

void api_imports_delete(HttpExchange *x, void *userdata) {
        Import *m = find_import(x, userdata);

        if (!m)
                return;
        if (import_drop(m) < 0)
                http_reply_problem(
                                x, HTTP_PROBLEM_CONFLICT, NULL,
                                "The import is being committed, or a file is still being sent.");
        else
                http_reply_data(x, 204, NULL, NULL, 0);
}
