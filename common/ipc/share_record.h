/* SPDX-License-Identifier: ISC */
/*
 * share_record.h - one line of the list of who shares what with whom, which
 * master keeps so that `#user/` needs no setting: a mailbox of an owner, whom
 * it is shared with, as the kernel knows him, and where it lies.
 *
 * The list lets nobody read anything; the permissions of the files do. It says
 * where to look.
 */
#ifndef IPC_SHARE_RECORD_H
#define IPC_SHARE_RECORD_H

#include "base/buf.h"
#include "base/str.h"

#define SHARE_FILE ".shares" /* in state_dir, root's */
#define SHARE_ADD_FILE ".shares.add" /* lines that restantectl adds to it */
#define SHARE_PATH_MAX 1000

enum share_kind {
	SHARE_USER = 'u',
	SHARE_GROUP = 'g',
	SHARE_ANYONE = 'a',
	SHARE_ALL = '*', /* only with gives false: nobody has it any more */
};

struct share_record {
	uint32_t owner_uid;
	struct str owner; /* his login name */
	enum share_kind kind;
	uint32_t number; /* uid or gid */
	bool gives; /* false: it is taken back */
	struct str location; /* "maildir:/home/alice/Maildir", ":LAYOUT=fs" */
	struct str folder; /* below that, or it: of the mailbox */
};

/*
 * Is it one that a correct process can tell of? Absolute paths without "..",
 * control characters and variables.
 */
bool share_record_is_sound(const struct share_record *r);
/* The path in its location. */
struct str share_record_root(const struct share_record *r);
/* A line with its end; fields have tabs between them. */
void share_record_write(struct buf *b, const struct share_record *r);
/* A line without its end; false: it is none, or not sound. */
bool share_record_parse(struct str line, struct share_record *out);

#endif
