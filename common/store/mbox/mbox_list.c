/* SPDX-License-Identifier: ISC */
/*
 * mbox_list.c - names and files of mailboxes; their list.
 *
 * Owns:    where they lie below the root.
 * Runs in: imapd, as the mail user.
 * Trusts:  no name on disk; links are neither listed nor followed below the
 *          root.
 * Spec:    formats.md 7.1, 7.2, 1.10.
 *
 * A mailbox is a file, a folder is \Noselect. Mailboxes below the mailbox "a"
 * lie in the folder "a.sbd" beside it, as Thunderbird has them; other servers
 * show that folder under its own name.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/clock.h"
#include "store/mbox/mbox_impl.h"
#include "store/mbox/mbox_name.h"
#include "store/mboxlist.h"
#include "store/rights.h"
#include "store/tree.h"
#include "text/ascii.h"
#include "text/utf7.h"
#include "text/utf8.h"

#define DEPTH_MAX 32
#define NAME_BYTES_MAX 255
/* Of a new file: programs of any kind can put "FILE.lock" beside it. */
#define NEW_NAME_BYTES_MAX (NAME_BYTES_MAX - 5)

static struct mbox_place *
place_of(const struct store *s)
{
	return s->impl;
}

/* ---- place ----------------------------------------------------------------- */

static bool
has_8bit(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (ascii_is_8bit(s.p[i]))
			return true;
	return false;
}

static bool
looks_like_utf8(int rootfd)
{
	struct err e;
	struct dirent *d;
	bool found = false;
	int fd = file_open_dir(rootfd, ".", false, &e);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);

	if (dir == NULL) {
		if (fd != -1)
			close(fd);
		return false;
	}
	while (!found && (d = readdir(dir)) != NULL)
		found = has_8bit(str_of(d->d_name)) &&
		    utf8_is_valid(str_of(d->d_name));
	closedir(dir);
	return found;
}

int
mbox_place_open(struct store *s, struct err *e)
{
	struct mbox_place *p = mem_new(1, sizeof(*p));
	struct err ignored;

	s->impl = p;
	s->delimiter = '/';
	mbox_locks_parse(s->mbox_read_locks, MBOX_READ_LOCKS, &p->read_locks);
	mbox_locks_parse(
	    s->mbox_write_locks, MBOX_WRITE_LOCKS, &p->write_locks);
	p->is_uw = strcmp(s->root, s->home) == 0;
	/* Without it there is INBOX alone: the spool file is elsewhere. */
	if (access(s->root, F_OK) == -1)
		(void)file_make_path(s->root, &ignored);
	p->rootfd = file_open_dir(AT_FDCWD, s->root, true, e);
	if (p->rootfd == -1) {
		if (s->inbox == NULL)
			return -1;
		store_warn(s, "no folder for mailboxes: %s", e->text);
		return 0;
	}
	if (file_perm_of(p->rootfd, &p->perm, e) == -1)
		return -1;
	p->perm.file_mode &= 0600;
	if (!s->is_utf8 && s->folder_names_auto)
		s->is_utf8 = looks_like_utf8(p->rootfd);
	return 0;
}

void
mbox_place_close(struct store *s)
{
	struct mbox_place *p = s->impl;

	if (p == NULL)
		return;
	if (p->rootfd != -1)
		close(p->rootfd);
	free(p);
	s->impl = NULL;
}

/* ---- names to paths -------------------------------------------------------- */

/* What lies in the folder of a mailbox of UW-IMAP's mix format. */
static bool
is_mix(struct str file)
{
	struct str rest = str_skip(file, 4);

	if (!str_starts(file, STR(".mix")))
		return false;
	if (str_eq(rest, STR("meta")) || str_eq(rest, STR("index")) ||
	    str_eq(rest, STR("status")))
		return true;
	for (size_t i = 0; i < rest.n; i++)
		if (!ascii_is_digit(rest.p[i]) &&
		    (rest.p[i] < 'a' || rest.p[i] > 'f'))
			return false;
	return rest.n == 8;
}

/* Files of mail programs that are no mailboxes. */
static bool
is_hidden(const struct store *s, struct str file, bool is_top)
{
	const struct mbox_place *p = place_of(s);

	if (str_ends(file, STR(".lock")) || str_eq(file, STR(".imap")) ||
	    str_starts(file, STR(".subscriptions")) ||
	    str_starts(file, STR(".restante")) ||
	    str_starts(file, STR(".nfs")) ||
	    str_eq(file, STR(".mailboxlist")) ||
	    str_eq(file, STR(".mlbxlsttmp")) || is_mix(file))
		return true;
	if (p->is_uw && *file.p == '.')
		return true;
	return is_top && str_eq(file, STR("inbox"));
}

static int
check_level(const struct store *s, struct str level, bool is_top, struct err *e)
{
	if (level.n == 0)
		return err_set(e, ERR_BAD_NAME, "empty level");
	for (size_t i = 0; i < level.n; i++)
		if (ascii_is_ctl(level.p[i]))
			return err_set(e, ERR_BAD_NAME, "bad character");
	if (str_eq(level, STR(".")) || str_eq(level, STR("..")) ||
	    is_hidden(s, level, is_top))
		return err_set(e, ERR_BAD_NAME, "reserved name");
	return 0;
}

static int
check_name(const struct store *s, struct str name, struct err *e)
{
	struct str rest = name, level;
	bool is_top = true;

	if (name.n == 0 || name.n > MAILBOX_NAME_MAX_BYTES ||
	    !utf8_is_valid(name) || *name.p == '~' || *name.p == '/')
		return err_set(e, ERR_BAD_NAME, "not a mailbox name");
	while (str_next(&rest, '/', &level)) {
		if (check_level(s, level, is_top, e) == -1)
			return -1;
		is_top = false;
	}
	return 0;
}

enum mbox_kind
mbox_kind_of(const struct store *s, const char *path)
{
	struct stat st;

	if (fstatat(place_of(s)->rootfd, path, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return MBOX_NOTHING;
	return S_ISDIR(st.st_mode) ? MBOX_A_DIR
	    : S_ISREG(st.st_mode)  ? MBOX_A_FILE
				   : MBOX_NOTHING;
}

static bool
spell(struct str level, bool is_utf8, struct buf *out)
{
	size_t start = out->n;
	bool ok = is_utf8 ? buf_add_str(out, level) : utf7_encode(out, level);

	return ok && out->n - start <= NAME_BYTES_MAX;
}

/*
 * Appends a level to the path in `b`: as it is on disk in either spelling, else
 * as a new one is spelt. False: it can not be spelt.
 */
static bool
add_level(const struct store *s, struct buf *b, struct str level,
    enum mbox_kind *kind)
{
	size_t start = b->n;

	for (int i = 0; i < 2; i++) {
		b->n = start;
		/* "&AOQ-" on disk is another mailbox's name. */
		if (i == 1 && !s->is_utf8 && str_find(level, '&') < level.n &&
		    utf7_is_valid(level))
			continue;
		if (!spell(level, s->is_utf8 != (i == 1), b))
			continue;
		(void)buf_add_byte(b, '\0');
		if (buf_is_over(b))
			return false;
		b->n--;
		*kind = mbox_kind_of(s, b->p);
		if (*kind != MBOX_NOTHING)
			return true;
	}
	b->n = start;
	return spell(level, s->is_utf8, b) &&
	    b->n - start <= NEW_NAME_BYTES_MAX;
}

/*
 * Path below the root. With `make`, folders on the way are made; without,
 * ERR_NOT_FOUND when one is missing.
 */
static int
resolve(const struct store *s, struct str name, bool make, struct buf *b,
    enum mbox_kind *kind, struct err *e)
{
	const struct mbox_place *p = place_of(s);
	struct str rest = name, level;
	size_t start;

	if (check_name(s, name, e) == -1)
		return -1;
	if (p->rootfd == -1)
		return err_set(e, ERR_NOT_FOUND, "no folder for mailboxes");
	while (str_next(&rest, '/', &level)) {
		bool is_last = rest.p == NULL || rest.p >= name.p + name.n;

		*kind = MBOX_NOTHING;
		start = b->n;
		if (!add_level(s, b, level, kind))
			return err_set(e, ERR_BAD_NAME, "name too long");
		if (is_last)
			break;
		if (*kind == MBOX_A_FILE) {
			(void)buf_add(b, MBOX_BELOW, sizeof(MBOX_BELOW));
			if (buf_is_over(b))
				return err_set(
				    e, ERR_BAD_NAME, "name too long");
			b->n--;
			if (b->n - start > NAME_BYTES_MAX)
				return err_set(
				    e, ERR_BAD_NAME, "name too long");
			*kind = mbox_kind_of(s, b->p);
		}
		if (*kind == MBOX_A_FILE || (*kind == MBOX_NOTHING && !make))
			return err_set(e, ERR_NOT_FOUND, "no such mailbox");
		if (*kind == MBOX_NOTHING) {
			(void)buf_add_byte(b, '\0');
			b->n--;
			if (file_make_dir(p->rootfd, b->p, &p->perm, e) == -1 &&
			    e->code != ERR_EXISTS)
				return -1;
		}
		(void)buf_add_byte(b, '/');
	}
	(void)buf_add_byte(b, '\0');
	return buf_is_over(b) ? err_set(e, ERR_BAD_NAME, "name too long") : 0;
}

int
mbox_path_below(const struct store *s, struct str name, bool make,
    char out[PATH_MAX], enum mbox_kind *kind, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, PATH_MAX - 1);
	rc = resolve(s, name, make, &b, kind, e);
	if (rc == 0)
		memcpy(out, b.p, b.n);
	buf_done(&b);
	return rc;
}

int
mbox_path(struct store *s, struct str name, char out[PATH_MAX], struct err *e)
{
	char below[PATH_MAX];
	enum mbox_kind kind;

	if (str_eq(name, STR("INBOX"))) {
		if (s->inbox != NULL
			? !str_to_c(str_of(s->inbox), out, PATH_MAX)
			: snprintf(out, PATH_MAX, "%s/inbox", s->root) >=
			    PATH_MAX)
			return err_set(e, ERR_LIMIT, "path too long");
		return 0;
	}
	if (mbox_path_below(s, name, false, below, &kind, e) == -1)
		return -1;
	if (snprintf(out, PATH_MAX, "%s/%s", s->root, below) >= PATH_MAX)
		return err_set(e, ERR_LIMIT, "path too long");
	if (kind == MBOX_NOTHING) {
		struct err ignored;

		/* What comes under this name some day is another one. */
		if (mbox_rename_try_mend(s, &ignored) &&
		    !mbox_rename_is_left(s))
			mbox_keep_remove(s, out);
		return err_set(e, ERR_NOT_FOUND, "no such mailbox");
	}
	if (kind == MBOX_A_DIR)
		return err_set(e, ERR_NOT_FOUND, "no mailbox, only a folder");
	return 0;
}

bool
mbox_imap_of(const char *path, char out[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	int n = slash == NULL ? 0 : (int)(slash - path) + 1;

	return snprintf(out, PATH_MAX, "%.*s.imap/%s", n, path, path + n) <
	    PATH_MAX;
}

int
mbox_rights_place(
    struct store *s, struct str name, struct rights_place *out, struct err *e)
{
	bool is_inbox = str_eq(name, STR("INBOX"));
	char below[PATH_MAX], imap[PATH_MAX];
	enum mbox_kind kind = MBOX_A_FILE;

	/* What belongs to a mailbox may not be there yet. */
	(void)mbox_rename_try_mend(s, e);
	*out = (struct rights_place){0};
	if (is_inbox && mbox_path(s, name, out->path, e) == -1)
		return -1;
	if (!is_inbox) {
		if (mbox_path_below(s, name, false, below, &kind, e) == -1)
			return -1;
		if (kind == MBOX_NOTHING)
			return err_set(e, ERR_NOT_FOUND, "no such mailbox");
		if (snprintf(out->path, PATH_MAX, "%s/%s", s->root, below) >=
		    PATH_MAX)
			return err_set(e, ERR_LIMIT, "path too long");
	}
	out->is_file = kind == MBOX_A_FILE;
	out->is_level = kind == MBOX_A_DIR;
	if (!mbox_imap_of(is_inbox ? "INBOX" : below, imap) ||
	    snprintf(out->acl_dir, PATH_MAX, "%s/%s", s->root, imap) >=
		PATH_MAX)
		return err_set(e, ERR_LIMIT, "path too long");
	return 0;
}

/* ---- list ------------------------------------------------------------------ */

/* A folder that is being read, and the name of what lies in it. */
struct level {
	DIR *dir;
	char *prefix;
};

struct listing {
	VEC(struct level) levels; /* from the root down */
};

static bool
name_of_level(struct str file, struct buf *out)
{
	if (has_8bit(file))
		return utf8_is_valid(file) && buf_add_str(out, file);
	return utf7_decode(out, file) || buf_add_str(out, file);
}

static void
push_level(struct listing *l, int dirfd, const char *name, const char *prefix)
{
	struct err ignored;
	int fd = l->levels.n > DEPTH_MAX
	    ? -1
	    : file_open_dir(dirfd, name, false, &ignored);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);

	if (dir != NULL)
		*VEC_ADD(&l->levels) = (struct level){dir, mem_strdup(prefix)};
	else if (fd != -1)
		close(fd);
}

static void
pop_level(struct listing *l)
{
	struct level *top = &l->levels.v[--l->levels.n];

	closedir(top->dir);
	free(top->prefix);
}

/* Is "a.sbd" the folder of what lies below the mailbox "a"? */
static bool
is_below(int fd, struct str file, char base[NAME_BYTES_MAX + 1])
{
	struct stat st;

	return str_ends(file, STR(MBOX_BELOW)) &&
	    str_to_c(str_head(file, file.n - (sizeof(MBOX_BELOW) - 1)), base,
		NAME_BYTES_MAX + 1) &&
	    base[0] != '\0' &&
	    fstatat(fd, base, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode);
}

/* An entry of the folder that is being read. */
static void
list_one(struct store *s, struct listing *l, struct arena *a,
    struct mbox_entry **first, const char *file)
{
	const struct level *top = &l->levels.v[l->levels.n - 1];
	bool is_top = l->levels.n == 1, below, is_dir, is_inbox;
	int fd = dirfd(top->dir);
	char base[NAME_BYTES_MAX + 1];
	struct buf name;
	struct stat st;

	if (strcmp(file, ".") == 0 || strcmp(file, "..") == 0 ||
	    is_hidden(s, str_of(file), is_top) ||
	    fstatat(fd, file, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)))
		return;
	is_dir = S_ISDIR(st.st_mode);
	below = is_dir && is_below(fd, str_of(file), base);
	buf_init(&name, 4 * PATH_MAX);
	(void)buf_add_c(&name, top->prefix);
	if (name_of_level(str_of(below ? base : file), &name) &&
	    !buf_is_over(&name)) {
		is_inbox =
		    is_top && str_eq_nocase(buf_str(&name), STR("INBOX"));
		if (!below && !is_inbox)
			mboxlist_add(a, first, buf_str(&name),
			    is_dir ? MBOX_NOSELECT : 0);
		if (is_dir && buf_add(&name, "/", sizeof("/")))
			push_level(l, fd, file, name.p);
	}
	buf_done(&name);
}

void
mbox_list_end(void **at)
{
	struct listing *l = *at;

	*at = NULL;
	if (l == NULL)
		return;
	while (l->levels.n > 0)
		pop_level(l);
	VEC_DONE(&l->levels);
	free(l);
}

static struct listing *
begin_listing(struct store *s, struct arena *a, struct mbox_entry **first)
{
	struct listing *l = mem_new(1, sizeof(*l));

	*first = NULL;
	mboxlist_add(a, first, STR("INBOX"), 0);
	if (place_of(s)->rootfd != -1)
		push_level(l, place_of(s)->rootfd, ".", "");
	return l;
}

enum step
mbox_list(struct store *s, struct arena *a, void **at,
    struct mbox_entry **first, UNUSED struct err *e)
{
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	struct listing *l;
	const struct dirent *d;

	if (*at == NULL)
		*at = begin_listing(s, a, first);
	l = *at;
	while (l->levels.n > 0) {
		d = readdir(l->levels.v[l->levels.n - 1].dir);
		if (d == NULL)
			pop_level(l);
		else
			list_one(s, l, a, first, d->d_name);
		if (clock_mono_ms() >= until && l->levels.n > 0)
			return STEP_MORE;
	}
	return STEP_DONE;
}

/* ---- subscriptions --------------------------------------------------------- */

int
mbox_subs_dir(struct store *s, const char **file)
{
	const struct mbox_place *p = place_of(s);

	*file = ".subscriptions";
	if (p->is_uw && p->rootfd != -1 &&
	    faccessat(p->rootfd, ".mailboxlist", F_OK, 0) == 0 &&
	    faccessat(p->rootfd, ".subscriptions", F_OK, 0) == -1)
		*file = ".mailboxlist";
	return p->rootfd;
}

bool
mbox_storage_name(struct store *s, struct str name, struct buf *out)
{
	return s->is_utf8 ? utf8_is_valid(name) && buf_add_str(out, name)
			  : utf7_encode(out, name);
}

bool
mbox_name_of_storage(struct store *s, struct str storage, struct buf *out)
{
	(void)s;
	return name_of_level(storage, out);
}

/* ---- what happens to them (tree.h) ----------------------------------------- */

/* In a spool there is much to be heard of others' mail: the file alone. */
unsigned
mbox_spots(struct store *s, struct str name, struct tree_spot *out)
{
	char path[PATH_MAX];
	struct err e;
	char *slash;
	bool is_spool = str_eq(name, STR("INBOX")) && s->inbox != NULL;

	if (mbox_path(s, name, path, &e) == -1)
		return 0;
	slash = strrchr(path, '/');
	if (slash == NULL ||
	    !str_to_c(str_of(slash + 1), out[0].file, sizeof(out[0].file)))
		return 0;
	if (is_spool) {
		(void)str_to_c(str_of(path), out[1].path, sizeof(out[1].path));
		out[1].file[0] = '\0';
		out[1].mask = IN_MODIFY | IN_CLOSE_WRITE;
	}
	*slash = '\0';
	if (snprintf(out[0].path, sizeof(out[0].path), "%s/.", path) >=
	    (int)sizeof(out[0].path))
		return 0;
	out[0].mask = IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE;
	if (!is_spool)
		out[0].mask |= IN_MODIFY | IN_CLOSE_WRITE;
	return is_spool && access(out[1].path, F_OK) == 0 ? 2 : 1;
}

bool
mbox_names_spot(struct store *s, struct str name, struct tree_spot *out)
{
	char below[PATH_MAX];
	enum mbox_kind kind;
	struct err e;

	out->file[0] = '\0';
	out->mask = IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE;
	if (name.n == 0)
		return str_to_c(str_of(s->root), out->path, sizeof(out->path));
	if (str_eq(name, STR("INBOX")) ||
	    mbox_path_below(s, name, false, below, &kind, &e) == -1 ||
	    kind == MBOX_NOTHING)
		return false;
	return snprintf(out->path, sizeof(out->path), "%s/%s%s", s->root, below,
		   kind == MBOX_A_FILE ? MBOX_BELOW : "") <
	    (int)sizeof(out->path) &&
	    access(out->path, F_OK) == 0;
}

bool
mbox_is_name(struct store *s, uint32_t mask, struct str entry)
{
	return str_eq(entry, STR(".subscriptions")) ||
	    str_eq(entry, STR(".mailboxlist")) || (mask & IN_ISDIR) != 0 ||
	    (entry.n > 0 && !is_hidden(s, entry, false));
}
