/* SPDX-License-Identifier: ISC */
/*
 * append_job.h - the messages of an APPEND or a REPLACE, from the arguments that
 * describe them to the store, where they wait to be committed.
 */
#ifndef IMAPD_APPEND_JOB_H
#define IMAPD_APPEND_JOB_H

#include "base/set32.h"
#include "imapd/append_encode.h"
#include "imapd/append_header.h"
#include "imapd/command.h"
#include "store/mailbox.h"

struct append_url;

enum append_form {
	APPEND_LITERAL,
	APPEND_LITERAL8, /* RFC 3516 */
	APPEND_CATENATE, /* RFC 4469 */
	APPEND_UTF8, /* RFC 6855 section 4 */
};

/* [SP flag-list] [SP date-time] SP append-data */
struct message_args {
	struct flag_wish flags;
	int64_t date_s;
	enum append_form form;
	const struct imap_arg *data; /* the literal, or the list's first */
	const struct imap_arg *behind;
};

/*
 * A message that can not be handed on as it comes: it has several parts, or may
 * have to be encoded.
 */
struct draft {
	int fd; /* -1: none */
	uint64_t size;
	bool may_encode; /* a literal8 was part of it */
	bool has_nul, has_lone_lf, has_odd_cr;
	char last[2]; /* bytes */
	struct part_parser *parser;
	uint64_t parsed;
	bool is_planned, is_begun; /* ...in the store */
	struct encode_plan plan;
	struct encode_run run;
};

struct append_job {
	/* Set by the owner. */
	struct str name; /* of the mailbox */
	bool is_single; /* one message, no more */
	/* The mailbox is open: before the first message. Or NULL. */
	void (*opened)(struct cmd *c, struct append *a);

	struct append *append; /* to be committed */
	/* The rest is private. */
	bool is_open;
	enum append_phase {
		APPEND_ARGS, /* of the next message */
		APPEND_DIRECT, /* its literal, to the mailbox */
		APPEND_PARTS, /* the next part of CATENATE or UTF8 */
		APPEND_TEXT, /* a literal, to the draft */
		APPEND_URL, /* a part of a message, to the draft */
		APPEND_DRAFT, /* the draft, to the mailbox */
	} phase;
	const struct imap_arg *at; /* what follows the present message */
	const struct imap_arg *part; /* the next one */
	bool awaits_args; /* c->args has what follows the literal */
	bool in_inner; /* in UTF8's list within CATENATE's */
	struct message_args m;
	size_t messages, parts;
	struct append_header header; /* of the message, as it comes */
	struct draft draft;
	struct append_url *url;
	struct str url_text;
};

/* `first`: the arguments behind the mailbox's name; they live on. */
void append_job_init(struct append_job *j, const struct imap_arg *first);
/*
 * What is wrong with the next message's arguments, or NULL: for commands that
 * are refused anyway.
 */
const char *append_job_fault(struct cmd *c, const struct imap_arg *a);
/*
 * Goes on. STEP_DONE: the tagged reply is written, or, with *complete, all
 * messages are there.
 */
enum step append_job_step(struct cmd *c, struct append_job *j, bool *complete);
/*
 * append_commit() in the command's time. STEP_FAIL: not answered yet, see
 * append_job_refuse().
 */
enum step append_job_commit(struct cmd *c, struct append_job *j,
    uint32_t *uidvalidity, struct set32 *uids, struct err *e);
/* The tagged NO, with TRYCREATE and UNKNOWN-CTE where they belong. */
enum step append_job_refuse(struct cmd *c, const struct err *e);
/* "APPENDUID 1 2:3" and a NUL; nothing when the UIDs are not known. */
void append_job_write_uids(
    struct buf *b, uint32_t uidvalidity, const struct set32 *uids);
/* Takes back what was not committed. */
void append_job_done(struct append_job *j);

#endif
