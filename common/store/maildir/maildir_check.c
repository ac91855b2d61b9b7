/* SPDX-License-Identifier: ISC */
/*
 * maildir_check.c - looks at Maildir folders and Dovecot's and Courier's files
 * in them without changing anything, and says what is wrong.
 *
 * Owns:    nothing.
 * Runs in: restantectl, as the mail user, beside running sessions: what moves
 *          while it looks may show as a note, never as a fault.
 * Trusts:  nothing on disk.
 * Spec:    formats.md sections 1, 2 and 4.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/num.h"
#include "base/set32.h"
#include "store/check_impl.h"
#include "store/maildir/courier.h"
#include "store/maildir/keywords.h"
#include "store/maildir/maildir_impl.h"
#include "text/utf8.h"

#define FILE_MAX (UINT64_C(256) * 1024 * 1024)
#define EXAMPLES 3 /* of a kind in one folder are named one by one */
#define DEPTH_MAX 32
#define GARBAGE_S (36 * 3600)
#define LOCK_WAIT_MS 130000 /* after 120 s a lock counts as left behind */
#define LOCK_OLD_S 120
#define UID_NEARLY_USED UINT32_C(4000000000)

#define REPAIR "restantectl repair mends it."
#define BY_ITSELF "It is mended when the mailbox is opened next."

/* One file in new/ or cur/. */
struct seen {
	struct str name;
	ino_t ino;
	bool has_uid;
};

struct folder {
	struct check *c;
	struct str name; /* the mailbox */
	int fd, controlfd;
	struct arena arena;
	struct map files; /* base -> struct seen */
	uint64_t n_files;
	uint32_t letters;
	unsigned n_told[16]; /* of each kind that has examples */
	/* dovecot-uidlist */
	struct map records; /* base -> UID in a pointer */
	struct set32 uids;
	uint64_t n_dead, n_twice;
	struct uidlist_head head;
};

/* True when this one is to be told; the rest is counted. */
static bool
is_example(struct folder *f, unsigned which)
{
	return f->n_told[which]++ < EXAMPLES;
}

static void
tell_rest(struct folder *f, unsigned which, const char *kind, const char *what)
{
	if (f->n_told[which] > EXAMPLES)
		check_tell(f->c, CHECK_NOTE, kind, f->name, NULL, "%u more %s.",
		    f->n_told[which] - EXAMPLES, what);
}

enum { EX_LINE_END, EX_DIR, EX_OWNER, EX_TWIN, EX_SIZE, EX_NAMELESS };

/* ---- files of messages ------------------------------------------------------ */

static void
check_access(struct folder *f, const char *dir, const char *file,
    const struct stat *st, const struct stat *folder, int dirfd)
{
	uid_t own = geteuid();

	if (own != 0 && st->st_uid != own && st->st_uid != 0 &&
	    st->st_uid != folder->st_uid) {
		if (is_example(f, EX_OWNER))
			check_tell(f->c, CHECK_FAULT, "owner", f->name,
			    "As root: chown it to the user.",
			    "%s/%s belongs to the account %u and is not "
			    "served.",
			    dir, file, st->st_uid);
	} else if (faccessat(dirfd, file, R_OK, AT_EACCESS) == -1) {
		if (is_example(f, EX_OWNER))
			check_tell(f->c, CHECK_FAULT, "owner", f->name,
			    "Give the user the right to read it (chmod u+r).",
			    "%s/%s can not be read.", dir, file);
	}
}

static void
check_size(struct folder *f, const char *dir, const char *file, struct str base,
    const struct stat *st)
{
	uint64_t size;

	if (maildir_name_size(base, 'S', &size) &&
	    size != (uint64_t)st->st_size && is_example(f, EX_SIZE))
		check_tell(f->c, CHECK_NOTE, "size", f->name,
		    "Restante serves it whole. For Dovecot give the file "
		    "another name, without ,S= and ,W=: it becomes a new "
		    "message then.",
		    "%s/%s says %llu bytes in its name and has %llu.", dir,
		    file, (unsigned long long)size,
		    (unsigned long long)st->st_size);
}

static void
note_file(struct folder *f, const char *dir, struct str name, struct str base,
    const struct stat *st)
{
	struct seen *first = map_find(&f->files, base);

	f->n_files++;
	f->c->sum->messages++;
	if (first == NULL) {
		first = arena_new(&f->arena, 1, sizeof(*first));
		first->name = arena_str(&f->arena, name);
		first->ino = st->st_ino;
		map_put(&f->files,
		    str_head(first->name, str_find(first->name, ':')), first);
		return;
	}
	/* The same file twice: it was renamed while we read. */
	if (first->ino != st->st_ino && is_example(f, EX_TWIN))
		check_tell(f->c, CHECK_FAULT | CHECK_CAN_REPAIR, "twin",
		    f->name, REPAIR " The second one gets a name of its own.",
		    "Two messages have one name: %s/%.*s and %.*s.", dir,
		    STR_ARG(name), STR_ARG(first->name));
}

static void
check_file(struct folder *f, const char *dir, int dirfd, const char *file,
    const struct stat *folder)
{
	struct maildir_name name;
	struct stat st;

	if (!maildir_name_parse(str_of(file), &name)) {
		if (is_example(f, EX_LINE_END))
			check_tell(f->c, CHECK_FAULT, "name", f->name,
			    "Rename it by hand, without the line end.",
			    "A file in %s/ has a line end in its name and is "
			    "not served.",
			    dir);
		return;
	}
	if (fstatat(dirfd, file, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return;
	if (!S_ISREG(st.st_mode)) {
		if (is_example(f, EX_DIR))
			check_tell(f->c, CHECK_NOTE, "name", f->name,
			    "Move it to where it belongs.",
			    "%s/%s is no file; it is passed over.", dir, file);
		return;
	}
	if (name.base.n == 0) {
		if (is_example(f, EX_NAMELESS))
			check_tell(f->c, CHECK_FAULT | CHECK_CAN_REPAIR, "name",
			    f->name, REPAIR, "%s/%s has flags but no name.",
			    dir, file);
		return;
	}
	check_access(f, dir, file, &st, folder, dirfd);
	check_size(f, dir, file, name.base, &st);
	f->letters |= name.keywords;
	note_file(f, dir, str_of(file), name.base, &st);
}

static void
check_dir(struct folder *f, const char *dir)
{
	struct dirent *d;
	struct stat st;
	struct err e;
	DIR *stream;
	int fd = file_open_dir(f->fd, dir, false, &e);

	if (fd == -1 || fstat(fd, &st) == -1) {
		bool is_missing = e.code == ERR_NOT_FOUND;

		check_tell(f->c,
		    CHECK_FAULT | (is_missing ? CHECK_CAN_REPAIR : 0),
		    "structure", f->name,
		    is_missing ? BY_ITSELF : "Look at its owner and mode.",
		    is_missing ? "The folder has no %s/."
			       : "The folder's %s/ can not be opened.",
		    dir);
		return;
	}
	if (faccessat(fd, ".", W_OK, AT_EACCESS) == -1)
		check_tell(f->c, CHECK_FAULT, "structure", f->name,
		    "Give the user the right to write there, if this is his.",
		    "%s/ can not be written: the mailbox is read-only.", dir);
	stream = fdopendir(fd);
	while (stream != NULL && (d = readdir(stream)) != NULL)
		if (d->d_name[0] != '.')
			check_file(f, dir, dirfd(stream), d->d_name, &st);
	if (stream != NULL)
		closedir(stream);
	else
		close(fd);
}

static void
check_tmp(struct folder *f)
{
	struct dirent *d;
	struct stat st;
	struct err e;
	DIR *stream;
	uint64_t old = 0, bytes = 0;
	int fd = file_open_dir(f->fd, "tmp", false, &e);

	stream = fd == -1 ? NULL : fdopendir(fd);
	if (stream == NULL) {
		if (fd != -1)
			close(fd);
		else if (e.code == ERR_NOT_FOUND)
			check_tell(f->c, CHECK_FAULT | CHECK_CAN_REPAIR,
			    "structure", f->name, BY_ITSELF,
			    "The folder has no tmp/.");
		return;
	}
	while ((d = readdir(stream)) != NULL) {
		if (fstatat(dirfd(stream), d->d_name, &st,
			AT_SYMLINK_NOFOLLOW) == -1 ||
		    !S_ISREG(st.st_mode) ||
		    st.st_ctim.tv_sec >= clock_wall_s() - GARBAGE_S)
			continue;
		old++;
		bytes += (uint64_t)st.st_size;
	}
	closedir(stream);
	if (old > 0)
		check_tell(f->c, CHECK_NOTE, "leftovers", f->name,
		    "They are removed once a week when the mailbox is opened.",
		    "tmp/ has %llu files (%llu bytes) of deliveries that never "
		    "ended.",
		    (unsigned long long)old, (unsigned long long)bytes);
}

/* ---- dovecot-uidlist ---------------------------------------------------------- */

static void
on_record(void *arg, uint32_t uid, struct str base, struct str fields)
{
	struct folder *f = arg;
	struct seen *file;
	void *before;

	(void)fields;
	if (uid == 0)
		return;
	before = map_find(&f->records, base);
	if (before != NULL || set32_has(&f->uids, uid))
		f->n_twice++;
	set32_add(&f->uids, uid);
	map_put(&f->records, before != NULL ? base : arena_str(&f->arena, base),
	    (void *)(uintptr_t)uid);
	file = map_find(&f->files, base);
	if (file == NULL)
		f->n_dead++;
	else
		file->has_uid = true;
}

static void
ignore_record(void *arg, uint32_t uid, struct str base, struct str fields)
{
	(void)arg;
	(void)uid;
	(void)base;
	(void)fields;
}

static void
check_list_bytes(struct folder *f, struct str bytes)
{
	struct uidlist_head strict = {0};
	enum uidlist_verdict verdict;
	unsigned line;
	size_t used;

	verdict = uidlist_parse(
	    &strict, bytes, true, false, ignore_record, NULL, &used, &line);
	(void)uidlist_parse(
	    &f->head, bytes, true, true, on_record, f, &used, &line);
	if (f->head.version == 0) {
		check_tell(f->c, CHECK_FAULT | CHECK_CAN_REPAIR, "uidlist",
		    f->name,
		    "If there is a backup of this file, put it back now. "
		    "Otherwise it is set aside and made anew when the mailbox "
		    "is opened: mail programs download everything again.",
		    "dovecot-uidlist has no header that can be read: the UIDs "
		    "of %llu messages are lost.",
		    (unsigned long long)f->n_files);
		return;
	}
	if (verdict == UIDLIST_BROKEN) {
		(void)uidlist_parse(&strict, bytes, true, false, ignore_record,
		    NULL, &used, &line);
		check_tell(f->c, CHECK_FAULT | CHECK_CAN_REPAIR, "uidlist",
		    f->name,
		    REPAIR " Dovecot would remove the file and renumber; so "
			   "do it before Dovecot opens the mailbox.",
		    "Line %u of dovecot-uidlist can not be; %u records can be "
		    "read.",
		    line, f->head.n_records);
	}
	if (verdict == UIDLIST_TORN)
		check_tell(f->c, CHECK_FAULT | CHECK_CAN_REPAIR, "uidlist",
		    f->name, REPAIR,
		    "The last line of dovecot-uidlist is torn: a program or "
		    "the machine stopped while it was written.");
	if (f->n_twice > 0 && verdict != UIDLIST_BROKEN)
		check_tell(f->c, CHECK_FAULT | CHECK_CAN_REPAIR, "uidlist",
		    f->name, REPAIR " The later record counts.",
		    "dovecot-uidlist names %llu messages or UIDs twice.",
		    (unsigned long long)f->n_twice);
	if (f->head.uidnext > UID_NEARLY_USED)
		check_tell(f->c, CHECK_FAULT, "uidlist", f->name,
		    "Move the messages to a new mailbox.",
		    "The next UID is %u: there are hardly any left.",
		    f->head.uidnext);
	if (f->head.version != 3)
		check_tell(f->c, CHECK_NOTE, "uidlist", f->name,
		    "It is written as version 3 at the next change.",
		    "dovecot-uidlist has the old version %u.", f->head.version);
}

static void
check_new_files(struct folder *f)
{
	uint64_t n = 0;
	struct str key;
	void *value;

	for (size_t i = 0; map_next(&f->files, &i, &key, &value);)
		n += !((const struct seen *)value)->has_uid;
	if (n > 0)
		check_tell(f->c, CHECK_NOTE, "uidlist", f->name, NULL,
		    "%llu messages have no UID yet; they get one when the "
		    "mailbox is opened.",
		    (unsigned long long)n);
}

static void
check_list(struct folder *f)
{
	struct stat st;
	struct buf b;
	struct err e;

	buf_init(&b, UIDLIST_MAX_BYTES);
	if (file_load(f->controlfd, UIDLIST_FILE, &b, &st, &e) == 0) {
		check_list_bytes(f, buf_str(&b));
		check_new_files(f);
	} else if (e.code != ERR_NOT_FOUND) {
		check_tell(f->c, CHECK_FAULT, "uidlist", f->name,
		    "Look at its owner and mode.",
		    "dovecot-uidlist can not be read: %s.", e.text);
	} else if (faccessat(f->fd, COURIER_UIDS, F_OK, 0) == 0) {
		check_tell(f->c, CHECK_NOTE, "uidlist", f->name, NULL,
		    "Courier's UIDs are taken over when the mailbox is opened "
		    "first.");
	} else if (f->n_files > 0) {
		check_tell(f->c, CHECK_NOTE, "uidlist", f->name,
		    "If another server gave UIDs before, put its file back "
		    "first.",
		    "There is no dovecot-uidlist: %llu messages get UIDs when "
		    "the mailbox is opened.",
		    (unsigned long long)f->n_files);
	}
	buf_done(&b);
	if (fstatat(f->controlfd, UIDLIST_FILE ".lock", &st,
		AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_mtim.tv_sec < clock_wall_s() - LOCK_OLD_S)
		check_tell(f->c, CHECK_FAULT | CHECK_CAN_REPAIR, "lock",
		    f->name, REPAIR,
		    "dovecot-uidlist.lock is %lld seconds old: its holder "
		    "hangs, or has died on another host.",
		    (long long)(clock_wall_s() - st.st_mtim.tv_sec));
}

/* ---- keywords ------------------------------------------------------------------ */

struct kw_look {
	struct folder *f;
	uint32_t named;
	size_t n_lines, n_names;
	struct map names;
};

static void
on_keyword(void *arg, size_t number, struct str name)
{
	struct kw_look *k = arg;

	k->n_names++;
	if (number < KEYWORD_LETTERS)
		k->named |= 1u << number;
	if (map_find(&k->names, name) != NULL)
		check_tell(k->f->c, CHECK_NOTE, "keywords", k->f->name, NULL,
		    "The keyword %.*s has two letters; both mean it.",
		    STR_ARG(name));
	map_put(&k->names, arena_str(&k->f->arena, name), k);
}

static void
on_set(void *arg, struct str base, const uint16_t *numbers, size_t n)
{
	(void)arg;
	(void)base;
	(void)numbers;
	(void)n;
}

static size_t
count_lines(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == '\n';
	return n + (s.n > 0 && s.p[s.n - 1] != '\n');
}

static void
check_letters(struct folder *f, struct kw_look *k)
{
	struct buf b;
	struct err e;
	uint32_t nameless;

	buf_init(&b, FILE_MAX);
	if (file_load(f->controlfd, KEYWORDS_FILE, &b, NULL, &e) == -1) {
		if (e.code != ERR_NOT_FOUND)
			check_tell(f->c, CHECK_FAULT, "keywords", f->name,
			    "Look at its owner and mode.",
			    "dovecot-keywords can not be read: %s.", e.text);
		buf_done(&b);
		return;
	}
	keywords_parse(buf_str(&b), on_keyword, k);
	if (count_lines(buf_str(&b)) > k->n_names)
		check_tell(f->c, CHECK_FAULT | CHECK_CAN_REPAIR, "keywords",
		    f->name, REPAIR " The lines are dropped.",
		    "%zu lines of dovecot-keywords can not be.",
		    count_lines(buf_str(&b)) - k->n_names);
	nameless = f->letters & ~k->named;
	if (nameless != 0)
		check_tell(f->c, CHECK_FAULT | CHECK_CAN_REPAIR, "keywords",
		    f->name,
		    "If there is a backup of dovecot-keywords, put it back. "
		    "Otherwise repair names them unknown-N.",
		    "%d keyword letters in file names have no name in "
		    "dovecot-keywords.",
		    __builtin_popcount(nameless));
	buf_done(&b);
}

static void
check_more(struct folder *f, struct kw_look *k)
{
	struct buf b;
	struct err e;
	size_t used;

	buf_init(&b, FILE_MAX);
	if (file_load(f->controlfd, MORE_KEYWORDS_FILE, &b, NULL, &e) == 0) {
		used = keywords_parse_more(
		    buf_str(&b), true, on_keyword, on_set, k);
		if (used == 0)
			check_tell(f->c, CHECK_FAULT, "keywords", f->name,
			    "Put back a copy, or remove it: the keywords in "
			    "it are lost then.",
			    "restante-keywords is not of a version that is "
			    "known here.");
		else if (used < b.n)
			check_tell(f->c, CHECK_FAULT | CHECK_CAN_REPAIR,
			    "keywords", f->name, REPAIR,
			    "The last line of restante-keywords is torn.");
	} else if (e.code != ERR_NOT_FOUND) {
		check_tell(f->c, CHECK_FAULT, "keywords", f->name,
		    "Look at its owner and mode.",
		    "restante-keywords can not be read: %s.", e.text);
	}
	buf_done(&b);
}

static void
check_keywords(struct folder *f)
{
	struct kw_look k = {.f = f};

	map_init(&k.names);
	check_letters(f, &k);
	check_more(f, &k);
	map_done(&k.names);
}

/* ---- Courier ------------------------------------------------------------------- */

static void
check_courier(struct folder *f)
{
	struct uidlist_head head = {0};
	struct buf b;
	struct err e;
	size_t used;
	unsigned line;

	buf_init(&b, UIDLIST_MAX_BYTES);
	if (f->head.version == 3 &&
	    file_load(f->fd, COURIER_UIDS, &b, NULL, &e) == 0)
		(void)uidlist_parse(&head, buf_str(&b), true, true,
		    ignore_record, NULL, &used, &line);
	buf_done(&b);
	if (head.version == 0)
		return;
	if (head.uidvalidity != f->head.uidvalidity)
		check_tell(f->c, CHECK_NOTE, "courier", f->name,
		    "Before going back to Courier set courier_compat to yes, "
		    "or mail programs download everything again.",
		    "courierimapuiddb has another UIDVALIDITY (%u) than "
		    "dovecot-uidlist (%u), which counts.",
		    head.uidvalidity, f->head.uidvalidity);
	else if (head.uidnext > f->head.uidnext)
		check_tell(f->c, CHECK_NOTE, "courier", f->name, NULL,
		    "Courier has given UIDs since this mailbox was last "
		    "opened; they are taken over when it is.");
}

/* ---- folders --------------------------------------------------------------------- */

static int
open_control(struct check *c, const char *rel, int fd)
{
	char path[PATH_MAX * 2];
	struct err e;
	int control;

	if (c->loc->control.p == NULL)
		return fd;
	(void)snprintf(
	    path, sizeof(path), "%.*s/%s", STR_ARG(c->loc->control), rel);
	control = file_open_dir(AT_FDCWD, path, true, &e);
	return control == -1 ? fd : control;
}

static void
check_folder(struct check *c, struct str name, const char *rel, int fd)
{
	struct folder f = {.c = c, .name = name, .fd = fd};

	f.controlfd = open_control(c, rel, fd);
	arena_init(&f.arena);
	map_init(&f.files);
	map_init(&f.records);
	set32_init(&f.uids);
	c->sum->mailboxes++;
	check_dir(&f, "new");
	check_dir(&f, "cur");
	tell_rest(&f, EX_LINE_END, "name", "files with a line end");
	tell_rest(&f, EX_DIR, "name", "things that are no files");
	tell_rest(&f, EX_OWNER, "owner", "files that can not be served");
	tell_rest(&f, EX_TWIN, "twin", "names that two messages have");
	tell_rest(
	    &f, EX_SIZE, "size", "files with a wrong size in their names");
	tell_rest(&f, EX_NAMELESS, "name", "files without a name");
	check_tmp(&f);
	check_list(&f);
	check_keywords(&f);
	check_courier(&f);
	if (f.controlfd != fd)
		close(f.controlfd);
	set32_done(&f.uids);
	map_done(&f.records);
	map_done(&f.files);
	arena_done(&f.arena);
}

/* A folder of the mail place, or a level above some. */
static void visit(struct check *c, const struct store *names, int at,
    const char *rel, unsigned depth);

static void
visit_all(struct check *c, const struct store *names, int at, int fd,
    const char *above, unsigned depth)
{
	struct dirent *d;
	char rel[PATH_MAX];
	struct err e;
	DIR *dir;
	int own = file_open_dir(fd, ".", false, &e);

	dir = own == -1 ? NULL : fdopendir(own);
	if (dir == NULL) {
		if (own != -1)
			close(own);
		return;
	}
	while ((d = readdir(dir)) != NULL) {
		struct stat st;
		bool has_dot = d->d_name[0] == '.';

		if (has_dot == names->is_fs_layout ||
		    strcmp(d->d_name, ".") == 0 ||
		    strcmp(d->d_name, "..") == 0 ||
		    strcmp(d->d_name, "cur") == 0 ||
		    strcmp(d->d_name, "new") == 0 ||
		    strcmp(d->d_name, "tmp") == 0 ||
		    fstatat(fd, d->d_name, &st, 0) == -1 ||
		    !S_ISDIR(st.st_mode) ||
		    snprintf(rel, sizeof(rel), "%s%s%s", above,
			above[0] == '\0' ? "" : "/",
			d->d_name) >= (int)sizeof(rel))
			continue;
		visit(c, names, at, rel, depth);
	}
	closedir(dir);
}

static void
visit(struct check *c, const struct store *names, int at, const char *rel,
    unsigned depth)
{
	struct buf name;
	struct err e;
	int fd = file_open_dir(at, rel, true, &e);

	if (strcmp(rel, "..DOVECOT-TRASHED") == 0)
		check_tell(c, CHECK_NOTE, "leftovers", STR(""), NULL,
		    "A mailbox that is being removed is still there; it goes "
		    "when it is an hour old.");
	buf_init(&name, 4 * PATH_MAX);
	if (!maildir_name_of_dir(names, str_of(rel), &name)) {
		if (fd != -1)
			close(fd);
		buf_done(&name);
		return;
	}
	if (fd == -1) {
		check_tell(c, CHECK_FAULT, "structure", buf_str(&name),
		    "Look at its owner and mode.",
		    "The folder %s can not be opened: %s.", rel, e.text);
		buf_done(&name);
		return;
	}
	if (!names->is_fs_layout || faccessat(fd, "cur", F_OK, 0) == 0)
		check_folder(c, buf_str(&name), rel, fd);
	if (names->is_fs_layout && depth < DEPTH_MAX)
		visit_all(c, names, at, fd, rel, depth + 1);
	close(fd);
	buf_done(&name);
}

static void
check_subs(struct check *c, int fd)
{
	struct buf b;
	struct err e;

	buf_init(&b, FILE_MAX);
	if (file_load(fd, SUBS_FILE, &b, NULL, &e) == 0) {
		if (b.n > 0 && b.p[b.n - 1] != '\n')
			check_tell(c, CHECK_NOTE, "subscriptions", STR(""),
			    "It is written anew at the next change.",
			    "The last line of subscriptions is torn.");
		if (!utf8_is_valid(buf_str(&b)))
			check_tell(c, CHECK_NOTE, "subscriptions", STR(""),
			    "Subscribe to these mailboxes again.",
			    "Names in subscriptions are neither modified "
			    "UTF-7 nor UTF-8.");
	} else if (e.code != ERR_NOT_FOUND) {
		check_tell(c, CHECK_FAULT, "subscriptions", STR(""),
		    "Look at its owner and mode.",
		    "subscriptions can not be read: %s.", e.text);
	}
	buf_done(&b);
}

static int
open_place(struct str path, struct err *e)
{
	char text[PATH_MAX];

	if (!str_to_c(path, text, sizeof(text)))
		return err_set(e, ERR_LIMIT, "path too long");
	return file_open_dir(AT_FDCWD, text, true, e);
}

int
maildir_check(struct check *c, struct err *e)
{
	const struct store names = {
	    .is_fs_layout = c->loc->is_fs_layout,
	    .delimiter = c->loc->is_fs_layout ? '/' : '.',
	};
	int fd = open_place(c->loc->root, e), inbox = fd, control;

	if (fd == -1 && e->code == ERR_NOT_FOUND) {
		check_tell(c, CHECK_NOTE, "place", STR(""), NULL,
		    "There is no mail at %.*s yet; it is made at the first "
		    "login.",
		    STR_ARG(c->loc->root));
		return 0;
	}
	if (fd == -1)
		return -1;
	if (c->loc->inbox.p != NULL)
		inbox = open_place(c->loc->inbox, e);
	if (inbox != -1)
		check_folder(c, STR("INBOX"), ".", inbox);
	else
		check_tell(c, CHECK_FAULT, "structure", STR("INBOX"),
		    "Look at its owner and mode, and at mail_location.",
		    "INBOX at %.*s can not be opened: %s.",
		    STR_ARG(c->loc->inbox), e->text);
	visit_all(c, &names, fd, fd, "", 0);
	control = open_control(c, ".", fd);
	check_subs(c, control);
	if (control != fd)
		close(control);
	if (inbox != fd && inbox != -1)
		close(inbox);
	close(fd);
	return 0;
}

/* ---- repair ------------------------------------------------------------------------ */

int
maildir_repair(struct mailbox *m, struct err *e)
{
	struct maildir *md = maildir_of(m);
	struct lock_wait wait = {0};
	enum step step;
	int rc = -1;

	if (m->is_read_only || md->is_in_memory)
		return err_set(
		    e, ERR_READ_ONLY, "%s can not be written", m->name);
	do {
		step = maildir_lock(m, m, &wait, LOCK_WAIT_MS, e);
		if (step == STEP_MORE)
			store_pause(m->store);
	} while (step == STEP_MORE);
	if (step != STEP_DONE)
		return -1;
	if (mailbox_load(m, e) == 0 && maildir_mend_list_now(m, e) == 0 &&
	    uidlist_rewrite(&md->list, NULL, 0, maildir_keep_record, m, e) ==
		0) {
		maildir_note_rewritten(m);
		rc = maildir_rewrite_keywords(m, e);
	}
	maildir_unlock(m);
	return rc;
}
