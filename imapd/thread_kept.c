/* SPDX-License-Identifier: ISC */
/*
 * thread_kept.c - answers of THREAD that were kept.
 *
 * Owns:    the form of such an answer: as it is told, with UIDs.
 * Runs in: imapd.
 * Trusts:  not what is kept: it has to name each message that was found once,
 *          and to be in the form of RFC 5256 section 5.
 */
#include "imapd/thread_kept.h"

#include "base/num.h"
#include "store/kept.h"

/* Cuts the number that stands at the start; false: there is none. */
static bool
cut_uid(struct str *s, uint32_t *uid)
{
	uint64_t v;

	if (s->n == 0 || s->p[0] < '1' || s->p[0] > '9' ||
	    !num_cut_u64(s, UINT32_MAX, &v))
		return false;
	*uid = (uint32_t)v;
	return true;
}

/* Is it a list of lists that names each of the found once? */
static bool
is_about(struct cmd *c, struct str text, const struct set32 *found)
{
	uint32_t left = set32_count(found), uid, seq;
	uint8_t *seen =
	    arena_new(c->arena, (size_t)view_count(c->s->view) / 8 + 1, 1);
	size_t depth = 0;

	while (text.n > 0) {
		if (cut_uid(&text, &uid)) {
			seq = view_seq(c->s->view, uid);
			if (left-- == 0 || depth == 0 || seq == 0 ||
			    (seen[seq / 8] & 1u << seq % 8) != 0 ||
			    !set32_has(found, uid))
				return false;
			seen[seq / 8] |= (uint8_t)(1u << seq % 8);
			continue;
		}
		if (text.p[0] == '(')
			depth++;
		else if (text.p[0] == ')' && depth > 0)
			depth--;
		else if (text.p[0] != ' ')
			return false;
		text = str_skip(text, 1);
	}
	return left == 0 && depth == 0;
}

bool
thread_kept_get(struct cmd *c, struct str question, const struct set32 *found,
    struct buf *out)
{
	if (!set32_is_empty(found) && kept_get(c->s->view, question, out) &&
	    is_about(c, buf_str(out), found))
		return true;
	buf_clear(out);
	return false;
}

void
thread_kept_write(struct buf *b, struct cmd *c, struct str text)
{
	uint32_t uid;

	if (c->uid) {
		buf_add_str(b, text);
		return;
	}
	while (text.n > 0)
		if (cut_uid(&text, &uid)) {
			buf_add_u64(b, view_seq(c->s->view, uid));
		} else {
			buf_add_byte(b, text.p[0]);
			text = str_skip(text, 1);
		}
}
