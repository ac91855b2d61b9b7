/* SPDX-License-Identifier: ISC */
/*
 * maildir_map.c - base names to records, and the names themselves.
 *
 * Owns:    maildir->names, slots, extras.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in a name; the hash is keyed, so nobody chooses collisions.
 *
 * All names of a mailbox lie in one block of bytes; a record has offsets.
 * An info part that is ":2," and known letters in order is not stored at all:
 * it follows from the flags.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "store/derived.h"
#include "store/maildir/maildir_impl.h"

static uint32_t
keep_bytes(struct maildir *md, struct str s)
{
	uint32_t off = (uint32_t)md->names_n;

	if (md->names_size - md->names_n <= s.n) {
		md->names_size = (md->names_size + s.n + 64) * 3 / 2;
		ASSERT(md->names_size < UINT32_MAX);
		md->names = mem_resize(md->names, md->names_size, 1);
	}
	if (s.n > 0)
		memcpy(md->names + off, s.p, s.n);
	md->names[off + s.n] = '\0';
	md->names_n += s.n + 1;
	return off;
}

struct str
maildir_base(const struct mailbox *m, const struct msg_rec *r)
{
	return str_make(maildir_of(m)->names + r->name, r->name_len);
}

static uint8_t
tag_of(uint64_t hash)
{
	return (uint8_t)(hash >> 56);
}

/* The slot of this base, or the free one where it would go. */
static size_t
slot_of(const struct mailbox *m, struct str base, uint64_t hash)
{
	const struct maildir *md = maildir_of(m);
	size_t mask = md->n_slots - 1, i = (size_t)hash & mask;

	while (md->slots[i] != 0 &&
	    !(md->tags[i] == tag_of(hash) &&
		str_eq(maildir_base(m, &m->recs.v[md->slots[i] - 1]), base)))
		i = (i + 1) & mask;
	return i;
}

static void
fill_slot(struct maildir *md, size_t slot, uint64_t hash, size_t index)
{
	md->n_used += md->slots[slot] == 0;
	md->slots[slot] = (uint32_t)index + 1;
	md->tags[slot] = tag_of(hash);
}

static void
rehash(struct mailbox *m, size_t n_slots)
{
	struct maildir *md = maildir_of(m);

	free(md->slots);
	free(md->tags);
	md->slots = mem_new(n_slots, sizeof(*md->slots));
	md->tags = mem_new(n_slots, 1);
	md->n_slots = n_slots;
	md->n_used = 0;
	for (size_t i = 0; i < m->recs.n; i++) {
		struct str base = maildir_base(m, &m->recs.v[i]);
		uint64_t hash = map_hash(base);

		fill_slot(md, slot_of(m, base, hash), hash, i);
	}
}

size_t
maildir_find_hashed(const struct mailbox *m, struct str base, uint64_t hash)
{
	const struct maildir *md = maildir_of(m);
	uint32_t slot;

	if (md->n_slots == 0)
		return NO_REC;
	slot = md->slots[slot_of(m, base, hash)];
	return slot == 0 ? NO_REC : slot - 1;
}

size_t
maildir_find(const struct mailbox *m, struct str base)
{
	return maildir_find_hashed(m, base, map_hash(base));
}

bool
maildir_may_have(struct mailbox *m, struct str base)
{
	return maildir_find(m, base) != NO_REC ||
	    derived_may_have(m, index_sum(0, base));
}

void
maildir_load_name(
    struct mailbox *m, struct msg_rec *r, struct str base, struct str info)
{
	struct maildir *md = maildir_of(m);

	r->name = keep_bytes(md, base);
	r->name_len = (uint16_t)base.n;
	if (r->own & OWN_INFO)
		r->info = keep_bytes(md, info);
}

void
maildir_rehash(struct mailbox *m)
{
	size_t n_slots = 16;

	while (n_slots <= m->recs.n * 3 / 2 + 1)
		n_slots *= 2;
	rehash(m, n_slots);
}

void
maildir_forget_map(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);

	maildir_map_done(md);
	md->names = NULL;
	md->names_n = md->names_size = md->garbage = 0;
	md->slots = NULL;
	md->tags = NULL;
	md->n_slots = md->n_used = 0;
}

void
maildir_reserve(struct mailbox *m, size_t n)
{
	struct maildir *md = maildir_of(m);
	size_t n_slots = md->n_slots == 0 ? 16 : md->n_slots;

	while ((md->n_used + n) * 3 / 2 >= n_slots)
		n_slots *= 2;
	if (n_slots > md->n_slots)
		rehash(m, n_slots);
}

struct msg_rec *
maildir_add(struct mailbox *m, uint32_t uid, struct str base)
{
	return maildir_add_hashed(m, uid, base, map_hash(base));
}

struct msg_rec *
maildir_add_hashed(
    struct mailbox *m, uint32_t uid, struct str base, uint64_t hash)
{
	struct maildir *md = maildir_of(m);
	struct msg_rec *r;
	size_t slot;

	if ((md->n_used + 1) * 3 / 2 >= md->n_slots)
		maildir_reserve(m, 1);
	slot = slot_of(m, base, hash);
	r = mailbox_add_rec(m, uid);
	r->name = keep_bytes(md, base);
	r->name_len = (uint16_t)base.n;
	r->own = OWN_NO_INFO;
	md->has_new_recs = true;
	fill_slot(md, slot, hash, m->recs.n - 1);
	return r;
}

struct str
maildir_info(const struct mailbox *m, const struct msg_rec *r,
    char plain[MAILDIR_INFO_MAX])
{
	if (r->own & OWN_NO_INFO)
		return STR("");
	if (r->own & OWN_INFO)
		return str_of(maildir_of(m)->names + r->info);
	return str_make(
	    plain, maildir_name_info(plain, r->system, r->keywords));
}

struct str
maildir_file_name(
    const struct mailbox *m, const struct msg_rec *r, char out[512])
{
	char plain[MAILDIR_INFO_MAX];
	struct str base = maildir_base(m, r);
	struct str info = maildir_info(m, r, plain);

	ASSERT(base.n + info.n < 512);
	memcpy(out, base.p, base.n);
	if (info.n > 0)
		memcpy(out + base.n, info.p, info.n);
	out[base.n + info.n] = '\0';
	return str_make(out, base.n + info.n);
}

bool
maildir_take_name(struct mailbox *m, struct msg_rec *r, enum maildir_dir dir,
    const struct maildir_name *name)
{
	struct maildir *md = maildir_of(m);
	bool changed =
	    r->system != name->system || r->keywords != name->keywords;

	if (r->state == REC_LIVE)
		md->n_new -= (r->own & OWN_NEW) != 0;
	r->own &= (uint8_t) ~(OWN_NEW | OWN_NO_INFO | OWN_INFO) & 0x3f;
	if (dir == DIR_NEW)
		r->own |= OWN_NEW;
	if (r->state == REC_LIVE)
		md->n_new += dir == DIR_NEW;
	if (name->info.n == 0) {
		r->own |= OWN_NO_INFO;
	} else if (!name->is_plain) {
		r->own |= OWN_INFO;
		r->info = keep_bytes(md, name->info);
	}
	md->letters |= name->keywords;
	r->system = name->system;
	r->keywords = name->keywords;
	return changed;
}

/* ---- fields of the uidlist ----------------------------------------------- */

static size_t
extra_index(const struct maildir *md, uint32_t uid)
{
	return VEC_FIND(&md->extras, uid, uid);
}

struct str
maildir_extra(const struct mailbox *m, uint32_t uid)
{
	const struct maildir *md = maildir_of(m);
	size_t i = extra_index(md, uid);

	if (i == md->extras.n || md->extras.v[i].uid != uid)
		return STR("");
	return str_make(md->names + md->extras.v[i].off, md->extras.v[i].n);
}

bool
maildir_load_extra(struct mailbox *m, uint32_t uid, struct str fields)
{
	struct maildir *md = maildir_of(m);
	size_t i = extra_index(md, uid);
	bool is_there = i < md->extras.n && md->extras.v[i].uid == uid;

	if (!is_there && fields.n == 0)
		return false;
	if (is_there && str_eq(maildir_extra(m, uid), fields))
		return false;
	if (is_there)
		md->garbage += md->extras.v[i].n + 1;
	if (!is_there) {
		(void)VEC_ADD(&md->extras);
		memmove(&md->extras.v[i + 1], &md->extras.v[i],
		    (md->extras.n - 1 - i) * sizeof(*md->extras.v));
		md->extras.v[i].uid = uid;
	}
	md->extras.v[i].off = keep_bytes(md, fields);
	md->extras.v[i].n = (uint32_t)fields.n;
	return true;
}

void
maildir_set_extra(struct mailbox *m, uint32_t uid, struct str fields)
{
	if (maildir_load_extra(m, uid, fields))
		derived_note_side(m, uid);
}

/* ---- compaction ---------------------------------------------------------- */

#define GARBAGE_MIN (64 * 1024)

bool
maildir_has_garbage(const struct maildir *md)
{
	return md->garbage > GARBAGE_MIN && md->garbage > md->names_n / 2;
}

static void
compact_more_sets(struct mailbox *m)
{
	VEC(uint16_t) fresh = {0};

	*VEC_ADD(&fresh) = 0;
	for (size_t i = 0; i < m->recs.n; i++) {
		struct msg_rec *r = &m->recs.v[i];
		size_t n;
		const uint16_t *more = mailbox_more(m, r, &n);

		if (n == 0)
			continue;
		r->more = (uint32_t)fresh.n;
		*VEC_ADD(&fresh) = (uint16_t)n;
		for (size_t k = 0; k < n; k++)
			*VEC_ADD(&fresh) = more[k];
	}
	free(m->more_sets.v);
	m->more_sets.v = fresh.v;
	m->more_sets.n = fresh.n;
	m->more_sets.size = fresh.size;
}

static void
compact_extras(struct mailbox *m, const char *old_names)
{
	struct maildir *md = maildir_of(m);
	size_t n = 0;

	for (size_t i = 0; i < md->extras.n; i++) {
		struct extra x = md->extras.v[i];

		if (mailbox_rec(m, x.uid) == NULL)
			continue;
		x.off = keep_bytes(md, str_make(old_names + x.off, x.n));
		md->extras.v[n++] = x;
	}
	md->extras.n = n;
}

void
maildir_compact(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);
	char *old_names = md->names;
	bool drop = mailbox_is_all_told(m);
	size_t n = 0;

	md->names = NULL;
	md->names_n = md->names_size = md->garbage = 0;
	m->n_expunged = 0;
	for (size_t i = 0; i < m->recs.n; i++) {
		struct msg_rec r = m->recs.v[i];

		/* Those in the file are needed to know when it must be
		 * rewritten. */
		if (r.state == REC_EXPUNGED && drop && !(r.own & OWN_IN_FILE))
			continue;
		m->n_expunged += r.state == REC_EXPUNGED;
		r.name =
		    keep_bytes(md, str_make(old_names + r.name, r.name_len));
		if (r.own & OWN_INFO)
			r.info = keep_bytes(md, str_of(old_names + r.info));
		m->recs.v[n++] = r;
	}
	m->recs.n = n;
	compact_extras(m, old_names);
	compact_more_sets(m);
	free(old_names);
	maildir_rehash(m);
}

void
maildir_map_done(struct maildir *md)
{
	free(md->names);
	free(md->slots);
	free(md->tags);
	VEC_DONE(&md->extras);
}
