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
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "store/mbox/mbox_reading.h"
#include "store/mbox/mbox_told.h"

#define PIECE 4096 /* entries */
#define LOCK_NAPS 5 /* of a millisecond */

struct by_key {
	uint64_t key;
	uint32_t at; /* in agree.t.v */
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
	struct mbox_told t;
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
key_told(const struct mbox_told_entry *t)
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
	    lstat(file, &st) == 0 && (uint64_t)st.st_size > MBOX_TOLD_FRONT;
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
mbox_agree_lock(const struct mailbox *m, struct err *e)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	char file[PATH_MAX], dir[PATH_MAX];
	int fd, rc;

	if (!path_of(m->store, mbox_of(m)->path, file))
		return err_set(e, ERR_LIMIT, "the state folder's path");
	(void)snprintf(
	    dir, sizeof(dir), "%.*s", (int)(strrchr(file, '/') - file), file);
	if (file_make_path(dir, e) == -1)
		return -1;
	for (unsigned i = 0; i < LOCK_NAPS; i++) {
		fd = open(file,
		    O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		    0600);
		if (fd == -1)
			return err_sys(e, "open %s", file);
		rc = flock(fd, LOCK_EX | LOCK_NB);
		if (rc == 0 && is_there(fd, file))
			return fd;
		/* A file system without locks: that does not pass. */
		if (rc == -1 && errno != EWOULDBLOCK && errno != EINTR) {
			(void)err_sys(e, "flock %s", file);
			close(fd);
			return -1;
		}
		close(fd);
		/* Others have it for a moment, or have just removed it. */
		(void)nanosleep(&nap, NULL);
	}
	return err_set(e, ERR_IN_USE,
	    "another process is giving messages of %s their UIDs",
	    mbox_of(m)->path);
}

bool
mbox_agree_is_for_now(const struct err *e)
{
	switch (e->sys) {
	case EIO:
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ESTALE:
		return true;
	default:
		return e->code == ERR_IN_USE;
	}
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
	    a->t.n > 2 * (uint64_t)a->r->slots.n + mbox_tuning.told_spare;
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
	struct mbox_told_entry *piece;
	uint32_t last = a->t.last;
	size_t n = 0;
	bool ok = true, is_anew = !a->t.is_front_good;

	sort_given(a);
	if (a->given.v[a->given.n - 1].uid <= last)
		return true;

	if (a->t.is_front_good && is_too_long(a)) {
		collect_all(a);
		last = 0;
		is_anew = true;
	}
	if (is_anew) {
		a->t.n = 0;
		ok = ftruncate(a->t.fd, 0) == 0;
	} else if (!a->t.is_of_this_boot || a->t.n == 0) {
		ok = mbox_told_write_front(&a->t, mbox_told_validity(a->r->m));
	}
	piece = mem_new(PIECE, sizeof(*piece));
	for (size_t i = 0; ok && i <= a->given.n; i++) {
		const struct given *g = &a->given.v[i];

		if (i < a->given.n && g->uid > last)
			piece[n++] = (struct mbox_told_entry){g->uid,
			    {(uint32_t)g->key, (uint32_t)(g->key >> 32)}};
		if (n < PIECE && i < a->given.n)
			continue;
		ok = mbox_told_add(&a->t, piece, n);
		n = 0;
	}
	free(piece);
	/* Last, so that a part of it is not believed. */
	return ok &&
	    (!is_anew ||
		mbox_told_write_front(&a->t, mbox_told_validity(a->r->m)));
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
	for (size_t i = 0; i < a->t.v.n; i++)
		*VEC_ADD(&a->keys) = (struct by_key){
		    .key = key_told(&a->t.v.v[i]), .at = (uint32_t)i};
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
	if (a->is_used.v[i] || !is_free(a, a->t.v.v[i].uid))
		return 0;
	a->is_used.v[i] = 1;
	a->at = i + 1;
	return a->t.v.v[i].uid;
}

/* The UID that was told for this content; 0: none. */
static uint32_t
find(struct agree *a, uint64_t key)
{
	size_t lo = 0, hi, first;
	uint32_t uid = 0;

	if (a->at < a->t.v.n && key_told(&a->t.v.v[a->at]) == key &&
	    (uid = take(a, a->at)) != 0)
		return uid;
	if (a->t.v.n > 0 && a->keys.n == 0)
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

	if (a->t.last >= next)
		next = a->t.last + 1;
	VEC_EACH(&a->given, g)
		if (g->uid >= next)
			next = g->uid + 1;
	if (!is_shared && a->r->claimed_next > next)
		next = a->r->claimed_next;
	*out = next;
	if (a->t.n > 0 && a->t.is_of_this_boot)
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
	VEC_EACH(&a->t.v, t)
		*VEC_ADD(&a->is_used) = t->uid == 0;
	if (a->t.v.n > 0)
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

/* What we have just added is there, and must not seem to have failed. */
static bool
must_join(const struct mbox_reading *r, const struct err *e)
{
	return mbox_agree_is_for_now(e) &&
	    !(r->is_tail && mbox_of(r->m)->is_own_tail &&
		(e->code != ERR_IN_USE || r->is_apart));
}

/*
 * Locks and reads what others have told. -1: that can not be done now, and who
 * went on without it might give messages other UIDs than they have.
 */
static int
join_others(struct agree *a, bool *is_shared, struct err *e)
{
	struct mailbox *m = a->r->m;
	uint32_t uidvalidity = mbox_told_validity(m);

	if (uidvalidity == 0)
		return 0;
	a->t.fd = mbox_agree_lock(m, e);
	if (a->t.fd == -1)
		return must_join(a->r, e) ? -1 : 0;
	if (mbox_told_read(&a->t, uidvalidity, a->r->floor, e) == 0)
		*is_shared = true;
	else if (must_join(a->r, e))
		return -1;
	return 0;
}

int
mbox_agree(struct mbox_reading *r, struct err *e)
{
	struct mbox *mb = mbox_of(r->m);
	struct agree a = {.r = r, .t.fd = -1};
	bool is_shared = false;
	int rc;

	if (r->has_base || !r->has_given)
		return 0;
	rc = join_others(&a, &is_shared, e);
	if (!is_shared)
		VEC_DONE(&a.t.v);
	if (rc == 0)
		rc = number(&a, is_shared, e);
	mb->is_agreed = mb->is_agreed || is_shared;
	if (a.t.fd != -1)
		close(a.t.fd);
	VEC_DONE(&a.t.v);
	VEC_DONE(&a.keys);
	VEC_DONE(&a.is_used);
	VEC_DONE(&a.given);
	return rc;
}
