/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* All that the agent knows of one update: what was asked, how far it is, how it ended. Plain data with text
 * of its own; agent-update changes the phase of the running one, agent-report keeps the finished ones until
 * the gateway has acknowledged them. Times are Unix time in microseconds. */

#include "macro.h"
#include "phase.h"
#include "time-util.h"

#define UPDATE_ID_HEX 32U
#define UPDATE_MESSAGE_MAX 1024U

typedef struct UpdateRecord {
        char *instruction;    /* the gateway's id, "" for an update that did not come from it */
        char *transaction;    /* the updater's id, "" until it has one */
        char *from, *to;      /* versions */
        char *repository_url; /* as instructed, "" for the gateway's own */
        bool retry, back;
        UpdatePhase phase;
        UpdatePhase failed_phase; /* _UPDATE_PHASE_INVALID unless it ended badly */
        UpdateVerdict verdict;
        char *message;
        usec_t time_usec;  /* when the phase began */
        uint64_t sequence; /* of the last status made from this */
        uint64_t bytes_done, bytes_total;
        bool acked; /* the gateway has the final status */
} UpdateRecord;

/* All texts are set (maybe empty), phase is OFFERED. */
int update_record_new(UpdateRecord **ret, const char *instruction, const char *from, const char *to);
UpdateRecord *update_record_free(UpdateRecord *u);
DEFINE_POINTER_CLEANUP(UpdateRecord, update_record_free);
int update_record_copy(const UpdateRecord *u, UpdateRecord **ret);

/* Cuts at UPDATE_MESSAGE_MAX, between characters; what is unfit for a terminal is escaped. */
int update_record_set_message(UpdateRecord *u, const char *message);

/* Durable, mode 0600. Loading: -ENOENT, -EBADMSG. */
int update_record_save_at(const UpdateRecord *u, int dir_fd, const char *path);
int update_record_load_at(int dir_fd, const char *path, UpdateRecord **ret);

/* 32 lower-case hexadecimal digits: ids of instructions and transactions. */
bool update_id_is_valid(const char *id);
