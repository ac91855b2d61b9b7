/* SPDX-License-Identifier: ISC */
/*
 * maildir_name.h - names of message files: base, sizes, flags.
 *
 *	1795300341.M945632P17847.mx1,S=127,W=134:2,FSab
 *	'----------------- base ---------------' '---- info --'
 */
#ifndef STORE_MAILDIR_NAME_H
#define STORE_MAILDIR_NAME_H

#include "base/buf.h"

#define MAILDIR_NAME_MAX 255 /* bytes of a name on every file system */

struct maildir_name {
	struct str base; /* before the first ':' */
	struct str info; /* the rest with that ':' */
	uint8_t system; /* enum msg_flag, FLAG_PASSED */
	uint32_t keywords; /* letters a..z as bits 0..25 */
	bool is_plain; /* info is what maildir_name_info() would write */
};

/*
 * False for names that are no message: starting with ".", with CR or LF in
 * them. The base may be empty.
 */
bool maildir_name_parse(struct str name, struct maildir_name *out);
/*
 * Writes ":2," and the letters of these flags, in ASCII order, into `out`
 * which has room for 40 bytes; returns the length, no NUL.
 */
size_t maildir_name_info(char *out, uint8_t system, uint32_t keywords);
#define MAILDIR_INFO_MAX 40
/*
 * Appends the info part for new flags, keeping letters without a meaning and
 * what stands before the flags or behind them in the old info.
 */
bool maildir_name_change(
    struct buf *out, struct str old_info, uint8_t system, uint32_t keywords);
/* The number behind ",S=" or ",W=" in a base; false when there is none. */
bool maildir_name_size(struct str base, char letter, uint64_t *out);
/* The time of arrival in a base. */
struct maildir_time {
	uint64_t s, us;
	bool has_us;
};
struct maildir_time maildir_name_time(struct str base);
/*
 * Order in which UIDs are given (formats.md 2.5): seconds, microseconds, bytes.
 */
int maildir_name_cmp(struct str base_a, const struct maildir_time *time_a,
    struct str base_b, const struct maildir_time *time_b);
/*
 * Appends a new unique base without sizes, "SECS.MusecPpid.host". Never the
 * same twice in a process.
 */
bool maildir_name_new(struct buf *out, const char *host);

#endif
