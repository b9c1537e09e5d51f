/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The record of the open transaction (file "transaction", written before anything is done) and the result of the last
 * one (file "last-result"), both in the state directory. The record explains the links; it never overrules them. */

#include "crypto.h"
#include "phase.h"
#include "state-file.h"
#include "time-util.h"
#include "updater-root.h"

#define TRANSACTION_ID_MAX 33U                             /* 32 hexadecimal digits and the NUL */
#define INSTRUCTION_MAX 256U
#define MESSAGE_MAX 1024U

typedef enum TransactionKind {
        TRANSACTION_INSTALL,
        TRANSACTION_ROLLBACK,                              /* an operator's, to a version that is there */
        TRANSACTION_ADOPT,                                 /* to the packaged version */
        _TRANSACTION_KIND_MAX,
        _TRANSACTION_KIND_INVALID = -EINVAL,
} TransactionKind;

const char *transaction_kind_to_string(TransactionKind k);
TransactionKind transaction_kind_from_string(const char *s);

typedef struct Transaction {
        char id[TRANSACTION_ID_MAX];
        TransactionKind kind;
        char *instruction;                                 /* the gateway's id; NULL if none */
        char *from, *to;
        char *floor;                                       /* the release's; NULL if none */
        char digest[SHA256_HEX_MAX];                       /* release_digest(); empty if unknown */
        char boot_id[TRANSACTION_ID_MAX];
        usec_t deadline_usec;                              /* CLOCK_BOOTTIME of that boot; 0 while staging */
        bool staged;                                       /* everything is in place, apply may begin */
        bool need_connection;                              /* else running without a crash is enough (no gateway yet) */
        bool extended;                                     /* the deadline, once */
        uint64_t attempts;                                 /* how often apply began */
        UpdatePhase phase;                                 /* STAGING, RESTARTING, CONFIRMING, ROLLING_BACK */
        UpdatePhase failed_phase;                          /* where it was when the verdict was set */
        UpdateVerdict verdict;                             /* set before going back */
        char *message;                                     /* for people, with the verdict; NULL if none */
} Transaction;

/* A new id, this boot's id, phase STAGING. instruction may be NULL. */
int transaction_new(Transaction **ret, UpdaterRoot *root, TransactionKind kind, const char *from, const char *to, const char *instruction);
Transaction *transaction_free(Transaction *t);
DEFINE_POINTER_CLEANUP(Transaction, transaction_free);

int transaction_from_state(StateFile *s, Transaction **ret);               /* -EBADMSG */
int transaction_load(UpdaterRoot *root, Transaction **ret);                /* -ENOENT, -EBADMSG */
int transaction_save(UpdaterRoot *root, const Transaction *t);
int transaction_remove(UpdaterRoot *root);
/* message is made fit for a terminal. */
int transaction_set_verdict(Transaction *t, UpdateVerdict verdict, const char *message);

/* phase: a terminal one. */
int result_save(UpdaterRoot *root, const Transaction *t, UpdatePhase phase);
int result_load(UpdaterRoot *root, StateFile **ret);                       /* -ENOENT, -EBADMSG */

/* This boot, as 32 hexadecimal digits; empty if it cannot be told. The kernel's id, as the first of our processes in
 * this boot saw it, kept in the runtime directory: sandboxes and containers may show different ids to different units
 * of one boot, and /run is as old as the boot in all of them. */
void boot_id_read(UpdaterRoot *root, char ret[static TRANSACTION_ID_MAX]);

/* What the denylist knows a release by: both binaries together. */
void release_digest(const uint8_t agent[static SHA256_SIZE], const uint8_t updater[static SHA256_SIZE],
                    char ret[static SHA256_HEX_MAX]);
int release_digest_hex(const char *agent, const char *updater, char ret[static SHA256_HEX_MAX]);   /* -EINVAL */
