/* SPDX-License-Identifier: ISC */
/*
 * mbox_sum.c - whether a message is still the one that it was.
 *
 * Owns:    the sum; it lies in the index, so another one is a new
 *          SAVED_VERSION of mbox_index.c.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing: a sender who wants two messages with one sum gets them, and
 *          sees an old ENVELOPE of his own mail.
 */
#include "base/assert.h"
#include "store/mbox/mbox_sum.h"

#define MULT UINT64_C(0x9fb21c651e98df25)
#define STRIDE 32u
#define HELD_BACK 2u /* for mbox_sum_end */

static uint64_t
mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * MULT;
	return h ^ h >> 29;
}

/* Four words at once: their products do not wait for each other. */
static void
take(struct mbox_sum *s, const char *p, size_t n)
{
	uint64_t a = s->lanes[0], b = s->lanes[1], c = s->lanes[2];
	uint64_t d = s->lanes[3], v[4];

	for (; n > 0; p += STRIDE, n -= STRIDE) {
		memcpy(v, p, sizeof(v));
		a = mix(a, v[0]);
		b = mix(b, v[1]);
		c = mix(c, v[2]);
		d = mix(d, v[3]);
	}
	s->lanes[0] = a;
	s->lanes[1] = b;
	s->lanes[2] = c;
	s->lanes[3] = d;
}

void
mbox_sum_init(struct mbox_sum *s)
{
	*s = (struct mbox_sum){.lanes = {1, 2, 3, 4}};
}

void
mbox_sum_add(struct mbox_sum *s, struct str bytes)
{
	s->n += bytes.n;
	while (s->n_held + bytes.n >= STRIDE + HELD_BACK) {
		if (s->n_held == 0) {
			size_t n = (bytes.n - HELD_BACK) / STRIDE * STRIDE;

			take(s, bytes.p, n);
			bytes = str_skip(bytes, n);
			continue;
		}
		if (s->n_held < STRIDE) {
			unsigned n = STRIDE - s->n_held;

			memcpy(s->held + s->n_held, bytes.p, n);
			bytes = str_skip(bytes, n);
			s->n_held = STRIDE;
		}
		take(s, s->held, STRIDE);
		s->n_held -= STRIDE;
		memmove(s->held, s->held + STRIDE, s->n_held);
	}
	if (bytes.n == 0)
		return;
	memcpy(s->held + s->n_held, bytes.p, bytes.n);
	s->n_held += (unsigned)bytes.n;
}

uint64_t
mbox_sum_end(struct mbox_sum *s, unsigned drop)
{
	char last[2 * STRIDE] = {0};
	uint64_t h;

	ASSERT(drop <= s->n_held && drop <= HELD_BACK);
	memcpy(last, s->held, s->n_held - drop);
	take(s, last, (s->n_held - drop + STRIDE - 1) / STRIDE * STRIDE);
	h = mix(mix(s->lanes[0], s->lanes[1]), mix(s->lanes[2], s->lanes[3]));
	h = mix(h, s->n - drop);
	return h ^ h >> 32;
}
