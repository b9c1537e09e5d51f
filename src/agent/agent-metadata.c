/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-metadata.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "alloc-util.h"
#include "event-util.h"
#include "log.h"
#include "messages.h"
#include "state-file.h"
#include "string-util.h"
#include "version.h"

#define STORE_DIR "tuf"
#define REFRESHED_FILE "metadata-refreshed" /* beside the store: when the last refresh succeeded */
#define RETRY_MIN USEC_PER_MINUTE

typedef struct Waiter {
        agent_metadata_on_done_t on_done;
        void *userdata;
} Waiter;

struct AgentMetadata {
        AgentMetadataOptions o;
        char *default_url;
        char *ca_pem;
        TufStore *store; /* open while something is fetched */
        TufFetch *fetch;
        char *url; /* being fetched */
        Waiter waiters[AGENT_METADATA_WAITERS_MAX];
        size_t n_waiters;

        usec_t refreshed, expires;
        bool expiry_told;
        bool started;
        unsigned failures;
        sd_event_source *refresh_source, *expiry_source;
};

static int metadata_start_fetch(AgentMetadata *m, const char *repository_url, bool own);

/* ---- expiry ---- */

static int on_expiry_timer(sd_event_source *source, uint64_t usec, void *userdata);

/* The machine's clock may be moved, so the timer is short and looks again. */
static void metadata_watch_expiry(AgentMetadata *m) {
        usec_t left = usec_sub(m->expires, now(CLOCK_REALTIME));

        if (m->expires == 0)
                return;
        if (left > 0)
                m->expiry_told = false;
        else if (!m->expiry_told) {
                m->expiry_told = true;
                char when[RFC3339_MAX];
                log_event(LOG_WARNING, FLEET_MESSAGE_METADATA_EXPIRED_STR,
                          "MESSAGE=The signed metadata expired at %s: no updates until fresh metadata can "
                          "be fetched. The agent goes on.",
                          rfc3339_format(m->expires, when), NULL);
        }
        (void) event_timer_arm(
                        m->o.event, &m->expiry_source,
                        left > 0 ? MIN(left + USEC_PER_SEC, USEC_PER_HOUR) : USEC_PER_HOUR, on_expiry_timer,
                        m, "metadata-expiry");
}

static int on_expiry_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        AgentMetadata *m = userdata;
        metadata_watch_expiry(m);
        m->o.on_change(m->o.userdata);
        return 0;
}

/* ---- periodic ---- */

static int on_refresh_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        AgentMetadata *m = userdata;
        if (!m->fetch && m->default_url) {
                int r = metadata_start_fetch(m, m->default_url, true);
                if (r < 0)
                        log_debug_errno(r, "Cannot start refreshing the metadata, trying later: %m");
        }
        return 0;
}

static void metadata_plan(AgentMetadata *m) {
        if (!m->started)
                return;
        /* jittered, so that a fleet that was started at once does not ask at once for ever */
        usec_t pause = m->failures == 0 ? m->o.refresh_interval / 2 +
                                                          random_u64() % (m->o.refresh_interval / 2 + 1) :
                                          RETRY_MIN + backoff_full_jitter(
                                                                      RETRY_MIN, m->o.refresh_interval,
                                                                      m->failures, random_u64());
        (void) event_timer_arm(
                        m->o.event, &m->refresh_source, pause, on_refresh_timer, m, "metadata-refresh");
}

static void metadata_save_refreshed(AgentMetadata *m) {
        _cleanup_(state_file_freep) StateFile *s = NULL;
        int r = state_file_new(&s);
        if (r >= 0)
                r = state_file_set_u64(s, "refreshed_usec", m->refreshed);
        if (r >= 0)
                r = state_file_save_at(s, m->o.state_fd, REFRESHED_FILE, 0600);
        if (r < 0) /* only the age shown after a restart depends on it */
                log_debug_errno(r, "Cannot note when the metadata was refreshed, ignoring: %m");
}

/* ---- fetching ---- */

static void metadata_done(
                AgentMetadata *m,
                int error,
                TufOutcome outcome,
                const char *message,
                const TufMetadata *targets) {
        Waiter waiters[AGENT_METADATA_WAITERS_MAX];
        size_t n = m->n_waiters;

        memcpy(waiters, m->waiters, sizeof(waiters));
        m->n_waiters = 0;
        for (size_t i = 0; i < n; i++)
                waiters[i].on_done(error, outcome, message, targets, waiters[i].userdata);
}

static void on_fetched(TufFetch *f, int error, TufOutcome outcome, const char *message, void *userdata) {
        AgentMetadata *m = userdata;
        bool well = error == 0 && outcome == TUF_OK;

        m->fetch = NULL;
        free(m->url);
        m->url = NULL;
        usec_t expires = tuf_refresh_expires_usec(tuf_fetch_refresh(f));
        if (expires > 0)
                m->expires = expires;
        if (well) {
                m->failures = 0;
                m->refreshed = now(CLOCK_REALTIME);
                metadata_save_refreshed(m);
                log_debug("The metadata is verified and current.");
        } else {
                if (m->failures < 16)
                        m->failures++;
                log_full(m->failures == 1 ? LOG_WARNING : LOG_DEBUG, "Refreshing the metadata failed: %s",
                         message);
        }
        metadata_watch_expiry(m);
        metadata_plan(m);
        metadata_done(m, error, outcome, message, well ? tuf_refresh_targets(tuf_fetch_refresh(f)) : NULL);
        m->o.on_change(m->o.userdata);
        tuf_fetch_free(f); /* held the store's lock and the targets until here */
        m->store = tuf_store_free(m->store);
}

/* Not kept open in between: a process may hold thousands of these. */
static int metadata_open_store(AgentMetadata *m, TufStore **ret) {
        return tuf_store_open_at(m->o.state_fd, STORE_DIR, ret);
}

static int metadata_start_fetch(AgentMetadata *m, const char *repository_url, bool own) {
        _cleanup_free_ char *copy = strdup(repository_url), *url = strjoinf("%s/metadata/", repository_url);
        _cleanup_(tuf_store_freep) TufStore *store = NULL;

        if (!copy || !url)
                return -ENOMEM;
        int r = metadata_open_store(m, &store);
        if (r < 0)
                return r;
        TufFetchOptions options = {
                .event = m->o.event,
                .http = m->o.http,
                .store = store,
                .metadata_url = url,
                .ca_pem = own ? m->ca_pem : NULL,
                .trusted_root = fleet_trusted_root,
                .trusted_root_size = fleet_trusted_root_size,
                .now_usec = now(CLOCK_REALTIME),
                .on_finish = on_fetched,
                .userdata = m,
        };
        r = tuf_fetch_start(&options, &m->fetch);
        if (r < 0)
                return r;
        m->store = TAKE_PTR(store);
        m->url = TAKE_PTR(copy);
        return 0;
}

int agent_metadata_refresh(
                AgentMetadata *m,
                const char *repository_url,
                bool own,
                agent_metadata_on_done_t on_done,
                void *userdata) {
        const char *url = repository_url ?: m->default_url;

        if (!url)
                return -EDESTADDRREQ;
        if (m->n_waiters >= AGENT_METADATA_WAITERS_MAX)
                return -EXFULL;
        if (m->fetch && !streq(m->url, url))
                return -EBUSY;
        if (!m->fetch) {
                int r = metadata_start_fetch(m, url, own || !repository_url);
                if (r < 0)
                        return r;
        }
        m->waiters[m->n_waiters++] = (Waiter){ on_done, userdata };
        return 0;
}

void agent_metadata_forget(AgentMetadata *m, void *userdata) {
        size_t n = 0;
        for (size_t i = 0; i < m->n_waiters; i++)
                if (m->waiters[i].userdata != userdata)
                        m->waiters[n++] = m->waiters[i];
        m->n_waiters = n;
}

/* ---- life ---- */

/* What an earlier process stored, so that expiry is known before the first refresh. */
static int metadata_load(AgentMetadata *m) {
        _cleanup_(tuf_trusted_set_freep) TufTrustedSet *set = NULL;
        _cleanup_(tuf_store_freep) TufStore *store = NULL;
        _cleanup_(state_file_freep) StateFile *s = NULL;
        _cleanup_free_ char *message = NULL;

        int r = metadata_open_store(m, &store);
        if (r < 0)
                return r;
        r = tuf_refresh_load_store(
                        store, fleet_trusted_root, fleet_trusted_root_size, &set, &message);
        if (r == 0)
                m->expires = tuf_trusted_set_expires_usec(set);
        else
                log_debug("No stored metadata to start from: %s", strempty(message));
        if (state_file_load_at(m->o.state_fd, REFRESHED_FILE, &s) >= 0)
                (void) state_file_get_u64(s, "refreshed_usec", &m->refreshed);
        metadata_watch_expiry(m);
        return 0;
}

int agent_metadata_new(AgentMetadata **ret, const AgentMetadataOptions *options) {
        _cleanup_(agent_metadata_freep) AgentMetadata *m = new0(AgentMetadata, 1);
        if (!m)
                return -ENOMEM;
        m->o = *options;
        m->default_url = options->default_url ? strdup(options->default_url) : NULL;
        if (options->default_url && !m->default_url)
                return -ENOMEM;
        if (mkdirat(m->o.state_fd, STORE_DIR, 0700) < 0 && errno != EEXIST)
                return -errno;
        int r = metadata_load(m);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(m);
        return 0;
}

AgentMetadata *agent_metadata_free(AgentMetadata *m) {
        if (!m)
                return NULL;
        tuf_fetch_free(m->fetch);
        sd_event_source_disable_unref(m->refresh_source);
        sd_event_source_disable_unref(m->expiry_source);
        tuf_store_free(m->store);
        free(m->default_url);
        free(m->url);
        free(m->ca_pem);
        free(m);
        return NULL;
}

int agent_metadata_set_ca(AgentMetadata *m, const char *ca_pem) {
        int r = free_and_strdup(&m->ca_pem, ca_pem);
        return r < 0 ? r : 0;
}

void agent_metadata_start(AgentMetadata *m) {
        if (m->started || fleet_trusted_root_size == 0)
                return;
        m->started = true;
        /* a fleet that restarts, as in an update, does not ask for what it has just fetched */
        if (usec_sub(now(CLOCK_REALTIME), m->refreshed) < m->o.refresh_interval / 2) {
                metadata_plan(m);
                return;
        }
        /* the first one soon, though not in the way of the first connection */
        (void) event_timer_arm(
                        m->o.event, &m->refresh_source, 2 * USEC_PER_SEC + random_u64() % (8 * USEC_PER_SEC),
                        on_refresh_timer, m, "metadata-refresh");
}

int agent_metadata_collect(AgentMetadata *m, uint64_t root_version, TufBytes **ret) {
        _cleanup_(tuf_store_freep) TufStore *store = NULL;
        int r = metadata_open_store(m, &store);
        return r < 0 ? r : tuf_store_collect(store, root_version, ret);
}

usec_t agent_metadata_refreshed(const AgentMetadata *m) {
        return m->refreshed;
}

usec_t agent_metadata_expires(const AgentMetadata *m) {
        return m->expires;
}
