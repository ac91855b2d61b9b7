/* SPDX-License-Identifier: ISC */
/*
 * uidl_format.h - the forms of POP3's unique ids that servers have (formats.md
 * section 5): Dovecot's pop3_uidl_format in the syntax of 2.3, "%08Xu%08Xv",
 * and of 2.4, "%{uid | hex(8)}", and names of ours for some of them, "v-uid".
 */
#ifndef TEXT_UIDL_FORMAT_H
#define TEXT_UIDL_FORMAT_H

#include "base/buf.h"
#include "base/err.h"

#define UIDL_FORMAT_DEFAULT "%08Xu%08Xv"
#define UIDL_MAX_BYTES 70 /* RFC 1939 section 7 */

/* What a form asks for; an empty text that is not known is an error. */
struct uidl_values {
	uint32_t uid, uidvalidity;
	struct str base; /* of the file's name */
	struct str guid;
	struct str header_md5; /* 32 digits */
};

/*
 * Is it one that uidl_format_write() understands? ERR_SYNTAX, ERR_UNSUPPORTED
 * say what is wrong. *wants_md5, if given: it needs values->header_md5.
 */
int uidl_format_check(struct str format, bool *wants_md5, struct err *e);
/*
 * Appends the id. ERR_UNSUPPORTED: a value that this message does not have
 * (the name of a file in an mbox).
 */
int uidl_format_write(struct str format, const struct uidl_values *v,
    struct buf *out, struct err *e);
/* 1 to 70 bytes of 0x21 to 0x7E. */
bool uidl_is_valid(struct str s);

#endif
