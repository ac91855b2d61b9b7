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

/* Numbers and signs between two looks at the clock. */
enum { LOOKS = 1024 };

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

/* The message was found, and not named before. */
static bool
take_uid(struct thread_kept *k, struct cmd *c, const struct set32 *found,
    uint32_t uid)
{
	uint32_t seq = view_seq(c->s->view, uid);

	if (k->left == 0 || k->depth == 0 || seq == 0 ||
	    (k->seen[seq / 8] & 1u << seq % 8) != 0 || !set32_has(found, uid))
		return false;
	k->left--;
	k->seen[seq / 8] |= (uint8_t)(1u << seq % 8);
	return true;
}

/* Is it a list of lists that names each of the found once? STEP_FAIL: no. */
static enum step
is_about(struct thread_kept *k, struct cmd *c, struct str whole,
    const struct set32 *found)
{
	struct str text = str_skip(whole, k->at);
	uint32_t uid;

	for (unsigned n = 1; text.n > 0; n++) {
		if (cut_uid(&text, &uid)) {
			if (!take_uid(k, c, found, uid))
				return STEP_FAIL;
		} else {
			if (text.p[0] == '(')
				k->depth++;
			else if (text.p[0] == ')' && k->depth > 0)
				k->depth--;
			else if (text.p[0] != ' ')
				return STEP_FAIL;
			text = str_skip(text, 1);
		}
		k->at = whole.n - text.n;
		if (n % LOOKS == 0 && cmd_time_is_up(c))
			return STEP_MORE;
	}
	return k->left == 0 && k->depth == 0 ? STEP_DONE : STEP_FAIL;
}

enum step
thread_kept_get(struct thread_kept *k, struct cmd *c, struct str question,
    const struct set32 *found, struct buf *out)
{
	enum step step = STEP_DONE;

	if (k->seen == NULL) {
		k->seen = arena_new(
		    c->arena, (size_t)view_count(c->s->view) / 8 + 1, 1);
		k->left = set32_count(found);
		if (k->left == 0 || !kept_get(c->s->view, question, out))
			step = STEP_FAIL;
	}
	if (step == STEP_DONE)
		step = is_about(k, c, buf_str(out), found);
	if (step == STEP_FAIL)
		buf_clear(out);
	return step;
}

enum step
thread_kept_write(struct buf *b, struct cmd *c, struct str whole, size_t *at)
{
	struct str text = str_skip(whole, *at);
	uint32_t uid;

	if (c->uid) {
		buf_add_str(b, whole);
		return STEP_DONE;
	}
	for (unsigned n = 1; text.n > 0; n++) {
		if (cut_uid(&text, &uid)) {
			buf_add_u64(b, view_seq(c->s->view, uid));
		} else {
			buf_add_byte(b, text.p[0]);
			text = str_skip(text, 1);
		}
		*at = whole.n - text.n;
		if (n % LOOKS == 0 && cmd_time_is_up(c))
			return STEP_MORE;
	}
	return STEP_DONE;
}
