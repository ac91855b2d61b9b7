/* SPDX-License-Identifier: ISC */
/*
 * meta_use.c - special uses that mailboxes have been given.
 *
 * Owns:    the list of mailboxes that have one: restante-special beside INBOX's
 *          files in a Maildir, mbox/special in the state folder.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in the list; a mailbox's own file decides.
 * Spec:    RFC 6154 sections 3, 4; RFC 8457.
 *
 *	restante-special 1\n
 *	Gesendet\n
 *
 * LIST looks into the files of these mailboxes alone, not of all. A name gets
 * into the list before its file is written, or before a mailbox that has one is
 * called so: none is missing, and one too many costs a look.
 *
 * A use is of one mailbox (RFC 6154 section 5.4). Whoever is given one comes to
 * the front of the list, and only then into its file; the others give it up after
 * that. Where a kill, or a client that went, has kept them from it, the first of
 * the list has the use, and whoever looks next makes the others give it up.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/vec.h"
#include "store/meta_impl.h"
#include "store/notify.h"
#include "store/space.h"
#include "store/special.h"

#define HEADER "restante-special 1\n"
#define RENAME_WAIT_MS 10000
#define LIST_BYTES_MAX (256 * 1024)
#define ENTRY STR("/private/specialuse")

static const struct {
	struct str word;
	unsigned bit;
} words[] = {
    {STR_LIT("\\Drafts"), 1u << USE_DRAFTS},
    {STR_LIT("\\Sent"), 1u << USE_SENT},
    {STR_LIT("\\Trash"), 1u << USE_TRASH},
    {STR_LIT("\\Junk"), 1u << USE_JUNK},
    {STR_LIT("\\Archive"), 1u << USE_ARCHIVE},
    {STR_LIT("\\Important"), 1u << USE_IMPORTANT},
};

bool
meta_uses_parse(struct str value, unsigned *uses)
{
	struct str word;
	size_t i;

	*uses = 0;
	while (str_next(&value, ' ', &word)) {
		if (word.n == 0)
			continue;
		for (i = 0; i < ARRAY_LEN(words); i++)
			if (str_eq_nocase(words[i].word, word))
				break;
		if (i == ARRAY_LEN(words))
			return false;
		*uses |= words[i].bit;
	}
	return true;
}

void
meta_uses_write(unsigned uses, struct buf *out)
{
	const char *gap = "";

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if ((uses & words[i].bit) == 0)
			continue;
		buf_addf(out, "%s%s", gap, words[i].word.p);
		gap = " ";
	}
}

/* ---- the list ------------------------------------------------------------ */

static int
list_place(struct store *s, struct meta_place *p, struct err *e)
{
	if (meta_place_of(s, STR("INBOX"), 0, p, e) == -1)
		return -1;
	(void)snprintf(p->file, sizeof(p->file), "%s",
	    p->is_state ? "special" : "restante-special");
	return 0;
}

/*
 * Names in `a`; none when there is no list. One that can not be read must not be
 * written anew.
 */
static int
read_list(
    struct store *s, struct arena *a, struct meta_use **tail, struct err *e)
{
	struct meta_place p;
	struct str rest, line;
	struct buf b;
	int fd = -1, rc = -1;

	*tail = NULL;
	if (s->ops->rights_place == NULL)
		return 0;
	if (list_place(s, &p, e) == -1)
		return s->head != NULL ? 0 : -1;
	buf_init(&b, LIST_BYTES_MAX);
	fd = file_open_dir(AT_FDCWD, p.dir, true, e);
	if (fd != -1)
		rc = file_load(fd, p.file, &b, NULL, e);
	if (rc == 0) {
		rest = buf_str(&b);
		if (str_starts(rest, STR(HEADER)))
			rest = str_skip(rest, sizeof(HEADER) - 1);
		while (str_next(&rest, '\n', &line)) {
			if (line.n == 0)
				continue;
			*tail = arena_new(a, 1, sizeof(**tail));
			(*tail)->name = arena_str(a, line);
			tail = &(*tail)->next;
		}
	}
	if (fd != -1)
		close(fd);
	buf_done(&b);
	return rc == -1 && e->code != ERR_NOT_FOUND ? -1 : 0;
}

static int
write_list(struct store *s, const struct meta_use *first, struct err *e)
{
	struct meta_place p;
	struct file_perm perm = {.file_mode = 0600, .gid = (gid_t)-1};
	char temp[64];
	struct buf b;
	int fd, rc = -1;

	if (list_place(s, &p, e) == -1 ||
	    (p.is_state && file_make_path(p.dir, e) == -1))
		return -1;
	fd = file_open_dir(AT_FDCWD, p.dir, true, e);
	if (fd == -1)
		return -1;
	(void)snprintf(
	    temp, sizeof(temp), "restante-special.%ld.tmp", (long)getpid());
	buf_init(&b, LIST_BYTES_MAX);
	buf_add_c(&b, HEADER);
	for (; first != NULL; first = first->next)
		buf_addf(&b, "%.*s\n", STR_ARG(first->name));
	if (buf_is_over(&b))
		(void)err_set(e, ERR_LIMIT, "too many special uses");
	else
		rc =
		    file_replace(fd, p.file, temp, buf_str(&b), &perm, NULL, e);
	buf_done(&b);
	close(fd);
	return rc;
}

static bool
is_listed(const struct meta_use *first, struct str name)
{
	for (; first != NULL; first = first->next)
		if (str_eq(first->name, name))
			return true;
	return false;
}

/* ---- what mailboxes have ------------------------------------------------- */

/* 1: they are known; 0: it has not been given any, nor been told to have none;
 * -1: that can not be read now. */
static int
uses_of(struct store *s, struct arena *a, struct str name, unsigned *uses)
{
	struct meta_entry *first, *x;
	struct meta_place p;
	struct err e;

	if (meta_place_of(s, name, 1, &p, &e) == -1)
		return 0;
	if (meta_place_read(s, &p, a, &first, &e) == -1) {
		if (!file_is_unread(&e))
			return 0;
		store_warn(s, "special use of mailbox=%.*s: %s", STR_ARG(name),
		    e.text);
		return -1;
	}
	x = meta_find(first, ENTRY);
	return x != NULL && meta_uses_parse(x->value, uses);
}

/* Those that have one, as their files say; false: two have the same. */
static bool
load_uses(struct store *s, struct arena *a, struct meta_use **first)
{
	struct meta_use **at = first;
	unsigned all = 0;
	bool ok = true;
	struct err e;

	if (read_list(s, a, first, &e) == -1)
		store_warn(s, "special uses: %s", e.text);
	while (*at != NULL) {
		if (uses_of(s, a, (*at)->name, &(*at)->uses) != 1) {
			*at = (*at)->next;
			continue;
		}
		ok = ok && (all & (*at)->uses) == 0;
		all |= (*at)->uses;
		at = &(*at)->next;
	}
	return ok;
}

/* ---- changes ------------------------------------------------------------- */

static struct str
last_level(const struct store *s, struct str name)
{
	size_t at = str_rfind(name, s->delimiter);

	return at == name.n ? name : str_skip(name, at + 1);
}

static struct meta_use *
without(struct meta_use *first, struct str name)
{
	struct meta_use **at = &first;

	while (*at != NULL) {
		if (str_eq((*at)->name, name))
			*at = (*at)->next;
		else
			at = &(*at)->next;
	}
	return first;
}

int
meta_uses_check(struct store *s, const struct meta_job *job, struct str mailbox,
    struct meta_entry *changes, struct err *e)
{
	struct meta_use *list, one = {0};
	struct meta_entry *x = changes;
	struct str name = mailbox;
	unsigned uses, rank;
	struct arena a;
	int rc = -1;

	while (x != NULL && !str_eq_nocase(x->name, ENTRY))
		x = x->next;
	if (x == NULL)
		return 0;
	arena_init(&a);
	if (space_of(&s, &a, &name, e) == -1)
		goto out;
	/* None, whatever its name says: that has to be written down. */
	if (x->value.p == NULL &&
	    special_of_name(last_level(s, name), &rank) != USE_NONE)
		x->value = STR("");
	if (x->value.p == NULL) {
		rc = 0;
		goto out;
	}
	if (s->head != NULL || str_eq(name, STR("INBOX")) ||
	    memchr(name.p, '\n', name.n) != NULL ||
	    !meta_uses_parse(x->value, &uses)) {
		(void)err_set(e, ERR_UNSUPPORTED, "no such special use here");
		goto out;
	}
	if (read_list(s, &a, &list, e) == -1)
		goto out;
	/* Who only gives something up has what he has as before. */
	if (is_listed(list, name) &&
	    (uses == 0 || job->has_uses || str_eq(list->name, name))) {
		rc = 0;
		goto out;
	}
	one.name = name;
	one.next = without(list, name);
	rc = write_list(s, &one, e);
out:
	arena_done(&a);
	return rc;
}

static const struct meta_entry *
find_uses(const struct meta_entry *changes)
{
	while (changes != NULL && !str_eq_nocase(changes->name, ENTRY))
		changes = changes->next;
	return changes;
}

static int
lock_list(struct store *s, struct dotlock *lock, struct err *e)
{
	struct meta_place p;

	if (s->head != NULL || s->ops->rights_place == NULL)
		return 0;
	return list_place(s, &p, e) == -1 || meta_place_lock(&p, lock, e) == -1
	    ? -1
	    : 0;
}

int
meta_uses_lock(struct store *s, struct dotlock *lock, struct str mailbox,
    const struct meta_entry *changes, struct err *e)
{
	struct str name = mailbox;
	struct arena a;
	int rc;

	if (find_uses(changes) == NULL)
		return 0;
	arena_init(&a);
	rc = space_of(&s, &a, &name, e);
	if (rc == 0)
		rc = lock_list(s, lock, e);
	arena_done(&a);
	return rc;
}

/* A mailbox gives up what another one has now. */
static enum step
take_from(struct store *s, struct arena *a, struct meta_job *job,
    const struct meta_use *from, unsigned taken, struct err *e)
{
	struct meta_entry change = {.name = ENTRY};
	struct meta_job inner = {.has_uses = true, .wait = job->take_wait};
	struct str name = from->name;
	enum step step = STEP_DONE;
	struct buf b;

	buf_init(&b, 200);
	meta_uses_write(from->uses & ~taken, &b);
	/* An empty value: it has none, whatever its name says. */
	change.value = arena_str(a, buf_str(&b));
	buf_done(&b);
	if (space_name(s, a, &name))
		step = meta_change(s, &inner, name, &change, NULL, e);
	job->take_wait = inner.wait;
	return step;
}

enum step
meta_uses_changed(struct store *s, struct meta_job *job, struct str mailbox,
    const struct meta_entry *changes, struct err *e)
{
	const struct meta_entry *x = find_uses(changes);
	struct meta_use *list;
	struct str name = mailbox;
	enum step result = STEP_DONE;
	unsigned uses;
	struct arena a;

	if (x == NULL || x->value.p == NULL ||
	    !meta_uses_parse(x->value, &uses) || uses == 0)
		return STEP_DONE;
	arena_init(&a);
	if (space_of(&s, &a, &name, e) == 0) {
		(void)load_uses(s, &a, &list);
		for (const struct meta_use *u = list;
		     u != NULL && result != STEP_MORE; u = u->next) {
			enum step step;

			if (str_eq(u->name, name) || (u->uses & uses) == 0)
				continue;
			step = take_from(s, &a, job, u, uses, e);
			if (step != STEP_DONE)
				result = step;
		}
	}
	arena_done(&a);
	return result;
}

/* What somebody has left undone, if nobody is at it now. */
static void
take_what_is_left(struct store *s, struct arena *a, const struct meta_use *list)
{
	struct dotlock lock = {0};
	unsigned all = 0;
	struct err e;

	if (lock_list(s, &lock, &e) == -1)
		return;
	for (; list != NULL; list = list->next) {
		struct meta_job job = {0};

		if ((list->uses & all) != 0)
			(void)take_from(s, a, &job, list, all, &e);
		all |= list->uses;
	}
	store_forget_wait(s);
	meta_place_unlock(&lock);
}

struct meta_use *
meta_uses(struct store *s, struct arena *a)
{
	struct meta_use *first;
	unsigned all = 0;

	if (load_uses(s, a, &first))
		return first;
	take_what_is_left(s, a, first);
	for (struct meta_use *u = first; u != NULL; u = u->next) {
		u->uses &= ~all;
		all |= u->uses;
	}
	return first;
}

/* `name`, as it is called when "from" is called "to". False: it stays. */
static bool
renamed(const struct store *s, struct arena *a, struct str name,
    struct str from, struct str to, struct str *out)
{
	struct str rest = str_skip(name, from.n);

	/* A line end is not for the list. */
	if (str_find(to, '\n') < to.n || !str_starts(name, from) ||
	    (rest.n > 0 && *rest.p != s->delimiter))
		return false;
	*out = arena_printf(a, "%.*s%.*s", STR_ARG(to), STR_ARG(rest));
	return true;
}

/* Both names of each, beside one another: of two with one use the first in the
 * list counts. False: none is concerned. */
static bool
with_both(const struct store *s, struct arena *a, struct meta_use *list,
    struct str from, struct str to)
{
	struct meta_use *u, *more, *next;
	bool changed = false;
	struct str name;

	for (u = list; u != NULL; u = next) {
		next = u->next;
		if (!renamed(s, a, u->name, from, to, &name) ||
		    is_listed(list, name))
			continue;
		more = arena_new(a, 1, sizeof(*more));
		more->name = name;
		more->next = next;
		u->next = more;
		changed = true;
	}
	return changed;
}

enum step
meta_renaming(struct store *s, struct str from, struct str to,
    struct lock_wait *wait, struct err *e)
{
	struct meta_use *list;
	struct dotlock lock = {0};
	enum step step = STEP_DONE;
	struct arena a;
	int rc;

	if (s->head != NULL)
		return STEP_DONE;
	arena_init(&a);
	rc = read_list(s, &a, &list, e);
	if (rc == 0 && with_both(s, &a, list, from, to)) {
		/* Nobody else changes it: it is read once more. */
		rc = lock_list(s, &lock, e);
		if (rc == 0)
			rc = read_list(s, &a, &list, e);
		if (rc == 0 && with_both(s, &a, list, from, to))
			rc = write_list(s, list, e);
	}
	meta_place_unlock(&lock);
	arena_done(&a);
	if (rc == -1)
		step = store_lock_wait(s, wait, RENAME_WAIT_MS, e);
	return step;
}

/*
 * The list, locked, to take names out of it. False: that is left undone: one too
 * many costs a look.
 */
static bool
begin_tidying(struct store *s, struct arena *a, struct dotlock *lock,
    struct meta_use **list)
{
	struct err e;

	*list = NULL;
	if (s->head != NULL || read_list(s, a, list, &e) == -1 || *list == NULL)
		return false;
	if (lock_list(s, lock, &e) == 0 && read_list(s, a, list, &e) == 0)
		return true;
	if (e.code != ERR_IN_USE)
		store_warn(s, "special uses: %s", e.text);
	meta_place_unlock(lock);
	return false;
}

void
meta_renamed(struct store *s, struct str from, struct str to)
{
	struct meta_use *list, **at = &list;
	bool changed = false;
	struct dotlock lock = {0};
	struct arena a;
	struct str name;
	struct err e;

	arena_init(&a);
	if (!begin_tidying(s, &a, &lock, &list))
		goto out;
	while (*at != NULL) {
		if (!renamed(s, &a, (*at)->name, from, to, &name)) {
			at = &(*at)->next;
			continue;
		}
		changed = true;
		/* meta_renaming() has written it already. */
		if (is_listed(list, name)) {
			*at = (*at)->next;
			continue;
		}
		(*at)->name = name;
		at = &(*at)->next;
	}
	if (changed && write_list(s, list, &e) == -1)
		store_warn(s, "special uses: %s", e.text);
	meta_place_unlock(&lock);
out:
	arena_done(&a);
}

/* Would `name` be there because a mailbox was to be called so? */
static bool
is_wanted_by(const struct store *s, struct arena *a,
    const struct meta_use *list, struct str from, struct str to,
    struct str name)
{
	struct str other;

	for (; list != NULL; list = list->next)
		if (renamed(s, a, list->name, from, to, &other) &&
		    str_eq(other, name))
			return true;
	return false;
}

void
meta_not_renamed(struct store *s, struct str from, struct str to)
{
	struct meta_use *list, **at = &list;
	bool changed = false;
	struct dotlock lock = {0};
	struct arena a;
	unsigned uses;
	struct err e;

	arena_init(&a);
	if (!begin_tidying(s, &a, &lock, &list))
		goto out;
	while (*at != NULL) {
		if (!is_wanted_by(s, &a, list, from, to, (*at)->name) ||
		    uses_of(s, &a, (*at)->name, &uses) != 0) {
			at = &(*at)->next;
			continue;
		}
		*at = (*at)->next;
		changed = true;
	}
	if (changed && write_list(s, list, &e) == -1)
		store_warn(s, "special uses: %s", e.text);
	meta_place_unlock(&lock);
out:
	arena_done(&a);
}
