/* SPDX-License-Identifier: ISC */
/*
 * maildir_flags.c - flags, keywords, removal: one rename or unlink each.
 *
 * Owns:    nothing that lasts.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  no name that it remembers: when the file is not there under it,
 *          the folder is read again and the change is applied to the flags
 *          that the message has now.
 * Spec:    formats.md 1.3, 2.7; security.md 7.2.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bounds.h"
#include "base/mem.h"
#include "store/maildir/keywords.h"
#include "store/derived.h"
#include "store/maildir/maildir_impl.h"
#include "store/maildir/maildirsize.h"

#define TRIES 10
#define LOCK_WAIT_MS 5000
#define MORE_MAX 1024

int
maildir_dir_fd(const struct maildir *md, const struct msg_rec *r)
{
	return r->own & OWN_NEW ? md->newfd : md->curfd;
}

/* ---- keyword files ------------------------------------------------------- */

static void
on_keyword(void *arg, size_t number, struct str name)
{
	struct mailbox *m = arg;
	struct str old = mailbox_keyword_name(m, number);

	if (old.p == NULL || !str_eq(old, name))
		mailbox_set_keyword(m, number, name);
	if (number < KEYWORD_LETTERS)
		maildir_of(m)->has_keywords_file = true;
}

static void
on_set(void *arg, struct str base, const uint16_t *numbers, size_t n)
{
	struct mailbox *m = arg;
	size_t i = maildir_find(m, base), old_n;
	struct msg_rec *r;
	const uint16_t *old;

	maildir_of(m)->more_sets_in_file++;
	if (i == NO_REC) {
		maildir_of(m)->has_stray_sets = true;
		return;
	}
	r = &m->recs.v[i];
	old = mailbox_more(m, r, &old_n);
	if (n == old_n && (n == 0 || memcmp(old, numbers, n * 2) == 0))
		return;
	mailbox_set_more(m, r, numbers, n);
	if (r->state == REC_LIVE)
		mailbox_note_flags(m, r, NULL);
}

/* Letters in file names that have no name get one, as Dovecot does it. */
static int
name_letters(struct mailbox *m, struct err *e)
{
	struct maildir *md = maildir_of(m);
	uint32_t nameless = md->letters & ~m->named_letters;
	bool was_held = md->list.lock.held;
	char *names[KEYWORD_LETTERS] = {0};
	char text[32];
	int rc;

	if (nameless == 0 || !md->has_keywords_file)
		return 0;
	for (size_t i = 0; i < KEYWORD_LETTERS; i++) {
		if (!(nameless & 1u << i))
			continue;
		(void)snprintf(text, sizeof(text), "unknown-%zu", i);
		mailbox_set_keyword(m, i, str_of(text));
	}
	if (m->is_read_only || md->is_in_memory ||
	    (!was_held && !maildir_lock_now(m)))
		return 0;
	for (size_t i = 0; i < m->keywords.n && i < KEYWORD_LETTERS; i++)
		names[i] = m->keywords.v[i];
	rc = keywords_save(
	    md->wordsfd, &md->perm, names, &md->keywords_stamp, e);
	if (!was_held)
		maildir_unlock(m);
	return rc == -1 && e->code != ERR_NO_SPACE ? -1 : 0;
}

int
maildir_read_keywords(struct mailbox *m, struct err *e)
{
	struct maildir *md = maildir_of(m);
	struct file_stamp more;

	/* Sets of messages that are not loaded may be among the new ones. */
	if (m->lazy_top != 0 &&
	    ((md->has_stray_sets && md->has_new_recs) ||
		!file_stamp_at(md->wordsfd, MORE_KEYWORDS_FILE, &more) ||
		!file_stamp_eq(&more, &md->more_stamp)) &&
	    mailbox_load(m, e) == -1)
		return -1;
	if (md->has_stray_sets && md->has_new_recs) {
		/* A set may have been written before its message was met. */
		md->more_stamp = (struct file_stamp){0};
		md->more_read = (struct file_tail){0};
		md->more_sets_in_file = 0;
		md->has_stray_sets = false;
	}
	md->has_new_recs = false;
	if (keywords_load(md->wordsfd, &md->keywords_stamp, on_keyword, m, e) ==
		-1 ||
	    keywords_load_more(md->wordsfd, &md->more_stamp, &md->more_read,
		on_keyword, on_set, m, e) == -1)
		return -1;
	return name_letters(m, e);
}

/* The lowest letter that has no name and is in no file name. */
static bool
free_letter(const struct mailbox *m, size_t *out)
{
	uint32_t used = maildir_of(m)->letters;

	for (size_t i = 0; i < m->recs.n; i++)
		used |= m->recs.v[i].keywords;
	for (size_t i = 0; i < KEYWORD_LETTERS; i++) {
		if (mailbox_keyword_name(m, i).p != NULL || used & 1u << i)
			continue;
		*out = i;
		return true;
	}
	return false;
}

static int
save_letter(struct mailbox *m, size_t number, struct str name, struct err *e)
{
	struct maildir *md = maildir_of(m);
	char *names[KEYWORD_LETTERS] = {0}, *text = str_to_heap(name);
	int rc;

	for (size_t i = 0; i < m->keywords.n && i < KEYWORD_LETTERS; i++)
		names[i] = m->keywords.v[i];
	names[number] = text;
	rc = keywords_save(
	    md->wordsfd, &md->perm, names, &md->keywords_stamp, e);
	free(text);
	return rc;
}

static int
save_more_name(struct mailbox *m, size_t number, struct str name, struct err *e)
{
	struct maildir *md = maildir_of(m);
	struct buf b;
	int rc;

	buf_init(&b, 1024);
	(void)buf_addf(&b, "k %zu ", number);
	(void)buf_add_str(&b, name);
	(void)buf_add_byte(&b, '\n');
	rc = keywords_append_more(md->wordsfd, &md->perm, buf_str(&b),
	    &md->more_stamp, &md->more_read, e);
	buf_done(&b);
	return rc;
}

static int
make_keyword(struct mailbox *m, struct str name, size_t *number, struct err *e)
{
	int rc;

	if (mailbox_load(m, e) == -1 || maildir_read_keywords(m, e) == -1)
		return -1;
	if (mailbox_keyword_find(m, name, number))
		return 0;
	if (free_letter(m, number)) {
		rc = save_letter(m, *number, name, e);
	} else {
		*number = m->keywords.n < KEYWORD_LETTERS ? KEYWORD_LETTERS
							  : m->keywords.n;
		if (*number >= KEYWORD_LETTERS + MORE_KEYWORDS_MAX)
			return err_set(e, ERR_LIMIT, "too many keywords");
		rc = save_more_name(m, *number, name, e);
	}
	if (rc == 0)
		on_keyword(m, *number, name);
	return rc;
}

/* A lock that an append or a sync of ours has between two steps will do. */
static enum step
borrow_lock(struct mailbox *m, bool *borrowed, struct err *e)
{
	struct maildir *md = maildir_of(m);

	*borrowed = md->list.lock.held;
	return *borrowed
	    ? STEP_DONE
	    : maildir_lock(m, m, &md->keyword_wait, LOCK_WAIT_MS, e);
}

enum step
maildir_keyword(
    struct mailbox *m, struct str name, size_t *number, struct err *e)
{
	bool borrowed;
	enum step step = STEP_FAIL;

	if (!keywords_is_name(name)) {
		(void)err_set(e, ERR_BAD_NAME, "not a keyword");
		return STEP_FAIL;
	}
	if (m->is_read_only || maildir_of(m)->is_in_memory) {
		(void)err_set(e, ERR_READ_ONLY, "%s: read-only", m->name);
		return STEP_FAIL;
	}
	step = borrow_lock(m, &borrowed, e);
	if (step != STEP_DONE)
		return step;
	if (make_keyword(m, name, number, e) == -1)
		step = STEP_FAIL;
	if (!borrowed)
		maildir_unlock(m);
	return step;
}

/* The file as it would be with only what is needed. */
static int
rewrite_more(struct mailbox *m, struct str lines, struct err *e)
{
	struct maildir *md = maildir_of(m);
	struct buf b;
	uint32_t n = 0;
	int rc;

	buf_init(&b, SIZE_MAX / 2);
	for (size_t i = KEYWORD_LETTERS; i < m->keywords.n; i++)
		if (m->keywords.v[i] != NULL)
			(void)buf_addf(&b, "k %zu %s\n", i, m->keywords.v[i]);
	for (size_t i = 0; i < m->recs.n; i++) {
		const struct msg_rec *r = &m->recs.v[i];
		size_t n_more;
		const uint16_t *more = mailbox_more(m, r, &n_more);

		if (r->state == REC_EXPUNGED || n_more == 0)
			continue;
		(void)keywords_put_set(&b, maildir_base(m, r), more, n_more);
		n++;
	}
	(void)buf_add_str(&b, lines);
	rc = keywords_save_more(md->wordsfd, &md->perm, buf_str(&b),
	    &md->more_stamp, &md->more_read, e);
	if (rc == 0)
		md->more_sets_in_file = n;
	buf_done(&b);
	return rc;
}

int
maildir_rewrite_keywords(struct mailbox *m, struct err *e)
{
	struct maildir *md = maildir_of(m);
	char *names[KEYWORD_LETTERS] = {0};
	struct stat st;

	if (maildir_read_keywords(m, e) == -1)
		return -1;
	for (size_t i = 0; i < m->keywords.n && i < KEYWORD_LETTERS; i++)
		names[i] = m->keywords.v[i];
	if (fstatat(md->wordsfd, KEYWORDS_FILE, &st, AT_SYMLINK_NOFOLLOW) ==
		0 &&
	    keywords_save(
		md->wordsfd, &md->perm, names, &md->keywords_stamp, e) == -1)
		return -1;
	/* A file of a later version is not ours to write. */
	return md->more_read.end == 0 ? 0 : rewrite_more(m, STR(""), e);
}

static uint32_t
live_sets(const struct mailbox *m)
{
	uint32_t n = 0;

	for (size_t i = 0; i < m->recs.n; i++)
		n += m->recs.v[i].state != REC_EXPUNGED &&
		    m->recs.v[i].more != 0;
	return n;
}

int
maildir_save_more(struct mailbox *m, struct str lines, struct err *e)
{
	struct maildir *md = maildir_of(m);
	int rc;

	ASSERT(md->list.lock.held);
	rc = mailbox_load(m, e);
	if (rc == 0)
		rc = maildir_read_keywords(m, e);
	if (rc == 0) {
		if (md->more_sets_in_file > 256 && !md->has_stray_sets &&
		    md->more_sets_in_file / 2 > live_sets(m))
			rc = rewrite_more(m, lines, e);
		else
			rc = keywords_append_more(md->wordsfd, &md->perm, lines,
			    &md->more_stamp, &md->more_read, e);
		md->more_sets_in_file++;
	}
	return rc;
}

/* ---- flags --------------------------------------------------------------- */

/* The name that a record's file gets with these flags; `name` has parts of it.
 * False: it would be too long. */
static bool
name_with(const struct mailbox *m, const struct msg_rec *r, uint8_t system,
    uint32_t keywords, char to[512], struct maildir_name *name)
{
	struct str base = maildir_base(m, r);
	char plain[MAILDIR_INFO_MAX];
	struct buf b;
	size_t n;
	bool ok;

	if (!(r->own & OWN_INFO)) {
		n = maildir_name_info(plain, system, keywords);
		if (base.n + n > MAILDIR_NAME_MAX)
			return false;
		memcpy(to, base.p, base.n);
		memcpy(to + base.n, plain, n);
		to[base.n + n] = '\0';
		*name = (struct maildir_name){
		    .base = str_make(to, base.n),
		    .info = str_make(to + base.n, n),
		    .system = system,
		    .keywords = keywords,
		    .is_plain = true,
		};
		return true;
	}
	buf_init(&b, MAILDIR_NAME_MAX);
	(void)buf_add_str(&b, base);
	(void)maildir_name_change(
	    &b, maildir_info(m, r, plain), system, keywords);
	ok = !buf_is_over(&b) && str_to_c(buf_str(&b), to, 512) &&
	    maildir_name_parse(str_of(to), name);
	buf_done(&b);
	return ok;
}

/* Renames the file for these flags; ERR_NOT_FOUND: it is not there. */
static int
rename_for(struct mailbox *m, struct msg_rec *r, uint8_t system,
    uint32_t keywords, struct err *e)
{
	struct maildir *md = maildir_of(m);
	char from[512], to[512];
	bool to_cur = m->n_writers > 0 || !(r->own & OWN_NEW);
	enum maildir_dir from_dir = r->own & OWN_NEW ? DIR_NEW : DIR_CUR;
	enum maildir_dir to_dir = to_cur ? DIR_CUR : DIR_NEW;
	struct maildir_name name;

	(void)maildir_file_name(m, r, from);
	if (!name_with(m, r, system, keywords, to, &name))
		return err_set(e, ERR_LIMIT, "file name too long");
	maildir_change_begin(md);
	if (file_rename_free(from_dir == DIR_NEW ? md->newfd : md->curfd, from,
		to_dir == DIR_NEW ? md->newfd : md->curfd, to, e) == -1)
		return -1;
	(void)maildir_take_name(m, r, to_dir, &name);
	return 0;
}

static int
write_more(struct mailbox *m, struct msg_rec *r, const uint16_t *more, size_t n,
    struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, 65536);
	(void)keywords_put_set(&b, maildir_base(m, r), more, n);
	rc = buf_is_over(&b) ? err_set(e, ERR_LIMIT, "too many keywords")
			     : maildir_save_more(m, buf_str(&b), e);
	buf_done(&b);
	return rc;
}

static enum step
gone(struct mailbox *m, uint32_t uid, struct err *e)
{
	(void)err_set(e, ERR_GONE, "%s: message %u is gone", m->name, uid);
	return STEP_FAIL;
}

static enum step
keeps_moving(struct mailbox *m, uint32_t uid, struct err *e)
{
	(void)err_set(e, ERR_IN_USE, "%s: message %u is renamed all the time",
	    m->name, uid);
	return STEP_FAIL;
}

/* Keywords from 26 up, under the lock; the rename was done. */
static int
change_more(struct mailbox *m, uint32_t uid, const uint16_t *more, size_t n,
    struct err *e)
{
	struct msg_rec *r = mailbox_rec(m, uid);

	if (r == NULL)
		return gone(m, uid, e), -1;
	if (write_more(m, r, more, n, e) == -1)
		return -1;
	r = mailbox_rec(m, uid); /* the file may have been read meanwhile */
	if (r != NULL)
		mailbox_set_more(m, r, more, n);
	return 0;
}

enum step
maildir_change_once(struct mailbox *m, struct msg_rec *r,
    const struct flag_change *c, bool *changed, struct err *e)
{
	uint16_t more[MORE_MAX];
	const uint16_t *old_more;
	size_t n_more, n_old;
	uint8_t system;
	uint32_t keywords, uid = r->uid;
	bool has_more, borrowed = true;
	enum step step = STEP_DONE;

	old_more = mailbox_more(m, r, &n_old);
	if (n_old + c->n_more > MORE_MAX) {
		(void)err_set(e, ERR_LIMIT, "too many keywords");
		return STEP_FAIL;
	}
	*changed =
	    mailbox_apply_change(m, r, c, &system, &keywords, more, &n_more);
	if (!*changed)
		return STEP_DONE;
	if (keywords != r->keywords || n_more > 0 || n_old > 0)
		maildir_of(m)->courier_is_dirty = true;
	has_more = n_more != n_old ||
	    (n_more > 0 && memcmp(more, old_more, n_more * 2) != 0);
	if (has_more)
		step = borrow_lock(m, &borrowed, e);
	if (step != STEP_DONE)
		return step;
	if ((system != r->system || keywords != r->keywords) &&
	    rename_for(m, r, system, keywords, e) == -1)
		step = STEP_FAIL;
	if (step == STEP_DONE && has_more &&
	    change_more(m, uid, more, n_more, e) == -1)
		step = STEP_FAIL;
	if (!borrowed)
		maildir_unlock(m);
	return step;
}

enum step
maildir_set_flags(struct mailbox *m, uint32_t uid, const struct flag_change *c,
    bool *changed, struct err *e)
{
	for (int i = 0; i < TRIES; i++) {
		struct msg_rec *r = mailbox_rec(m, uid);
		enum step step;

		if (r == NULL || r->state != REC_LIVE)
			return gone(m, uid, e);
		step = maildir_change_once(m, r, c, changed, e);
		if (step != STEP_FAIL ||
		    (e->code != ERR_NOT_FOUND && e->code != ERR_EXISTS))
			return step;
		step = maildir_sync(m, SYNC_FORCE, e);
		if (step != STEP_DONE)
			return step;
	}
	return keeps_moving(m, uid, e);
}

/* ---- quota --------------------------------------------------------------- */

static int
root_of(const struct mailbox *m)
{
	const struct maildir_place *p = m->store->impl;

	return p->rootfd;
}

void
maildir_count(
    struct mailbox *m, struct str base, int dirfd, const char *name, int sign)
{
	struct maildir *md = maildir_of(m);
	struct stat st;
	uint64_t size;

	/* As Courier does it: the trash does not count. */
	if (md->counts == COUNTS_UNKNOWN)
		md->counts = maildir_is_counted(str_of(m->name)) &&
			maildirsize_is_there(root_of(m))
		    ? COUNTS_YES
		    : COUNTS_NO;
	if (md->counts == COUNTS_NO)
		return;
	if (!maildir_name_size(base, 'S', &size)) {
		if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
			return;
		size = (uint64_t)st.st_size;
	}
	md->quota_bytes += sign * (int64_t)size;
	md->quota_count += sign;
}

/* ---- sizes that names do not have ---------------------------------------- */

/* As many as that: a rewrite of the map is cheaper than counting again. */
#define COUNTED_MIN 20

void
maildir_note_wire_size(
    struct mailbox *m, uint32_t uid, uint64_t size, uint64_t wire_size)
{
	struct maildir *md = maildir_of(m);
	const struct msg_rec *r =
	    uid <= m->lazy_top ? NULL : mailbox_rec(m, uid);
	struct str base, old, value;
	uint64_t in_name;
	struct buf b;
	char key;

	if (r == NULL || md->is_in_memory)
		return;
	base = maildir_base(m, r);
	/* A name that says something wrong goes on doing so: a W field stands
	 * above a W in the name. */
	if ((maildir_name_size(base, 'W', &in_name) && in_name == wire_size) ||
	    (maildir_name_size(base, 'S', &in_name) && in_name != size))
		return;
	buf_init(&b, 4096);
	if (!maildir_name_size(base, 'S', &in_name)) {
		(void)buf_add_byte(&b, 'S');
		(void)buf_add_u64(&b, size);
		(void)buf_add_byte(&b, ' ');
	}
	(void)buf_add_byte(&b, 'W');
	(void)buf_add_u64(&b, wire_size);
	old = maildir_extra(m, uid);
	while (uidlist_field(&old, &key, &value))
		if (key != 'S' && key != 'W')
			(void)buf_addf(&b, " %c%.*s", key, STR_ARG(value));
	if (!buf_is_over(&b)) {
		maildir_set_extra(m, uid, buf_str(&b));
		md->n_counted++;
	}
	buf_done(&b);
}

void
maildir_note_uidl(struct mailbox *m, uint32_t uid, struct str uidl)
{
	struct maildir *md = maildir_of(m);
	struct str old, value;
	struct buf b;
	char key;

	if (mailbox_rec(m, uid) == NULL || md->is_in_memory)
		return;
	buf_init(&b, 4096);
	(void)buf_addf(&b, "P%.*s", STR_ARG(uidl));
	old = maildir_extra(m, uid);
	while (uidlist_field(&old, &key, &value))
		if (key != 'P')
			(void)buf_addf(&b, " %c%.*s", key, STR_ARG(value));
	if (!buf_is_over(&b)) {
		maildir_set_extra(m, uid, buf_str(&b));
		md->has_new_uidls = true;
	}
	buf_done(&b);
}

/* Nothing is lost when this does not succeed: it is tried again later. */
static void
save_fields(struct mailbox *m)
{
	struct maildir *md = maildir_of(m);
	bool is_worth_it =
	    md->n_counted >= COUNTED_MIN && md->n_counted >= m->recs.n / 20;
	struct err e;

	if ((!is_worth_it && !md->has_new_uidls) || m->is_read_only ||
	    m->is_broken || md->job != NULL || !maildir_lock_now(m))
		return;
	if (mailbox_load(m, &e) == 0 && maildir_mend_list_now(m, &e) == 0 &&
	    !md->must_scan &&
	    uidlist_rewrite(&md->list, NULL, 0, maildir_keep_record, m, &e) ==
		0) {
		md->n_counted = 0;
		md->has_new_uidls = false;
		maildir_note_rewritten(m);
		derived_note_state(m); /* the list's time is in it */
	}
	maildir_unlock(m);
}

int
maildir_flush(struct mailbox *m, struct err *e)
{
	struct maildir *md = maildir_of(m);

	(void)e;
	maildir_change_end(md);
	md->counts = COUNTS_UNKNOWN;
	maildirsize_add(root_of(m), md->quota_bytes, md->quota_count);
	md->quota_bytes = md->quota_count = 0;
	maildir_courier_pop3_flush(m, false);
	save_fields(m);
	maildir_courier_flush(m, false);
	return 0;
}

/* ---- removal ------------------------------------------------------------- */

static void
note_removed(struct mailbox *m, struct msg_rec *r)
{
	struct maildir *md = maildir_of(m);

	md->n_new -= (r->own & OWN_NEW) != 0;
	mailbox_note_expunged(m, r);
	md->courier_drop_is_dirty |= m->store->is_courier;
}

int
maildir_expunge_once(struct mailbox *m, struct msg_rec *r, struct err *e)
{
	struct maildir *md = maildir_of(m);
	int64_t bytes = md->quota_bytes;
	char name[512];

	if (set32_has(&md->moved, r->uid)) {
		set32_remove(&md->moved, r->uid);
		note_removed(m, r);
		return 0;
	}
	(void)maildir_file_name(m, r, name);
	maildir_count(m, maildir_base(m, r), maildir_dir_fd(md, r), name, -1);
	maildir_change_begin(md);
	if (unlinkat(maildir_dir_fd(md, r), name, 0) == -1) {
		(void)err_sys(e, "unlink %s", name);
		md->quota_count += md->quota_bytes != bytes;
		md->quota_bytes = bytes;
		return -1;
	}
	note_removed(m, r);
	return 0;
}

enum step
maildir_expunge(
    struct mailbox *m, uint32_t uid, bool only_deleted, struct err *e)
{
	enum step step;

	for (int i = 0; i < TRIES; i++) {
		struct msg_rec *r = mailbox_rec(m, uid);
		int rc;

		if (r == NULL || r->state != REC_LIVE)
			return gone(m, uid, e);
		if (only_deleted && !(r->system & FLAG_DELETED))
			return STEP_DONE;
		rc = maildir_expunge_once(m, r, e);
		if (rc == 0)
			return STEP_DONE;
		if (e->code != ERR_NOT_FOUND)
			return STEP_FAIL;
		step = maildir_sync(m, SYNC_FORCE, e);
		if (step != STEP_DONE)
			return step;
	}
	return keeps_moving(m, uid, e);
}
