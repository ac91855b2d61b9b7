/* SPDX-License-Identifier: ISC */
/*
 * modlog.c - mod-sequences and vanished UIDs.
 *
 * Owns:    the entries INDEX_VANISHED of a mailbox.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  no entry: a set that is none counts as "not known".
 * Spec:    RFC 7162 sections 3.1, 3.2.
 */
#include "index/modlog.h"

#include "base/clock.h"

uint64_t
modlog_next(uint64_t highest)
{
	int64_t now = clock_wall_us();

	/* A clock that was set back does not take numbers back. */
	if (now > 0 && (uint64_t)now > highest)
		return (uint64_t)now;
	return highest + 1;
}

/* The first entry of all that is too old, or one too many. */
static int
forget_old(struct index *ix, uint32_t box, uint64_t modseq, unsigned n,
    uint64_t *vanished_from, struct err *e)
{
	struct index_key first = index_key_vanished(box, 0);
	uint64_t limit = modseq > MODLOG_AGE_S * 1000000
	    ? modseq - MODLOG_AGE_S * 1000000
	    : 0;
	struct index_key to;

	/* By count: the older half, found from the newer end. */
	if (n >= MODLOG_ENTRIES_MAX) {
		struct index_key kind = index_key_kind(box, INDEX_VANISHED);
		struct index_key at = index_key_vanished(box, modseq - 1);
		struct str key, value;

		for (unsigned i = 0; i < MODLOG_ENTRIES_MAX / 2; i++) {
			if (!index_seek_back(ix, &at, &kind, &key, &value))
				break;
			if (index_key_modseq(key) <= 1)
				break;
			at = index_key_vanished(box, index_key_modseq(key) - 1);
		}
		*vanished_from = index_key_modseq(str_make(at.bytes, at.n));
		return index_remove_range(ix, &first, &at, e);
	}
	if (limit <= *vanished_from)
		return 0;
	to = index_key_vanished(box, limit);
	*vanished_from = limit;
	return index_remove_range(ix, &first, &to, e);
}

int
modlog_add(struct index *ix, uint32_t box, uint64_t modseq,
    const struct set32 *uids, uint64_t *vanished_from, struct err *e)
{
	struct index_key k = index_key_vanished(box, modseq);
	struct index_key kind = index_key_kind(box, INDEX_VANISHED);
	struct str key, value;
	uint32_t number = 0;
	struct buf b;
	int rc;

	if (set32_is_empty(uids))
		return 0;
	/* Each entry begins with how many came before it. */
	if (index_seek_back(ix, &k, &kind, &key, &value) &&
	    value.n >= sizeof(number))
		memcpy(&number, value.p, sizeof(number));
	if (forget_old(ix, box, modseq, number, vanished_from, e) == -1)
		return -1;
	number = number >= MODLOG_ENTRIES_MAX ? MODLOG_ENTRIES_MAX / 2 + 1
					      : number + 1;
	buf_init(&b, SIZE_MAX / 2);
	(void)buf_add(&b, &number, sizeof(number));
	index_set_write(&b, uids);
	rc = index_put(ix, &k, buf_str(&b), e);
	buf_done(&b);
	return rc;
}

bool
modlog_vanished(struct index *ix, uint32_t box, uint64_t modseq,
    uint64_t vanished_from, struct set32 *out)
{
	struct index_key from, kind = index_key_kind(box, INDEX_VANISHED);
	struct str key, value;
	struct set32 one;
	bool more, ok = true;

	if (modseq < vanished_from || modseq == UINT64_MAX)
		return false;
	from = index_key_vanished(box, modseq + 1);
	set32_init(&one);
	more = index_seek(ix, &from, &kind, &key, &value);
	while (more && ok) {
		ok = value.n > 4 && index_set_parse(str_skip(value, 4), &one);
		for (size_t i = 0; ok && i < one.n; i++)
			set32_add_range(out, one.r[i].first, one.r[i].last);
		more = index_next(ix, &kind, &key, &value);
	}
	set32_done(&one);
	return ok;
}
