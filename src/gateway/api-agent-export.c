/* SPDX-License-Identifier: Apache-2.0 */

/* The list of agents as CSV: all of it, page after page from the store, and never more than one page in
 * memory. A page is read when the client has taken the last one; each shows the agents as they are at that
 * moment. */

#include <stdio.h>

#include "alloc-util.h"
#include "api-agent-filter.h"
#include "log.h"
#include "string-util.h"

#define PIECE 500U
#define CSV_TYPE "text/csv; charset=utf-8; header=present"

typedef struct Export {
        StoreJob job;
        Gateway *gateway;
        HttpExchange *exchange; /* NULL once it has ended */
        bool running;           /* the job is the worker's, and what follows with it */

        AgentFilter filter;
        AgentSort sort;
        bool descending;
        AgentPosition after;
        bool begun, finished;
        int error;
        char *piece;
        size_t size, taken;
} Export;

static Export *export_free(Export *e) {
        agent_filter_done(&e->filter);
        agent_position_done(&e->after);
        free(e->piece);
        free(e);
        return NULL;
}

/* ---- text ---- */

/* What a spreadsheet would take for a formula gets an apostrophe before it: names come from machines. */
static void put_cell(FILE *f, const char *text, char end) {
        bool quote = text[strcspn(text, ",\"\r\n")] != '\0';

        if (quote)
                fputc('"', f);
        if (*text && strchr("=+-@\t\r", *text))
                fputc('\'', f);
        for (; *text; text++) {
                if (*text == '"')
                        fputc('"', f);
                fputc(*text, f);
        }
        if (quote)
                fputc('"', f);
        fputc(end, f);
}

static void put(FILE *f, const char *text) {
        put_cell(f, strempty(text), ',');
}

static void put_time(FILE *f, usec_t t) {
        char buf[RFC3339_MAX];

        put(f, t == 0 ? "" : rfc3339_format(t, buf));
}

static void put_labels(FILE *f, const Labels *l) {
        /* keys and values are plain: nothing in them needs to be quoted */
        for (size_t i = 0; i < l->n; i++)
                fprintf(f, "%s%s=%s", i > 0 ? ";" : "", l->items[i].key, l->items[i].value);
        fputs("\r\n", f);
}

static void put_titles(FILE *f) {
        fputs("id,hostname,state,version,previous_version,update_phase,update_version,os,os_version,arch,kernel,"
              "address,pinned_version,clone_suspected,enrolled,connected,last_seen,labels\r\n",
              f);
}

static void put_agent(FILE *f, const AgentRecord *a) {
        put(f, a->id);
        put(f, a->facts.hostname);
        put(f, agent_state_to_string(a->state));
        put(f, a->version);
        put(f, a->previous_version);
        put(f, a->update_version ? update_phase_to_string(a->update_phase) : "");
        put(f, a->update_version);
        put(f, a->facts.os_id);
        put(f, a->facts.os_version_id);
        put(f, a->facts.architecture);
        put(f, a->facts.kernel);
        put(f, a->address);
        put(f, a->pinned ? a->pinned_version : "");
        put(f, a->clone_suspected ? "true" : "false");
        put_time(f, a->enrolled);
        put_time(f, a->connected);
        put_time(f, a->last_seen);
        put_labels(f, &a->labels);
}

/* ---- a piece, on the worker's thread ---- */

typedef struct Piece {
        Export *export;
        FILE *file;
        AgentPosition last;
        uint64_t n;
} Piece;

static int piece_take(AgentRecord *a, void *userdata) {
        Piece *p = userdata;

        put_agent(p->file, a);
        agent_position_done(&p->last);
        p->n++;
        return agent_position_of(a, p->export->sort, &p->last);
}

static int piece_read(Export *e, Store *s, Piece *p) {
        AgentQuery q;
        int r;

        r = agent_filter_resolve(&e->filter, s);
        if (r < 0)
                return r;
        agent_filter_query(&e->filter, &q);
        q.sort = e->sort;
        q.descending = e->descending;
        q.limit = PIECE;
        q.after = e->begun ? &e->after : NULL;
        if (!e->begun)
                put_titles(p->file);
        return s->ops->agents_page(s, &q, piece_take, p, NULL);
}

static int export_work(StoreJob *job, Store *s) {
        Export *e = container_of(job, Export, job);
        Piece p = { .export = e };
        int r;

        free(TAKE_PTR(e->piece));
        e->size = e->taken = 0;
        p.file = open_memstream(&e->piece, &e->size);
        if (!p.file)
                return -ENOMEM;
        r = piece_read(e, s, &p);
        if (fclose(p.file) != 0 && r >= 0)
                r = -ENOMEM;
        e->finished = p.n < PIECE;
        e->begun = true;
        agent_position_done(&e->after);
        e->after = p.last;
        return r;
}

/* ---- sending ---- */

static int export_submit(Export *e);

static ssize_t export_pull(HttpExchange *x, char *buffer, size_t size, void *userdata) {
        Export *e = http_exchange_get_context(x);
        size_t n;
        int r;

        if (e->running)
                return 0;
        if (e->error < 0)
                return e->error;
        if (e->taken == e->size) {
                if (e->finished)
                        return -ENODATA;
                r = export_submit(e);
                return r < 0 ? r : 0;
        }
        n = MIN(size, e->size - e->taken);
        memcpy(buffer, e->piece + e->taken, n);
        e->taken += n;
        return (ssize_t) n;
}

static void set_headers(HttpExchange *x) {
        http_reply_header(x, "Cache-Control", "no-store");
        http_reply_header(x, "Content-Disposition", "attachment; filename=\"agents.csv\"");
}

static void export_begin(Export *e, int r) {
        HttpExchange *x = e->exchange;

        if (r >= 0) {
                http_exchange_set_context(x, e);
                set_headers(x);
                http_reply_pieces(x, CSV_TYPE, export_pull, NULL);
                return;
        }
        if (r == -ENOENT)
                http_reply_problem(
                                x, HTTP_PROBLEM_NOT_FOUND, "?group", "There is no group \"%s\".",
                                e->filter.group);
        else {
                (void) log_error_errno(r, "Request %s failed: %m", http_exchange_request_id(x));
                http_reply_problem(
                                x, HTTP_PROBLEM_INTERNAL, NULL,
                                "Look into the gateway's journal for the request id.");
        }
        export_free(e);
}

static void export_done(StoreJob *job, int r) {
        Export *e = container_of(job, Export, job);

        e->running = false;
        if (!e->exchange) /* the client went away meanwhile */
                export_free(e);
        else if (!http_exchange_is_answered(e->exchange))
                export_begin(e, r);
        else {
                if (r < 0)
                        e->error = log_error_errno(r, "An export of agents is broken off: %m");
                http_stream_wakeup(e->exchange);
        }
}

static int export_submit(Export *e) {
        int r;

        e->job = (StoreJob){ .work = export_work, .done = export_done, .kind = "api_read" };
        e->running = true;
        r = store_worker_submit(e->gateway->worker, &e->job);
        if (r < 0)
                e->running = false;
        return r;
}

static int take_parameters(Export *e, HttpExchange *x) {
        int r;

        r = agent_filter_parse(x, &e->filter);
        return r < 0 ? r : api_parameter_sort(x, &e->sort, &e->descending);
}

void api_agents_export(HttpExchange *x, void *userdata) {
        static const char *const known[] = { AGENT_FILTER_PARAMETERS, "sort", NULL };
        Export *e;

        if (http_exchange_check_parameters(x, known) < 0)
                return;
        e = new0(Export, 1);
        if (!e) {
                http_reply_problem(x, HTTP_PROBLEM_INTERNAL, NULL, "Out of memory.");
                return;
        }
        e->gateway = userdata;
        e->exchange = x;
        if (take_parameters(e, x) < 0) {
                export_free(e);
                return;
        }
        if (http_exchange_is_head(x)) {
                set_headers(x);
                http_reply_data(x, 200, CSV_TYPE, NULL, 0);
                export_free(e);
        } else if (export_submit(e) < 0) {
                http_reply_problem(
                                x, HTTP_PROBLEM_OVERLOADED, NULL,
                                "Too much is waiting for the store; try again soon.");
                export_free(e);
        }
}

void api_agents_list_end(HttpExchange *x, void *userdata) {
        Export *e = http_exchange_get_context(x);

        if (!e)
                return;
        e->exchange = NULL;
        if (!e->running)
                export_free(e);
}
