/* SPDX-License-Identifier: ISC */
/*
 * model_outside.h - for model_test.c: what other programs do to mailboxes.
 */
#ifndef TESTS_LIB_MODEL_OUTSIDE_H
#define TESTS_LIB_MODEL_OUTSIDE_H

#include <time.h>

#include "tests/lib/model.h"
#include "store/mbox/mbox_impl.h"
#include "tests/lib/other_mbox.h"

/* ---- Maildir for other programs ------------------------------------------ */

static void
maildir_init(struct box *b)
{
	box_init_fast(b);
	box_dirs(b, ".Other");
}

static void
maildir_deliver(struct world *in, const char *text)
{
	char tmp[60], to[60];

	(void)snprintf(tmp, sizeof(tmp), "tmp/%u.d.mx1", 1000000 + in->ticks);
	(void)snprintf(to, sizeof(to), "new/%u.d.mx1", 1000000 + in->ticks++);
	box_write(&in->box, tmp, text);
	box_move(&in->box, tmp, to);
}

/* The file of a message: "cur/..." or "new/...". */
static bool
find_file(struct world *in, const char *text, char out[300])
{
	static const char *const dirs[] = {"cur", "new"};
	bool found = false;

	for (unsigned i = 0; i < 2 && !found; i++) {
		DIR *d = opendir(box_path(&in->box, dirs[i]));
		struct dirent *e;

		assert_non_null(d);
		while (!found && (e = readdir(d)) != NULL) {
			if (e->d_name[0] == '.')
				continue;
			(void)snprintf(out, 300, "%s/%s", dirs[i], e->d_name);
			found = strcmp(box_read(&in->box, out), text) == 0;
		}
		closedir(d);
	}
	return found;
}

/* As mutt does it: into cur/, letters in their order. */
static bool
maildir_toggle(struct world *in, const char *text, char letter)
{
	char from[300], to[320], letters[40];
	const char *info;
	size_t n = 0;
	bool had;

	if (!find_file(in, text, from))
		return false;
	info = strstr(from, ":2,");
	info = info == NULL ? "" : info + 3;
	had = strchr(info, letter) != NULL;
	for (char c = 'A'; c <= 'z'; c++)
		if (c == letter ? !had : strchr(info, c) != NULL)
			letters[n++] = c;
	letters[n] = '\0';
	(void)snprintf(to, sizeof(to), "cur/%.*s:2,%s",
	    (int)strcspn(from + 4, ":"), from + 4, letters);
	box_move(&in->box, from, to);
	return true;
}

static bool
maildir_remove_file(struct world *in, const char *text)
{
	char name[300];

	if (!find_file(in, text, name))
		return false;
	box_unlink(&in->box, name);
	return true;
}

/* A clock that never stands still: changes within one tick of the kernel's
 * are found only a second later, which is the subject of other tests. */
static void
maildir_touch(void)
{
	static const char *const dirs[] = {
	    "new", "cur", ".Other/new", ".Other/cur"};
	struct timespec ts[2] = {{.tv_nsec = UTIME_OMIT}};

	ts[1].tv_sec = time(NULL) - 1000;
	ts[1].tv_nsec = ++w->ticks;
	for (unsigned i = 0; i < ARRAY_LEN(dirs); i++)
		assert_int_equal(
		    utimensat(AT_FDCWD, box_path(&w->box, dirs[i]), ts, 0), 0);
}

static void
maildir_outside(void)
{
	struct model_box *m = &w->boxes[0];
	struct entry *it = m->n == 0 ? NULL : &m->e[pick((uint32_t)m->n)];
	static const struct {
		char letter;
		uint8_t flag;
	} letters[] = {
	    {'S', FLAG_SEEN}, {'F', FLAG_FLAGGED}, {'D', FLAG_DRAFT}};
	char text[TEXT_MAX];
	unsigned what = pick(4), which = pick(3);

	if (what <= 1 || it == NULL || !it->exists) {
		text_of(++w->texts, text);
		trace("deliver %u", w->texts);
		maildir_deliver(w, text);
		(void)add_entry(m, w->texts, 0, 0);
		return;
	}
	text_of(it->text, text);
	/* A text that is there twice, after a copy back, is not touched. */
	for (size_t i = 0; i < m->n; i++)
		if (&m->e[i] != it && m->e[i].exists &&
		    m->e[i].text == it->text)
			return;
	trace("outside: %s of %u", what == 2 ? "flag" : "removal", it->text);
	if (what == 2 && maildir_toggle(w, text, letters[which].letter))
		it->flags ^= letters[which].flag;
	else if (what == 3 && maildir_remove_file(w, text))
		it->exists = false;
}

/* ---- mbox for other programs --------------------------------------------- */

#define PSEUDO                                                                 \
	"From MAILER_DAEMON  Sat Nov 21 22:35:51 2026\n"                       \
	"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"         \
	"X-IMAP: 1795300550 0000000000\nStatus: RO\n\n"                        \
	"This text is part of the internal format of your mail folder.\n\n"

static const char *const mbox_files[] = {"spool/joe", "mail/Other"};

static void
mbox_init(struct box *b)
{
	box_init_mbox(b);
	box_write(b, mbox_files[0], PSEUDO);
	box_write(b, mbox_files[1], PSEUDO);
}

/* Each edit gets a time of its own, as with a clock that is fine enough. */
static void
mbox_tick(const struct other_mbox *o)
{
	struct timespec ts[2] = {{.tv_nsec = UTIME_OMIT}};

	ts[1].tv_sec = time(NULL) - 1000;
	ts[1].tv_nsec = ++w->ticks;
	assert_int_equal(utimensat(AT_FDCWD, o->path, ts, 0), 0);
}

static unsigned
text_number(const struct other_msg *msg)
{
	unsigned number = 0;

	(void)sscanf(msg->body, "body of %u", &number);
	return number;
}

/* The model's message; NULL: there are several of this text. */
static struct entry *
entry_of(struct model_box *m, const struct other_msg *msg)
{
	struct entry *found = NULL;

	for (size_t i = 0; i < m->n; i++) {
		if (!m->e[i].exists || m->e[i].text != text_number(msg))
			continue;
		if (found != NULL)
			return NULL;
		found = &m->e[i];
	}
	return found;
}

static uint8_t
flags_in_file(const struct other_msg *msg)
{
	static const struct {
		const char *field;
		char letter;
		uint8_t flag;
	} all[] = {{"Status", 'R', FLAG_SEEN}, {"X-Status", 'F', FLAG_FLAGGED},
	    {"X-Status", 'A', FLAG_ANSWERED}, {"X-Status", 'D', FLAG_DELETED},
	    {"X-Status", 'T', FLAG_DRAFT}};
	uint8_t flags = 0;

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (other_has_letter(msg, all[i].field, all[i].letter))
			flags |= all[i].flag;
	return flags;
}

static void
mbox_deliver(struct model_box *m, struct other_mbox *o)
{
	char text[TEXT_MAX];

	text_of(++w->texts, text);
	trace("deliver %u to %s", w->texts, o->path);
	other_append(o, text);
	(void)add_entry(m, w->texts, 0, 0);
}

/* Changes flags and removes messages; all behind the first are written anew. */
static void
mbox_mutt(struct model_box *m, struct other_mbox *o)
{
	bool keeps_letters = pick(4) > 0, has_changed = false;
	bool must_keep_first = pick(3) > 0;

	other_load(o);
	for (size_t i = 0; i < o->n; i++) {
		struct other_msg *msg = &o->v[i];
		struct entry *it = entry_of(m, msg);
		unsigned what = pick(8);

		if (other_is_pseudo(msg))
			continue;
		if (it != NULL && what == 0 && !(i == 0 && must_keep_first)) {
			trace("mutt: removal of %u", it->text);
			msg->is_gone = has_changed = true;
			it->exists = false;
			continue;
		}
		/* Flags in mail that has just come are not believed where the
		 * tail alone is read: its sender may have set them. */
		if (it != NULL && what <= 2 &&
		    (it->uid != 0 || mbox_tuning.whole_bytes > 0)) {
			trace("mutt: flag of %u", it->text);
			other_toggle(msg, what == 1 ? "Status" : "X-Status",
			    what == 1 ? 'R' : "AF"[pick(2)]);
			has_changed = true;
		}
		if (!has_changed)
			continue;
		if (it != NULL || keeps_letters)
			other_mutt_fields(msg, keeps_letters);
		if (it != NULL)
			it->flags = flags_in_file(msg);
	}
	if (has_changed)
		other_save(o, pick(4) == 0);
}

static void
mbox_dovecot(struct other_mbox *o)
{
	other_load(o);
	if (!other_dovecot_fields(o))
		return;
	trace("dovecot numbers %s", o->path);
	other_save(o, false);
}

/* Sorted by somebody: who has the lower place must get a new UID some day. */
static void
mbox_reorder(struct model_box *m, struct other_mbox *o)
{
	size_t first, i, k;
	struct other_msg msg;

	other_load(o);
	first = o->n > 0 && other_field(&o->v[0], "X-UID") == NULL;
	if (o->n < first + 3)
		return;
	i = first + 1 + pick((uint32_t)(o->n - first - 1));
	k = first + 1 + pick((uint32_t)(o->n - first - 1));
	trace(
	    "reorder %u and %u", text_number(&o->v[i]), text_number(&o->v[k]));
	msg = o->v[i];
	o->v[i] = o->v[k];
	o->v[k] = msg;
	m->is_unsorted = true;
	other_save(o, pick(2) == 0);
}

static void
mbox_outside(void)
{
	unsigned which = pick(4) == 0, what = pick(8);
	struct model_box *m = &w->boxes[which];
	struct other_mbox o;

	if (!other_lock(&o, box_path(&w->box, mbox_files[which]), false))
		return;
	if (what <= 3)
		mbox_deliver(m, &o);
	else if (what <= 5)
		mbox_mutt(m, &o);
	else if (what == 6 || !may_sort())
		mbox_dovecot(&o);
	else
		mbox_reorder(m, &o);
	mbox_tick(&o);
	other_unlock(&o);
}

static void
mbox_touch(void)
{
}

static const struct backend backends[] = {
    {"maildir", maildir_init, maildir_outside, maildir_touch, false},
    {"mbox", mbox_init, mbox_outside, mbox_touch, true},
};

#endif
