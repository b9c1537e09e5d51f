/* SPDX-License-Identifier: Apache-2.0 */

#include "gatewayctl-rollout-progress.h"

#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "alloc-util.h"
#include "event-util.h"
#include "string-util.h"

#define BAR_WIDTH 50U
#define COLUMNS_MIN 20U
#define COLUMNS_DEFAULT 80U
#define TICK USEC_PER_SEC

struct RolloutProgress {
        sd_event *event;
        FILE *f;
        bool terminal;
        unsigned drawn;  /* lines of the block */
        json_t *rollout; /* as shown last; NULL: none yet */
        char *told, *told_state;
        char *lost;
        sd_event_source *tick_timer;
};

int rollout_progress_new(RolloutProgress **ret, sd_event *event, FILE *f) {
        const char *term = getenv("TERM");
        RolloutProgress *p = new0(RolloutProgress, 1);

        if (!p)
                return -ENOMEM;
        p->event = sd_event_ref(event);
        p->f = f;
        p->terminal = isatty(fileno(f)) && !isempty(term) && !streq(term, "dumb");
        *ret = p;
        return 0;
}

RolloutProgress *rollout_progress_free(RolloutProgress *p) {
        if (!p)
                return NULL;
        sd_event_source_disable_unref(p->tick_timer);
        sd_event_unref(p->event);
        json_decref(p->rollout);
        free(p->told);
        free(p->told_state);
        free(p->lost);
        free(p);
        return NULL;
}

/* ---- the block ---- */

static unsigned terminal_columns(FILE *f) {
        struct winsize size;

        if (ioctl(fileno(f), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
                return COLUMNS_DEFAULT;
        return MAX((unsigned) size.ws_col, COLUMNS_MIN);
}

/* What does not fit into a line would make two of it, and the block would creep. */
static void put_line(RolloutProgress *p, CliStyle style, const char *text, unsigned columns) {
        _cleanup_free_ char *safe = string_escape(strempty(text));
        unsigned n = 0;
        size_t i = 0;

        for (; safe && safe[i]; i++)
                if (((unsigned char) safe[i] & 0xc0) != 0x80 && ++n == columns)
                        break;
        fprintf(p->f, "%s%.*s%s\x1b[K\n", cli_on(style, p->f), (int) i, strempty(safe),
                cli_off(style, p->f));
        p->drawn++;
}

static void draw(RolloutProgress *p) {
        unsigned columns = terminal_columns(p->f), width = MIN(BAR_WIDTH, columns - 10);
        bool back = rollout_goes_back(p->rollout);
        _cleanup_free_ char *state = rollout_state_text(p->rollout),
                            *reason = rollout_reason_text(p->rollout),
                            *counts = rollout_counts_text(p->rollout), *head = NULL,
                            *bar = rollout_bar_text(p->rollout, width, p->f),
                            *next = rollout_next_text(p->rollout, now(CLOCK_REALTIME)), *last = NULL;

        head = strjoinf("Rollout %" PRIu64 ", %s %s: %s", rollout_number(p->rollout, "id"),
                        back ? "back from" : "to", json_text(p->rollout, "version"), strempty(state));
        last = p->lost       ? strjoinf("Connection to the gateway lost (%s), connecting again.", p->lost) :
               isempty(next) ? strdup("") :
                               strjoinf("Next: %s", next);
        if (p->drawn > 0)
                fprintf(p->f, "\x1b[%uF", p->drawn);
        p->drawn = 0;
        put_line(p, rollout_style(p->rollout), head, columns);
        fprintf(p->f, "%s\x1b[K\n", strempty(bar));
        p->drawn++;
        put_line(p, CLI_PLAIN, counts, columns);
        put_line(p, CLI_DIM, reason, columns);
        put_line(p, p->lost ? CLI_BAD : CLI_PLAIN, last, columns);
        fputs("\x1b[J", p->f);
        (void) fflush(p->f);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata) {
        RolloutProgress *p = userdata;

        draw(p);
        return event_timer_arm(p->event, &p->tick_timer, TICK, on_tick, p, "rollout-progress");
}

/* ---- lines ---- */

static void put_time(FILE *f) {
        time_t seconds = (time_t) (now(CLOCK_REALTIME) / USEC_PER_SEC);
        struct tm tm;

        if (!localtime_r(&seconds, &tm))
                tm = (struct tm){ 0 };
        fprintf(f, "%02d:%02d:%02d  ", tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void tell(RolloutProgress *p, CliStyle style, const char *text) {
        _cleanup_free_ char *safe = string_escape(strempty(text));

        put_time(p->f);
        fprintf(p->f, "%s%s%s\n", cli_on(style, p->f), strempty(safe), cli_off(style, p->f));
        (void) fflush(p->f);
}

/* Another state, reason or batch is worth a line, and another failure, and each tenth. */
static bool is_news(RolloutProgress *p, char **ret_state) {
        _cleanup_free_ char *key = NULL;
        RolloutNumbers n;
        uint64_t ended;

        rollout_numbers(p->rollout, &n);
        ended = n.succeeded + n.failed + n.skipped + n.cancelled;
        *ret_state =
                        strjoinf("%s %s %" PRIu64, json_text(p->rollout, "state"),
                                 json_text(p->rollout, "reason"), rollout_number(p->rollout, "batch"));
        key = strjoinf("%s %" PRIu64 " %" PRIu64, strempty(*ret_state), n.failed,
                       n.cohort > 0 ? ended * 10 / n.cohort : 0);
        if (!*ret_state || !key || streq_ptr(key, p->told))
                return false;
        free(p->told);
        p->told = TAKE_PTR(key);
        return true;
}

static void tell_change(RolloutProgress *p) {
        _cleanup_free_ char *state = NULL, *text = NULL, *counts = rollout_counts_text(p->rollout),
                            *words = rollout_state_text(p->rollout),
                            *next = rollout_next_text(p->rollout, now(CLOCK_REALTIME));
        bool another;

        if (!is_news(p, &state))
                return;
        another = !streq_ptr(state, p->told_state);
        text = strjoinf("rollout %" PRIu64 ": %s (%s): %s%s%s", rollout_number(p->rollout, "id"),
                        strempty(words), json_text(p->rollout, "reason"), strempty(counts),
                        another && !isempty(next) ? "; " : "", another ? strempty(next) : "");
        tell(p, rollout_style(p->rollout), text);
        free(p->told_state);
        p->told_state = TAKE_PTR(state);
}

/* ---- both ---- */

void rollout_progress_show(RolloutProgress *p, json_t *rollout) {
        if (p->rollout != rollout) {
                json_decref(p->rollout);
                p->rollout = json_incref(rollout);
        }
        if (!p->terminal) {
                tell_change(p);
                return;
        }
        draw(p);
        if (!p->tick_timer)
                (void) event_timer_arm(p->event, &p->tick_timer, TICK, on_tick, p, "rollout-progress");
}

void rollout_progress_lost(RolloutProgress *p, const char *why) {
        free(p->lost);
        p->lost = why ? strdup(why) : NULL;
        if (p->terminal && p->rollout)
                draw(p);
        else if (p->lost) {
                _cleanup_free_ char *text =
                                strjoinf("Connection to the gateway lost (%s), connecting again.", p->lost);

                tell(p, CLI_BAD, text);
        }
}
