/* SPDX-License-Identifier: ISC */
/*
 * err.h - why something failed: a code for the program, a text for the log.
 * It lives on the caller's stack, never allocates, is written on failure only.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/base.h"

enum err_code {
	ERR_OTHER = 1, /* no caller acts on it */
	ERR_SYS, /* a system call; see `sys` */
	ERR_NOT_FOUND, /* no such mailbox, message, user, file */
	ERR_EXISTS, /* is there already */
	ERR_LIMIT, /* a limit of ours was met */
	ERR_CORRUPT, /* the bytes do not mean what they should */
	ERR_SYNTAX, /* input that the grammar does not allow */
	ERR_BAD_NAME, /* a name that can not be used */
	ERR_READ_ONLY, /* the place or the session may not be changed */
	ERR_PERM, /* the kernel or an ACL refused it */
	ERR_NO_SPACE, /* disk full or over quota */
	ERR_IN_USE, /* locked by somebody else */
	ERR_TIMEOUT, /* took too long */
	ERR_GONE, /* was there, has vanished meanwhile */
	ERR_UNSUPPORTED, /* understood, not possible here */
	ERR_BAD_CHARSET, /* unknown charset */
	ERR_CLOSED, /* the peer has closed */
	ERR_VIOLATION, /* a peer process broke the protocol */
	ERR_OVER_QUOTA, /* the user has no more room */
	ERR_HAS_CHILDREN, /* can not go while there is something below it */
	ERR_FORMAT, /* sound, but of a format that is not read here */
};

struct err {
	enum err_code code; /* what callers act on */
	int sys; /* errno behind it, or 0 */
	char text[240]; /* for the log alone */
};

/* Sets code and text; returns -1, so that `return err_set(...)` works. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/*
 * Takes errno: code from it (ENOENT: ERR_NOT_FOUND, EACCES and EPERM: ERR_PERM,
 * EROFS: ERR_READ_ONLY, ENOSPC, EDQUOT and EFBIG: ERR_NO_SPACE, EEXIST: ERR_EXISTS,
 * ETIMEDOUT: ERR_TIMEOUT, else ERR_SYS), text "fmt: strerror". Returns -1.
 */
int err_sys(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Puts "fmt: " before the text, on the way up. Returns -1. */
int err_in(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
