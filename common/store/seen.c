/* SPDX-License-Identifier: ISC */
/*
 * seen.c - a viewer's own \Seen in mailboxes that are not his own.
 *
 * Owns:    struct seen, the files "seen-GUID" in the state folder.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in the file.
 * Spec:    RFC 3501 section 2.3.2; RFC 4314 section 4 (the right "s").
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "os/file.h"
#include "store/seen.h"

#define HEADER "restante-seen 1 "
#define LOCK_FILE "seen.lock"
#define LOCK_MS 100 /* in one piece, where no steps can be taken */
#define WAIT_MS 5000
#define FILE_MAX (16 * 1024 * 1024)

struct seen {
	struct set32 uids;
	struct set32 added, removed; /* since the file was read */
	bool is_unread; /* it is there, and could not be read */
	struct file_stamp stamp; /* of the file that was read */
	char name[8 + 33];
	int dirfd;
	struct lock_wait wait;
};

/* ---- the file ------------------------------------------------------------ */

static bool
parse_range(struct str range, struct set32 *out)
{
	struct str first;
	uint32_t from, to;
	bool has_end = str_cut(&range, ':', &first);

	if (!num_parse_u32(first, 1, UINT32_MAX, &from))
		return false;
	to = from;
	if (has_end && !num_parse_u32(range, from, UINT32_MAX, &to))
		return false;
	set32_add_range(out, from, to);
	return true;
}

bool
seen_parse(struct str bytes, uint32_t uidvalidity, struct set32 *out)
{
	struct str line, range;
	uint32_t of;

	set32_clear(out);
	if (!str_starts(bytes, STR(HEADER)) || !str_cut(&bytes, '\n', &line) ||
	    !num_parse_u32(str_skip(line, strlen(HEADER)), 1, UINT32_MAX, &of))
		return false;
	/* Other messages than those of today: none of these is seen. */
	if (of != uidvalidity)
		return true;
	(void)str_cut(&bytes, '\n', &line);
	while (line.n > 0 && str_next(&line, ',', &range))
		if (!parse_range(range, out)) {
			set32_clear(out);
			return false;
		}
	return true;
}

void
seen_write(const struct set32 *uids, uint32_t uidvalidity, struct buf *b)
{
	buf_addf(b, HEADER "%u\n", uidvalidity);
	for (size_t i = 0; i < uids->n; i++) {
		const struct set32_range *r = &uids->r[i];

		buf_addf(b, i == 0 ? "%u" : ",%u", r->first);
		if (r->last != r->first)
			buf_addf(b, ":%u", r->last);
	}
	buf_add_c(b, "\n");
}

/*
 * The file's set, and over it what we have changed since. -1: it is there, and
 * can not be read now: what it says must not be written over.
 */
static int
load(struct mailbox *m, struct set32 *out, struct err *e)
{
	struct seen *s = m->seen;
	struct buf b;
	struct stat st;

	buf_init(&b, FILE_MAX);
	set32_clear(out);
	*e = (struct err){0};
	s->is_unread = false;
	if (file_load(s->dirfd, s->name, &b, &st, e) == 0) {
		s->stamp = file_stamp_of(&st);
		if (!seen_parse(buf_str(&b), m->uidvalidity, out))
			store_warn(m->store,
			    "mailbox=%s: %s is damaged, all is unseen", m->name,
			    s->name);
	} else if (e->code == ERR_NOT_FOUND) {
		s->stamp = (struct file_stamp){0};
	} else if (e->code == ERR_CORRUPT || e->code == ERR_LIMIT ||
	    e->sys == ELOOP) {
		/* That is none of ours. */
		(void)file_stamp_at(s->dirfd, s->name, &s->stamp);
		store_warn(m->store, "mailbox=%s: %s", m->name, e->text);
	} else {
		s->is_unread = true;
	}
	buf_done(&b);
	for (size_t i = 0; i < s->added.n; i++)
		set32_add_range(out, s->added.r[i].first, s->added.r[i].last);
	for (size_t i = 0; i < s->removed.n; i++)
		set32_remove_range(
		    out, s->removed.r[i].first, s->removed.r[i].last);
	return s->is_unread ? -1 : 0;
}

/* ---- a mailbox ----------------------------------------------------------- */

void
seen_open(struct mailbox *m)
{
	struct seen *s;
	struct err e;
	int dirfd;

	if (m->store->head == NULL || m->guid[0] == '\0' || m->seen != NULL)
		return;
	if (file_make_path(m->store->state, &e) == -1 ||
	    (dirfd = file_open_dir(AT_FDCWD, m->store->state, true, &e)) ==
		-1) {
		store_warn(m->store, "no \\Seen of one's own: %s", e.text);
		return;
	}
	s = m->seen = mem_new(1, sizeof(*s));
	set32_init(&s->uids);
	set32_init(&s->added);
	set32_init(&s->removed);
	s->dirfd = dirfd;
	(void)snprintf(s->name, sizeof(s->name), "seen-%s", m->guid);
	if (load(m, &s->uids, &e) == -1)
		store_warn(m->store, "mailbox=%s: %s", m->name, e.text);
}

void
seen_close(struct mailbox *m)
{
	struct seen *s = m->seen;
	struct err e;

	if (s == NULL)
		return;
	if (seen_save_now(m, &e) == -1)
		store_warn(m->store, "mailbox=%s: %s", m->name, e.text);
	m->seen = NULL;
	close(s->dirfd);
	set32_done(&s->uids);
	set32_done(&s->added);
	set32_done(&s->removed);
	free(s);
}

/* Messages that are in one set and not in the other. What is in the file and not
 * in the mailbox is passed over at once, however much that is. */
static void
note_difference(
    struct mailbox *m, const struct set32 *in, const struct set32 *not_in)
{
	uint32_t uid = 1, live;

	for (; set32_next(in, uid, &uid) && set32_next(&m->live, uid, &live);
	     uid++) {
		if (live > uid)
			uid = live - 1;
		else if (!set32_has(not_in, uid))
			mailbox_note_flags_of(m, uid, NULL);
		if (uid == UINT32_MAX)
			break;
	}
}

/* How many values two sets have in common. */
static uint32_t
count_common(const struct set32 *a, const struct set32 *b)
{
	uint32_t n = 0;

	for (size_t i = 0, j = 0; i < a->n && j < b->n;) {
		const struct set32_range *x = &a->r[i], *y = &b->r[j];
		uint32_t first = x->first > y->first ? x->first : y->first;
		uint32_t last = x->last < y->last ? x->last : y->last;

		if (first <= last)
			n += last - first + 1;
		if (x->last < y->last)
			i++;
		else
			j++;
	}
	return n;
}

uint32_t
seen_count_unseen(const struct mailbox *m)
{
	uint32_t n = 0;

	for (size_t i = 0; i < m->live.n; i++)
		n += m->live.r[i].last - m->live.r[i].first + 1;
	return n - count_common(&m->live, &m->seen->uids);
}

/* What another process has written; -1: it can not be read now. */
static int
look(struct mailbox *m, struct err *e)
{
	struct seen *s = m->seen;
	struct file_stamp now;
	struct set32 fresh;

	if (!file_stamp_at(s->dirfd, s->name, &now))
		return err_sys(e, "%s", s->name);
	if (!s->is_unread && file_stamp_eq(&now, &s->stamp))
		return 0;
	set32_init(&fresh);
	if (load(m, &fresh, e) == -1) {
		set32_done(&fresh);
		return -1;
	}
	note_difference(m, &fresh, &s->uids);
	note_difference(m, &s->uids, &fresh);
	set32_done(&s->uids);
	s->uids = fresh;
	return 0;
}

void
seen_sync(struct mailbox *m)
{
	struct err e;

	/* What was known stays; it is tried again. */
	if (m->seen != NULL)
		(void)look(m, &e);
}

bool
seen_has(const struct mailbox *m, uint32_t uid)
{
	return set32_has(&m->seen->uids, uid);
}

bool
seen_change(struct mailbox *m, uint32_t uid, bool on)
{
	struct seen *s = m->seen;

	if (set32_has(&s->uids, uid) == on)
		return false;
	if (on) {
		set32_add(&s->uids, uid);
		set32_add(&s->added, uid);
		set32_remove(&s->removed, uid);
	} else {
		set32_remove(&s->uids, uid);
		set32_add(&s->removed, uid);
		set32_remove(&s->added, uid);
	}
	return true;
}

/*
 * Another process of the viewer must not write between our look and what we
 * write; each holds it for a moment. ERR_IN_USE.
 */
static int
lock(const struct seen *s, uint32_t wait_ms, struct err *e)
{
	int fd = openat(s->dirfd, LOCK_FILE,
	    O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

	if (fd == -1)
		return err_sys(e, "%s", LOCK_FILE);
	/* On a file system without locks there is none. */
	if (file_lock_within(fd, wait_ms, e) == -1 && e->code == ERR_IN_USE) {
		close(fd);
		return -1;
	}
	return fd;
}

/* What others have written, and what has changed here. */
static int
save(struct mailbox *m, struct err *e)
{
	const struct file_perm perm = {
	    .dir_mode = 0700, .file_mode = 0600, .gid = (gid_t)-1};
	struct seen *s = m->seen;
	struct buf b;
	char temp[sizeof(s->name) + 24];
	int rc;

	if (look(m, e) == -1)
		return -1;
	buf_init(&b, FILE_MAX);
	seen_write(&s->uids, m->uidvalidity, &b);
	(void)snprintf(temp, sizeof(temp), "%s.%ld", s->name, (long)getpid());
	rc = buf_is_over(&b) ? err_set(e, ERR_LIMIT, "%s: too large", s->name)
			     : file_replace(s->dirfd, s->name, temp,
				   buf_str(&b), &perm, &s->stamp, e);
	buf_done(&b);
	if (rc == 0) {
		set32_clear(&s->added);
		set32_clear(&s->removed);
	}
	return rc;
}

static bool
has_changes(const struct seen *s)
{
	return s != NULL &&
	    !(set32_is_empty(&s->added) && set32_is_empty(&s->removed));
}

static int
save_within(struct mailbox *m, uint32_t wait_ms, struct err *e)
{
	int fd, rc;

	if (!has_changes(m->seen))
		return 0;
	fd = lock(m->seen, wait_ms, e);
	if (fd == -1)
		return -1;
	rc = save(m, e);
	close(fd);
	return rc;
}

int
seen_save_now(struct mailbox *m, struct err *e)
{
	return save_within(m, LOCK_MS, e);
}

enum step
seen_save(struct mailbox *m, struct err *e)
{
	/* Who waited last may have gone meanwhile. */
	if (m->seen != NULL &&
	    clock_mono_ms() > m->seen->wait.until_ms + WAIT_MS)
		m->seen->wait = (struct lock_wait){0};
	if (save_within(m, 1, e) == -1)
		return store_lock_wait(m->store, &m->seen->wait, WAIT_MS, e);
	if (m->seen != NULL)
		m->seen->wait = (struct lock_wait){0};
	return STEP_DONE;
}
