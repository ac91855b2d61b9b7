/* SPDX-License-Identifier: ISC */
/*
 * fuzz_mbox_state.c - any bytes as a header: what is read of our fields can be
 * written, and read again as the same; and any bytes as a From_ line.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "store/mbox/mbox_from.h"
#include "store/mbox/mbox_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_from(struct str in)
{
	struct mbox_from f, again;
	struct buf b;

	if (!mbox_from_parse(in, true, &f))
		return;
	if (f.date_s < 0 || f.sender.n > MBOX_FROM_MAX)
		abort();
	buf_init(&b, 4000);
	mbox_from_write(&b, STR("a@b"), f.date_s);
	if (!mbox_from_parse(buf_str(&b), false, &again) ||
	    !str_eq(again.sender, STR("a@b")))
		abort();
	buf_done(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make(data, size), list, name;
	struct mbox_state st, again;
	struct buf b;

	check_from(in);
	mbox_state_parse(in, &st);
	if (st.has_base && (st.uidvalidity == 0 || st.last_uid_at >= size))
		abort();
	list = st.keywords;
	while (mbox_keyword_next(&list, &name))
		if (name.n == 0)
			abort();
	buf_init(&b, 4 * size + 1000);
	mbox_state_write(&b,
	    &(struct mbox_words){
		.is_first = st.has_base,
		.uidvalidity = st.uidvalidity,
		.last_uid = st.last_uid,
		.uid = st.uid,
		.is_old = st.is_old,
		.flags = st.flags,
		.others = str_make(st.others, st.n_others),
		.x_others = str_make(st.x_others, st.n_x_others),
		.has_length = st.has_length,
		.length = st.length,
	    },
	    size % 50);
	mbox_state_parse(buf_str(&b), &again);
	if (again.uid != st.uid || again.flags != st.flags ||
	    again.is_old != st.is_old || again.has_base != st.has_base ||
	    again.uidvalidity != st.uidvalidity ||
	    again.last_uid != st.last_uid || again.length != st.length ||
	    again.n_others != st.n_others || again.n_x_others != st.n_x_others)
		abort();
	buf_done(&b);
	return 0;
}
