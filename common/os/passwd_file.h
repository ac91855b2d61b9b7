/* SPDX-License-Identifier: ISC */
/*
 * passwd_file.h - a file of users:
 *
 *	name:hash:uid:gid:gecos:home:shell:extra
 *
 * in Dovecot's order; trailing fields may be missing, gecos and shell are not
 * used. `extra` are words separated by spaces, see restante.conf(5).
 */
#ifndef OS_PASSWD_FILE_H
#define OS_PASSWD_FILE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define PASSWD_FILE_LINE_MAX 8192
#define PASSWD_FILE_SIZE_MAX (64 * 1024 * 1024)

struct passwd_file_user {
	struct str name, hash, home;
	struct str mail; /* mail location, as it stands there */
	struct str uidl; /* form of POP3's unique ids, "%%" for "%" */
	struct str quota; /* as the setting maildir_quota */
	bool reuse_xuidl; /* has_reuse_xuidl: says so */
	bool has_reuse_xuidl;
	struct str login_delay; /* of POP3: seconds; or empty */
	struct str expire; /* of POP3: days, or "never"; or empty */
	struct str allow_nets; /* a,b/24,... or empty: everywhere */
	bool has_uid, has_gid;
	uint32_t uid, gid;
	bool nologin; /* may never log in */
};

/*
 * Reads one line without its LF; the slices point into it. *is_user is false
 * for an empty line or a comment. Fails with ERR_CORRUPT.
 */
int passwd_file_parse(struct str line, struct passwd_file_user *out,
    bool *is_user, struct err *e);
/*
 * Looks for `name` in the open file from its start; the file position is not
 * used. The slices of *out point into `line` (maximum PASSWD_FILE_LINE_MAX).
 * *model, if not NULL, gets the stored value of the first usable line, so
 * that work for unknown users can cost the same. Its slice lies in `first`.
 * A line that can not be read is passed over unless it is this user's:
 * ERR_CORRUPT. ERR_NOT_FOUND: no such user.
 */
int passwd_file_find(int fd, struct str name, struct buf *line,
    struct passwd_file_user *out, struct buf *first, struct str *model,
    struct err *e);
/*
 * The same, with the whole file read also where the user is found before its
 * end: for an answer that leaves at once, and must not tell by its time who is
 * there.
 */
int passwd_file_find_evenly(int fd, struct str name, struct buf *line,
    struct passwd_file_user *out, struct buf *first, struct str *model,
    struct err *e);
/* True when `ip` (text) lies in one of the networks of the list. */
bool passwd_file_net_allows(struct str nets, struct str ip);

#endif
