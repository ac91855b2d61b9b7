/* SPDX-License-Identifier: ISC */
/*
 * mbox_agree.c - two processes that number the messages of one file give each
 * of them the same UID, also while the file does not say it.
 *
 * Owns:    the files "KEY.told" in the folder "mbox" of the state folder.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing: an entry counts for a message with that content; UIDs that
 *          are too large make larger ones.
 * Spec:    formats.md 7.3, 7.8; RFC 3501 section 2.3.1.1.
 *
 * A file without X-IMAPbase gets its UIDs when it is written, and with a large
 * one that is later than when clients are told of them. Until then they stand
 * here, each with the content of its message. Whoever has read the file takes
 * from here what others have told, numbers the rest behind it, and adds that,
 * all of it under the lock of this file. When the mail file says its UIDs, this
 * one goes.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "index/index_state.h"
#include "store/mbox/mbox_reading.h"

#define MAGIC "restante-told 1\n"
#define ORDER 0x01020304u
#define BOOT_BYTES 40
#define ENTRIES_MAX (16u * 1024 * 1024)
#define PIECE 4096 /* entries */

struct front {
	char magic[16];
	uint32_t order; /* of bytes in a number */
	uint32_t uidvalidity;
	char boot[BOOT_BYTES]; /* what was written before it may be lost */
};

struct told {
	uint32_t uid;
	uint32_t key[2]; /* of the content */
};

struct by_key {
	uint64_t key;
	uint32_t at; /* in agree.told */
	uint32_t n_passed; /* of the first of a key: so many are taken */
};

/* A message that has come. */
struct given {
	size_t slot, rec;
	uint64_t key;
	uint32_t uid; /* 0: none yet */
	bool is_own; /* the file says it, and is believed */
};

struct agree {
	struct mbox_reading *r;
	int fd;
	uint64_t n; /* entries in the file */
	bool is_front_good, is_of_this_boot;
	uint32_t last; /* UID in the file; 0: none */
	VEC(struct told) told; /* those from r->floor on, ascending */
	VEC(struct by_key) keys; /* made when it is needed */
	VEC(uint8_t) is_used;
	size_t at; /* the next one, where all is in order */
	VEC(struct given) given;
};

static uint64_t
key_of(const struct mbox_slot *s)
{
	return s->hash ^ s->sum * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t
key_told(const struct told *t)
{
	return (uint64_t)t->key[1] << 32 | t->key[0];
}

static bool
path_of(const struct store *s, const char *path, char out[PATH_MAX])
{
	char key[MBOX_KEY_BYTES];

	mbox_key(path, key);
	return snprintf(out, PATH_MAX, "%s/mbox/%s" MBOX_TOLD, s->state, key) <
	    PATH_MAX;
}

void
mbox_agree_forget(const struct store *s, const char *path)
{
	char file[PATH_MAX];

	if (path_of(s, path, file))
		(void)unlinkat(AT_FDCWD, file, 0);
}

bool
mbox_agree_is_there(const struct mailbox *m)
{
	char file[PATH_MAX];
	struct stat st;

	return path_of(m->store, mbox_of(m)->path, file) &&
	    lstat(file, &st) == 0 &&
	    (uint64_t)st.st_size > sizeof(struct front);
}

/* ---- the file -------------------------------------------------------------- */

/* Is it the file of that name still? */
static bool
is_there(int fd, const char *file)
{
	struct stat st, now;

	return fstat(fd, &st) == 0 && lstat(file, &now) == 0 &&
	    st.st_ino == now.st_ino && st.st_dev == now.st_dev;
}

int
mbox_agree_lock(const struct mailbox *m)
{
	char file[PATH_MAX];
	int fd;

	fd = mbox_state_dir(m->store, "mbox", true);
	if (fd == -1)
		return -1;
	close(fd);
	if (!path_of(m->store, mbox_of(m)->path, file))
		return -1;
	for (unsigned i = 0; i < 100; i++) {
		fd = open(file,
		    O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		    0600);
		/* Others have it for a moment. */
		if (fd == -1 || (flock(fd, LOCK_EX) == 0 && is_there(fd, file)))
			return fd;
		close(fd);
	}
	return -1;
}

static bool
read_at(int fd, uint64_t off, void *p, size_t n)
{
	size_t got;
	struct err e;

	return file_read_at(fd, off, p, n, &got, &e) == 0 && got == n;
}

static bool
read_entries(int fd, uint64_t at, struct told *out, size_t n)
{
	return read_at(fd, sizeof(struct front) + at * sizeof(*out), out,
	    n * sizeof(*out));
}

static void
put_boot(char out[BOOT_BYTES])
{
	memset(out, 0, BOOT_BYTES);
	(void)snprintf(out, BOOT_BYTES, "%s", index_state_boot());
}

/* The first entry from this UID on. */
static bool
find_floor(const struct agree *a, uint32_t uid, uint64_t *out)
{
	uint64_t lo = 0, hi = a->n;
	struct told t;

	while (uid > 1 && lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (!read_entries(a->fd, mid, &t, 1))
			return false;
		if (t.uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	*out = lo;
	return true;
}

/* It is none that we have written; it is begun anew. */
static bool
drop(struct agree *a)
{
	a->is_front_good = a->is_of_this_boot = false;
	a->n = 0;
	a->last = 0;
	a->told.n = 0;
	return true;
}

static bool
is_ascending(const struct agree *a)
{
	for (size_t i = 1; i < a->told.n; i++)
		if (a->told.v[i].uid <= a->told.v[i - 1].uid)
			return false;
	return a->told.n == 0 || a->told.v[0].uid != 0;
}

/* False: it can not be read now, which must not seem to be an empty one. */
static bool
load(struct agree *a)
{
	char boot[BOOT_BYTES];
	struct stat st;
	struct front f;
	struct told last;
	uint64_t first;

	if (fstat(a->fd, &st) == -1)
		return false;
	if ((uint64_t)st.st_size < sizeof(f))
		return true;
	if (!read_at(a->fd, 0, &f, sizeof(f)))
		return false;
	a->is_front_good = memcmp(f.magic, MAGIC, sizeof(f.magic)) == 0 &&
	    f.order == ORDER && f.uidvalidity == mbox_told_validity(a->r->m);
	if (!a->is_front_good)
		return true;
	put_boot(boot);
	a->is_of_this_boot =
	    boot[0] != '\0' && memcmp(boot, f.boot, BOOT_BYTES) == 0;
	a->n = ((uint64_t)st.st_size - sizeof(f)) / sizeof(struct told);
	if (a->n > ENTRIES_MAX)
		return false;
	if (a->n == 0)
		return true;
	if (!read_entries(a->fd, a->n - 1, &last, 1))
		return false;
	if (last.uid == 0 || last.uid > UINT32_MAX / 2)
		return drop(a);
	a->last = last.uid;
	if (last.uid < a->r->floor)
		return true;
	if (!find_floor(a, a->r->floor, &first))
		return false;
	for (uint64_t i = first; i < a->n; i++)
		(void)VEC_ADD(&a->told);
	if (a->told.n > 0 && !read_entries(a->fd, first, a->told.v, a->told.n))
		return false;
	return is_ascending(a) || drop(a);
}

static bool
write_front(const struct agree *a)
{
	struct front f = {
	    .order = ORDER,
	    .uidvalidity = mbox_told_validity(a->r->m),
	};

	memcpy(f.magic, MAGIC, sizeof(f.magic));
	put_boot(f.boot);
	return pwrite(a->fd, &f, sizeof(f), 0) == (ssize_t)sizeof(f);
}

static int
by_given_uid(const void *a, const void *b)
{
	const struct given *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* Ascending, as they mostly are already. */
static void
sort_given(struct agree *a)
{
	bool is_sorted = true;

	for (size_t i = 1; i < a->given.n; i++)
		is_sorted =
		    is_sorted && a->given.v[i - 1].uid < a->given.v[i].uid;
	if (!is_sorted)
		qsort(
		    a->given.v, a->given.n, sizeof(*a->given.v), by_given_uid);
}

/* Most of it is of messages that have gone; all that are there are known. */
static bool
is_too_long(const struct agree *a)
{
	return !a->r->is_tail &&
	    a->n > 2 * (uint64_t)a->r->slots.n + mbox_tuning.told_spare;
}

/* All of the file, not only what has come. */
static void
collect_all(struct agree *a)
{
	a->given.n = 0;
	VEC_EACH(&a->r->slots, s)
		*VEC_ADD(&a->given) =
		    (struct given){.key = key_of(s), .uid = s->uid};
	sort_given(a);
}

/* Adds what is above all that is there, ascending. */
static bool
save(struct agree *a)
{
	struct told *piece;
	uint32_t last = a->last;
	size_t n = 0;
	bool ok = true, is_anew = !a->is_front_good;

	sort_given(a);
	if (a->given.v[a->given.n - 1].uid <= last)
		return true;

	if (a->is_front_good && is_too_long(a)) {
		collect_all(a);
		last = 0;
		is_anew = true;
	}
	if (is_anew) {
		a->n = 0;
		ok = ftruncate(a->fd, 0) == 0;
	} else if (!a->is_of_this_boot || a->n == 0) {
		ok = write_front(a);
	}
	piece = mem_new(PIECE, sizeof(*piece));
	for (size_t i = 0; ok && i <= a->given.n; i++) {
		const struct given *g = &a->given.v[i];

		if (i < a->given.n && g->uid > last)
			piece[n++] = (struct told){g->uid,
			    {(uint32_t)g->key, (uint32_t)(g->key >> 32)}};
		if (n < PIECE && i < a->given.n)
			continue;
		ok = pwrite(a->fd, piece, n * sizeof(*piece),
			 (off_t)(sizeof(struct front) +
			     a->n * sizeof(*piece))) ==
		    (ssize_t)(n * sizeof(*piece));
		a->n += n;
		n = 0;
	}
	free(piece);
	/* Last, so that a part of it is not believed. */
	return ok && (!is_anew || write_front(a));
}

/* ---- which message has which ----------------------------------------------- */

static int
by_key_cmp(const void *x, const void *y)
{
	const struct by_key *a = x, *b = y;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return a->at < b->at ? -1 : a->at > b->at;
}

static void
make_keys(struct agree *a)
{
	for (size_t i = 0; i < a->told.n; i++)
		*VEC_ADD(&a->keys) = (struct by_key){
		    .key = key_told(&a->told.v[i]), .at = (uint32_t)i};
	qsort(a->keys.v, a->keys.n, sizeof(*a->keys.v), by_key_cmp);
}

/* Nobody else has that UID, but one that is to have another one. */
static bool
is_free(const struct agree *a, uint32_t uid)
{
	const struct msg_rec *rec = mailbox_rec(a->r->m, uid);

	return uid >= a->r->floor && uid < UINT32_MAX - 1 &&
	    (rec == NULL || rec->own & OWN_GIVEN);
}

static uint32_t
take(struct agree *a, size_t i)
{
	if (a->is_used.v[i] || !is_free(a, a->told.v[i].uid))
		return 0;
	a->is_used.v[i] = 1;
	a->at = i + 1;
	return a->told.v[i].uid;
}

/* The UID that was told for this content; 0: none. */
static uint32_t
find(struct agree *a, uint64_t key)
{
	size_t lo = 0, hi, first;
	uint32_t uid = 0;

	if (a->at < a->told.n && key_told(&a->told.v[a->at]) == key &&
	    (uid = take(a, a->at)) != 0)
		return uid;
	if (a->told.n > 0 && a->keys.n == 0)
		make_keys(a);
	for (hi = a->keys.n; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;

		if (a->keys.v[mid].key < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == a->keys.n)
		return 0;
	first = lo;
	for (lo += a->keys.v[first].n_passed;
	     uid == 0 && lo < a->keys.n && a->keys.v[lo].key == key; lo++) {
		uid = take(a, a->keys.v[lo].at);
		a->keys.v[first].n_passed++;
	}
	return uid;
}

/* The record of a slot; most follow each other. */
static const struct msg_rec *
rec_of(struct mailbox *m, uint32_t uid, size_t *hint)
{
	const struct msg_rec *rec;

	if (*hint < m->recs.n && m->recs.v[*hint].uid == uid)
		return &m->recs.v[(*hint)++];
	rec = mailbox_rec(m, uid);
	if (rec != NULL)
		*hint = (size_t)(rec - m->recs.v) + 1;
	return rec;
}

/* The messages that have come. */
static void
collect(struct agree *a)
{
	struct mailbox *m = a->r->m;
	size_t hint = 0;

	for (size_t i = 0; i < a->r->slots.n; i++) {
		const struct mbox_slot *s = &a->r->slots.v[i];
		const struct msg_rec *rec = rec_of(m, s->uid, &hint);
		bool is_own;

		if (rec == NULL || rec->state != REC_WAITING)
			continue;
		is_own = !(rec->own & OWN_GIVEN);
		*VEC_ADD(&a->given) = (struct given){.slot = i,
		    .rec = (size_t)(rec - m->recs.v),
		    .key = key_of(s),
		    .uid = is_own ? s->uid : 0,
		    .is_own = is_own};
	}
}

static int
by_uid(const void *a, const void *b)
{
	const struct msg_rec *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* Records and slots have the UIDs that were found. */
static void
apply(struct agree *a)
{
	struct mailbox *m = a->r->m;
	size_t first = m->recs.n;
	bool is_same = true;

	VEC_EACH(&a->given, g) {
		is_same = is_same && m->recs.v[g->rec].uid == g->uid;
		m->recs.v[g->rec].uid = g->uid;
		a->r->slots.v[g->slot].uid = g->uid;
	}
	if (is_same)
		return;
	while (first > 0 && m->recs.v[first - 1].state == REC_WAITING)
		first--;
	qsort(m->recs.v + first, m->recs.n - first, sizeof(*m->recs.v), by_uid);
}

/* Where those begin that nobody has told of. */
static int
first_new(const struct agree *a, bool is_shared, uint32_t *out, struct err *e)
{
	const struct mailbox *m = a->r->m;
	struct mbox_kept now;
	uint32_t next = a->r->floor;

	if (a->last >= next)
		next = a->last + 1;
	VEC_EACH(&a->given, g)
		if (g->uid >= next)
			next = g->uid + 1;
	if (!is_shared && a->r->claimed_next > next)
		next = a->r->claimed_next;
	*out = next;
	if (a->n > 0 && a->is_of_this_boot)
		return 0;
	if (mbox_keep_load(m->store, mbox_of(m)->path, &now, e) == -1)
		return -1;
	if (now.uidvalidity == mbox_told_validity(m) && now.guid[0] != '\0' &&
	    now.uidnext > next)
		*out = now.uidnext;
	return 0;
}

static int
number(struct agree *a, bool is_shared, struct err *e)
{
	struct mbox_reading *r = a->r;
	uint32_t next;

	collect(a);
	if (a->given.n == 0)
		return 0;
	VEC_EACH(&a->told, t)
		*VEC_ADD(&a->is_used) = t->uid == 0;
	if (a->told.n > 0)
		VEC_EACH(&a->given, g)
			if (!g->is_own)
				g->uid = find(a, g->key);
	if (first_new(a, is_shared, &next, e) == -1)
		return -1;
	if (next >= UINT32_MAX - 2 || a->given.n >= UINT32_MAX - 2 - next)
		return err_set(e, ERR_LIMIT, "%s: no UID left", r->m->name);
	VEC_EACH(&a->given, g)
		if (g->uid == 0)
			g->uid = next++;
	apply(a);
	r->next = next;
	if (!is_shared || save(a))
		return 0;
	/* Part of it would be worse than nothing. */
	mbox_agree_forget(r->m->store, mbox_of(r->m)->path);
	return 0;
}

uint32_t
mbox_told_validity(const struct mailbox *m)
{
	const struct mbox_kept *k = mbox_kept_of(m);

	return m->uidvalidity != 0 || k == NULL ? m->uidvalidity
						: k->uidvalidity;
}

int
mbox_agree(struct mbox_reading *r, struct err *e)
{
	struct mbox *mb = mbox_of(r->m);
	struct agree a = {.r = r, .fd = -1};
	bool is_shared;
	int rc;

	if (r->has_base || !r->has_given)
		return 0;
	if (mbox_told_validity(r->m) != 0)
		a.fd = mbox_agree_lock(r->m);
	is_shared = a.fd != -1 && load(&a);
	if (!is_shared)
		VEC_DONE(&a.told);
	rc = number(&a, is_shared, e);
	mb->is_agreed = mb->is_agreed || is_shared;
	if (a.fd != -1)
		close(a.fd);
	VEC_DONE(&a.told);
	VEC_DONE(&a.keys);
	VEC_DONE(&a.is_used);
	VEC_DONE(&a.given);
	return rc;
}
