/* SPDX-License-Identifier: ISC */
/*
 * command.h - the table of commands, and a command while it runs.
 *
 * A handler is called when its command is complete. It answers through
 * reply.h and returns STEP_DONE once the tagged reply is written; STEP_MORE
 * when the connection is full, or its few milliseconds are used up, and it is
 * called again later with the same struct cmd. It keeps what it needs between
 * the calls in `state`, which lives in the command's arena.
 */
#ifndef IMAPD_COMMAND_H
#define IMAPD_COMMAND_H

#include "base/arena.h"
#include "base/buf.h"
#include "imap/imap_arg.h"

struct session;
struct cmd;

/* Called until it has not STEP_MORE; it has then given the tagged reply. */
typedef enum step command_fn(struct cmd *c);

enum command_state { /* bits: where a command is allowed */
	IN_AUTH = 1, /* authenticated, nothing selected */
	IN_SELECTED = 2,
	IN_ANY = IN_AUTH | IN_SELECTED,
};

enum command_flag {
	CMD_UID = 1 << 0, /* also with UID before it */
	CMD_UID_ONLY = 1 << 1, /* only with UID before it (UID EXPUNGE) */
	CMD_NO_EXPUNGE =
	    1 << 2, /* no EXPUNGE replies during it (RFC 3501 7.4.1) */
	CMD_NO_SYNC = 1 << 3, /* changes are not told at its end */
	CMD_STREAM = 1 << 4, /* wants its literals as IMAP_ARG_STREAM */
	CMD_STREAM_2 = 1 << 8, /* the same behind its second argument */
	/* gives way between responses alone, but for is_within (progress.h) */
	CMD_PROGRESS = 1 << 10,
	CMD_SECTION = 1 << 5, /* its atoms may have [sections] */
	CMD_LONG = 1 << 6, /* its line may be long: it has a set */
	/* 8-bit in quoted strings, as clients send it that enable nothing */
	CMD_8BIT = 1 << 7,
	CMD_NO_NUMBERS = 1 << 9, /* CMD_UID, and none are told without UID */
};

/* A line of the table; `states` and `flags` are bits of the two above. */
struct command {
	const char *name;
	command_fn *fn;
	unsigned states, flags;
};

struct cmd {
	struct session *s;
	struct arena *arena; /* emptied after the tagged reply */
	struct str tag;
	const struct command *def;
	bool uid; /* "UID FETCH" and so on */
	const struct imap_arg *args; /* ends with IMAP_ARG_END */
	void *state; /* the handler's; NULL at the first call */
	/*
	 * The tagged line, kept back until the changes before it are told
	 * (reply.c, client.c); is_replied: there is one.
	 */
	struct buf tagged;
	bool is_replied;
	uint64_t done, total; /* progress.h */
	bool is_within; /* gave way in the middle of a response */
	int64_t told_ms;
	/* Called once when the command ends or the client vanishes. */
	void (*cleanup)(struct cmd *c);
};

/* The entry of a command word, NULL when unknown. Any case. */
const struct command *command_find(struct str word);
/*
 * True when the handler should yield: it has used its few milliseconds, or the
 * store's last step found a lock taken. Then it is called again when that is
 * worth a try.
 */
bool cmd_time_is_up(struct cmd *c);
/* Other sessions have their turn before this one goes on. */
void cmd_yield(struct cmd *c);

#endif
