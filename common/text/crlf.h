/* SPDX-License-Identifier: ISC */
/*
 * crlf.h - stored text to wire text: every line end as CRLF. An LF without a
 * CR before it gets one; a CR without LF stays as it is. And back.
 *
 * Text may come in pieces: *after_cr says whether the byte before a piece is a
 * CR, and is carried from one call to the next. It starts as false.
 */
#ifndef TEXT_CRLF_H
#define TEXT_CRLF_H

#include "base/str.h"

/* How many LFs of `s` have no CR before them: the bytes that CRLF adds. */
uint64_t crlf_count(struct str s, bool *after_cr);
/*
 * Copies `s` to `to` in wire form, at most `room` bytes, which 2 * s.n always
 * suffice for. Returns the bytes written; *used is how many of `s` were taken.
 * Bytes of `to` behind the result, within `room`, may be overwritten.
 */
size_t crlf_convert(
    struct str s, char *to, size_t room, bool *after_cr, size_t *used);

/*
 * Wire text to stored text: the next piece of *in without the CR of a CRLF;
 * false when all was taken. *had_cr: the last byte was a CR, of which the next
 * piece tells what it is; false at first. Behind the last piece the caller adds
 * a CR if it is true.
 */
bool crlf_strip_next(struct str *in, bool *had_cr, struct str *out);

#endif
