/* SPDX-License-Identifier: ISC */
/*
 * journal.h - the text of "restante-journal", by which messages come into a
 * Maildir all or none at all, also when the process is killed among the renames.
 *
 *	restante-journal 1 5c81e2f0-...      version, boot
 *	+n/1795300400.M1P7.mx/1795300400.M1P7.mx,S=5,W=6
 *	                                     from tmp/ to new/ (n) or cur/ (c)
 *	=1795300399.M3P9.mx,S=7,W=8          base of a copy, linked to its place
 *	-1795300311.M2P2.mx,S=7,W=8          base of what the one that comes replaces
 *	end 0123456789abcdef                 sum of all above
 *
 * Lines of "+" are carried out to the end, those of "=" are taken back: so there
 * are never both. What "-" names goes once the one message of "+" is there. A
 * text that is not whole means nothing: no file was moved before it was written.
 */
#ifndef STORE_MAILDIR_JOURNAL_H
#define STORE_MAILDIR_JOURNAL_H

#include "base/buf.h"

#define JOURNAL_FILE "restante-journal"
#define JOURNAL_MAX (64 * 1024 * 1024)

struct journal_line {
	char kind; /* '+', '=' or '-' */
	bool in_new; /* of '+': goes there, not to cur/ */
	struct str tmp; /* of '+' */
	struct str name; /* of '+': final, with info; else a base name */
};

/* The text of a journal: `boot` says which run of the kernel wrote it. */
void journal_begin(struct buf *b, struct str boot);
void journal_add(struct buf *b, const struct journal_line *l);
/* False: some name can not be written so, or it is too long. */
bool journal_end(struct buf *b);

/*
 * Pure: is `text` a whole journal, each line of it sound? Then `lines` is what
 * journal_next() takes, and `boot` the boot it was written in.
 */
bool journal_parse(struct str text, struct str *boot, struct str *lines);
/* The next line of those; false: no more. */
bool journal_next(struct str *lines, struct journal_line *out);

#endif
