/* SPDX-License-Identifier: ISC */
/*
 * mbox_check.c - for restantectl: is there something wrong in the user's mbox
 * files? Reads only, under the lock for reading.
 *
 * Owns:    nothing.
 * Runs in: restantectl, as the mail user.
 * Trusts:  nothing on disk.
 * Spec:    formats.md 6, 7.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/check_impl.h"
#include "store/mbox/mbox_impl.h"

#define LOCK_WAIT_MS 10000
#define LOCK_PAUSE_MS 50
#define OLD_LOCK_S 300
#define SUBS_MAX_BYTES (UINT64_C(64) * 1024 * 1024)

/* What a walk through one file has met. */
struct walk {
	struct check *c;
	struct str name;
	const char *path;
	uint64_t messages;
	struct str keywords; /* of the base, in the arena */
	bool has_base;
	uint32_t last_uid, prev;
	uint32_t no_uid; /* among those that have one behind them */
	uint32_t no_uid_at_end; /* so far: new mail */
	uint32_t wrong_uid; /* not above the one before, or above last_uid */
	uint32_t strange_keywords, wrong_length, late_base;
	bool uid_before_base;
};

/* ---- one message ----------------------------------------------------------- */

static bool
is_listed(struct str list, struct str name)
{
	struct str one;

	while (mbox_keyword_next(&list, &one))
		if (str_eq_nocase(one, name))
			return true;
	return false;
}

static size_t
find_field(struct str header, struct str field)
{
	size_t at = 0;
	struct str line;

	while (str_next(&header, '\n', &line)) {
		if (str_starts_nocase(line, field))
			return at;
		at++;
	}
	return SIZE_MAX;
}

static void
see_base(struct walk *w, const struct mbox_msg *msg)
{
	const struct mbox_state *st = &msg->state;

	w->has_base = st->has_base;
	w->last_uid = st->last_uid;
	w->keywords = arena_str(w->c->arena, st->base_keywords);
	w->uid_before_base = st->has_base && !st->is_pseudo &&
	    find_field(msg->header, STR("X-UID:")) <
		find_field(msg->header, STR("X-IMAPbase:"));
}

static void
see_uid(struct walk *w, const struct mbox_state *st)
{
	if (st->uid == 0) {
		w->no_uid_at_end++;
		return;
	}
	w->no_uid += w->no_uid_at_end;
	w->no_uid_at_end = 0;
	if (st->uid <= w->prev || st->uid > w->last_uid)
		w->wrong_uid++;
	else
		w->prev = st->uid;
}

static void
see(struct walk *w, const struct mbox_msg *msg, bool is_first)
{
	const struct mbox_state *st = &msg->state;
	struct str list = st->keywords, name;

	if (is_first)
		see_base(w, msg);
	else
		w->late_base += st->has_base;
	if (is_first && st->is_pseudo)
		return;
	w->messages++;
	if (w->has_base)
		see_uid(w, st);
	while (mbox_keyword_next(&list, &name))
		if (!is_listed(w->keywords, name)) {
			w->strange_keywords++;
			break;
		}
	w->wrong_length += st->has_length && st->length != msg->body_len;
}

/* ---- what is told ---------------------------------------------------------- */

static void
tell_walk(const struct walk *w)
{
	if (w->messages > 0 && !w->has_base)
		check_tell(w->c, CHECK_NOTE, "uids", w->name, NULL,
		    "No message has an UID yet; they are given at the first "
		    "login.");
	if (w->no_uid > 0 || w->wrong_uid > 0)
		check_tell(w->c, CHECK_FAULT | CHECK_CAN_REPAIR, "uids",
		    w->name,
		    "They get new ones; mail programs fetch them again.",
		    "%u messages have no UID where one should be, %u one that "
		    "can not be: not above those before, or above the last "
		    "UID in X-IMAPbase.",
		    w->no_uid, w->wrong_uid);
	if (w->uid_before_base)
		check_tell(w->c, CHECK_FAULT, "uids", w->name,
		    "Change a flag of the first message: it is then written "
		    "in order.",
		    "X-UID stands before X-IMAPbase: UW-IMAP and Alpine would "
		    "renumber all messages.");
	if (w->late_base > 0)
		check_tell(w->c, CHECK_NOTE, "uids", w->name, NULL,
		    "%u messages that are not the first carry X-IMAPbase or "
		    "X-IMAP; that means nothing.",
		    w->late_base);
	if (w->strange_keywords > 0)
		check_tell(w->c, CHECK_NOTE, "keywords", w->name, NULL,
		    "%u messages have keywords that X-IMAPbase does not list; "
		    "they are not shown.",
		    w->strange_keywords);
	if (w->wrong_length > 0)
		check_tell(w->c, CHECK_NOTE, "structure", w->name, NULL,
		    "%u messages have a Content-Length that is not theirs; it "
		    "is not used.",
		    w->wrong_length);
}

static void
walk(struct walk *w, int fd, uint64_t size)
{
	struct mbox_scan s;
	struct mbox_msg msg;
	bool found, is_first = true;
	struct err e;
	int rc;

	mbox_scan_init(&s, mbox_read_fd, &fd, size, 0);
	while ((rc = mbox_scan_next(&s, &msg, &found, &e)) == 0 && found) {
		see(w, &msg, is_first);
		is_first = false;
	}
	mbox_scan_done(&s);
	w->c->sum->messages += w->messages;
	if (rc == -1 && e.code == ERR_FORMAT)
		check_tell(w->c, CHECK_FAULT, "format", w->name,
		    "Convert it: mailutil(1) of the package uw-mailutils "
		    "copies "
		    "it to a new mailbox (mailutil copy mail/OLD mail/NEW); "
		    "put "
		    "that in its place.",
		    "%s is %s.", w->path, e.text);
	else if (rc == -1 && e.code == ERR_CORRUPT)
		check_tell(w->c, CHECK_FAULT, "structure", w->name,
		    "Move the file away if it is no mail; else its first line "
		    "must be one that begins a message.",
		    "%s is no mbox file.", w->path);
	else if (rc == -1)
		check_tell(w->c, CHECK_FAULT, "structure", w->name,
		    "Look at the disk.", "%s can not be read: %s.", w->path,
		    e.text);
	else
		tell_walk(w);
}

/* ---- one file -------------------------------------------------------------- */

/* Nobody is to write while we read. */
static bool
lock(int fd)
{
	struct flock l = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000};
	int64_t until = clock_mono_ms() + LOCK_WAIT_MS;

	while (fcntl(fd, F_OFD_SETLK, &l) == -1) {
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return true; /* no such locks there */
		if (clock_mono_ms() >= until)
			return false;
		(void)nanosleep(&pause, NULL);
	}
	return true;
}

static void
check_owner(const struct walk *w, const struct stat *st)
{
	if (st->st_uid != geteuid())
		check_tell(w->c, CHECK_FAULT, "owner", w->name,
		    "Change its owner (chown).",
		    "%s belongs to uid %u, not to the user (uid %u).", w->path,
		    (unsigned)st->st_uid, (unsigned)geteuid());
	else if (access(w->path, W_OK) == -1)
		check_tell(w->c, CHECK_NOTE, "owner", w->name,
		    "Change its mode (chmod u+w).",
		    "%s can not be written: flags are not kept.", w->path);
}

static void
check_lock_file(const struct walk *w)
{
	char path[PATH_MAX];
	struct stat st;
	int64_t age;

	if (snprintf(path, sizeof(path), "%s.lock", w->path) >=
		(int)sizeof(path) ||
	    lstat(path, &st) == -1)
		return;
	age = clock_wall_s() - st.st_mtim.tv_sec;
	if (age >= OLD_LOCK_S)
		check_tell(w->c, CHECK_NOTE, "lock", w->name,
		    "It is broken at the next change; remove it if its "
		    "program is gone.",
		    "%s is %lld minutes old.", path, (long long)age / 60);
}

/* True: half a change lies there, which the next to write completes. */
static bool
has_journal(const struct walk *w, int fd)
{
	const struct store_settings *set = w->c->set;
	bool own = set->state_dir != NULL && set->state_dir[0] == '/', pending;
	struct mbox_shift shift = {.fd = fd, .path = w->path};
	char dir[PATH_MAX];
	struct err e;

	if (snprintf(dir, sizeof(dir), "%s%s/mbox-journal",
		own ? set->state_dir : set->home,
		own ? "" : "/.local/state/restante") >= (int)sizeof(dir))
		return false;
	shift.dir = dir;
	mbox_shift_init(&shift);
	if (mbox_shift_look(&shift, &pending, &e) == -1) {
		check_tell(w->c, CHECK_FAULT, "journal", w->name,
		    "Look at its owner and mode.",
		    "Whether a change of %s was interrupted can not be told: "
		    "%s.",
		    w->path, e.text);
		pending = true;
	} else if (pending)
		check_tell(w->c, CHECK_FAULT | CHECK_CAN_REPAIR, "journal",
		    w->name, "It is completed when the mailbox is opened next.",
		    "A change of %s was interrupted.", w->path);
	mbox_shift_done(&shift);
	return pending;
}

static void
check_file(struct check *c, struct str name, const char *path)
{
	struct walk w = {.c = c, .name = name, .path = path};
	struct stat st;
	struct err e;
	int fd = file_open(AT_FDCWD, path, &st, &e);

	c->sum->mailboxes++;
	if (fd == -1 && e.code == ERR_NOT_FOUND)
		return; /* an INBOX to which nothing has come */
	if (fd == -1) {
		check_tell(c, CHECK_FAULT, "structure", name,
		    "Look at its owner and mode.", "%s can not be opened: %s.",
		    path, e.text);
		return;
	}
	check_owner(&w, &st);
	check_lock_file(&w);
	if (!lock(fd))
		check_tell(c, CHECK_NOTE, "lock", name, "Try again.",
		    "%s is being written to; it was not looked at.", path);
	else if (!has_journal(&w, fd) && fstat(fd, &st) == 0)
		walk(&w, fd, (uint64_t)st.st_size);
	close(fd);
}

/* Folders in which UW-IMAP keeps a mailbox of its own kind. */
static void
check_folder(struct check *c, struct str name, const char *path)
{
	char file[PATH_MAX];

	if (snprintf(file, sizeof(file), "%s/.mixmeta", path) <
		(int)sizeof(file) &&
	    access(file, F_OK) == 0)
		check_tell(c, CHECK_FAULT, "format", name,
		    "Convert it: mailutil(1) of the package uw-mailutils "
		    "copies "
		    "it to a new mailbox (mailutil copy mail/OLD mail/NEW).",
		    "%s is a mailbox of UW-IMAP's mix format, which is not "
		    "read "
		    "here.",
		    path);
}

/* ---- all of them ----------------------------------------------------------- */

static void
check_subs(struct check *c, struct store *s)
{
	const char *file;
	struct buf b;
	struct err e;
	int dirfd = mbox_subs_dir(s, &file);

	buf_init(&b, SUBS_MAX_BYTES);
	if (dirfd == -1) {
		;
	} else if (file_load(dirfd, file, &b, NULL, &e) == 0) {
		if (b.n > 0 && b.p[b.n - 1] != '\n')
			check_tell(c, CHECK_NOTE, "subscriptions", STR(""),
			    "It is written anew at the next change.",
			    "The last line of %s is torn.", file);
	} else if (e.code != ERR_NOT_FOUND) {
		check_tell(c, CHECK_FAULT, "subscriptions", STR(""),
		    "Look at its owner and mode.", "%s can not be read: %s.",
		    file, e.text);
	}
	buf_done(&b);
}

int
mbox_check(struct check *c, struct err *e)
{
	char root[PATH_MAX], inbox[PATH_MAX], path[PATH_MAX];
	struct mbox_place place = {.rootfd = -1};
	struct store s = {
	    .impl = &place,
	    .root = root,
	    .delimiter = '/',
	    .is_utf8 = c->loc->is_utf8,
	};
	struct mbox_entry *m = NULL;
	void *at = NULL;
	enum step step;
	struct err ignored;

	if (!str_to_c(c->loc->root, root, sizeof(root)) ||
	    (c->loc->inbox.p != NULL &&
		!str_to_c(c->loc->inbox, inbox, sizeof(inbox))))
		return err_set(e, ERR_LIMIT, "path too long");
	s.inbox = c->loc->inbox.p != NULL ? inbox : NULL;
	place.rootfd = file_open_dir(AT_FDCWD, root, true, &ignored);
	place.is_uw = str_eq(c->loc->root, str_of(c->set->home));
	do
		step = mbox_list(&s, c->arena, &at, &m, e);
	while (step == STEP_MORE);
	mbox_list_end(&at);
	if (step == STEP_FAIL)
		return -1;
	for (; m != NULL; m = m->next) {
		if (m->attrs & MBOX_NONEXISTENT ||
		    mbox_path(&s, m->name, path, &ignored) == -1)
			continue;
		if (m->attrs & MBOX_NOSELECT)
			check_folder(c, m->name, path);
		else
			check_file(c, m->name, path);
	}
	check_subs(c, &s);
	if (place.rootfd != -1)
		close(place.rootfd);
	return 0;
}
