/* SPDX-License-Identifier: ISC */
/*
 * err.c - why something failed.
 *
 * Owns:    nothing; struct err belongs to the caller.
 * Runs in: every process.
 * Trusts:  nothing; the text is escaped when it is logged.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

int
err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	e->code = code;
	e->sys = 0;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return -1;
}

static enum err_code
code_of_errno(int sys)
{
	switch (sys) {
	case ENOENT:
		return ERR_NOT_FOUND;
	case EACCES:
	case EPERM:
		return ERR_PERM;
	case EROFS:
		return ERR_READ_ONLY;
	case ENOSPC:
	case EDQUOT:
	case EFBIG: /* RLIMIT_FSIZE */
		return ERR_NO_SPACE;
	case EEXIST:
		return ERR_EXISTS;
	case ETIMEDOUT:
		return ERR_TIMEOUT;
	default:
		return ERR_SYS;
	}
}

int
err_sys(struct err *e, const char *fmt, ...)
{
	int sys = errno;
	va_list ap;
	size_t n;

	e->code = code_of_errno(sys);
	e->sys = sys;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	n = strlen(e->text);
	(void)snprintf(e->text + n, sizeof(e->text) - n, ": %s", strerror(sys));
	errno = sys;
	return -1;
}

int
err_in(struct err *e, const char *fmt, ...)
{
	char old[sizeof(e->text)];
	va_list ap;
	size_t n;

	memcpy(old, e->text, sizeof(old));
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	n = strlen(e->text);
	(void)snprintf(e->text + n, sizeof(e->text) - n, ": %s", old);
	return -1;
}
