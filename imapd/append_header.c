/* SPDX-License-Identifier: ISC */
/*
 * append_header.c - 8-bit in the header of a message that is being appended.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 9755 section 4: who has not enabled UTF8=ACCEPT must not append
 *          it. Lines end with LF here, with or without CR before it.
 */
#include "imapd/append_header.h"

#include "text/ascii.h"

bool
append_header_feed(struct append_header *h, struct str piece)
{
	for (size_t i = 0; i < piece.n && !h->is_over; i++) {
		char c = piece.p[i];

		if (ascii_is_8bit(c))
			return false;
		if (c == '\n') {
			h->is_over = !h->in_line;
			h->in_line = false;
		} else if (c != '\r') {
			h->in_line = true;
		}
	}
	return true;
}
