/* SPDX-License-Identifier: ISC */
/*
 * imap_write.h - values in IMAP syntax. This is the one layer that decides
 * between atom, quoted string and literal; nothing that it writes can break
 * out of a line (RFC 3501 section 9).
 */
#ifndef IMAP_IMAP_WRITE_H
#define IMAP_IMAP_WRITE_H

#include "base/buf.h"

/* "text", or {n}CRLF... when a byte can not be quoted (CR, LF, NUL, 8-bit). */
void imap_write_string(struct buf *b, struct str s);
/* NIL when s.p == NULL. */
void imap_write_nstring(struct buf *b, struct str s);
/* An atom when it can be one, else a string. */
void imap_write_astring(struct buf *b, struct str s);
/* Free text of a response line: control bytes and 8-bit become '?'. */
void imap_write_text(struct buf *b, struct str s);
/*
 * The same with UTF-8 in quoted strings, for clients that have enabled it (RFC
 * 9755 section 3, RFC 9051 section 9: quoted).
 */
void imap_write_string_utf8(struct buf *b, struct str s);
void imap_write_nstring_utf8(struct buf *b, struct str s);
void imap_write_astring_utf8(struct buf *b, struct str s);

#endif
