/* SPDX-License-Identifier: ISC */
/*
 * maildir_place.c - the user's Maildir as a place; mailbox names to folders.
 *
 * Owns:    struct maildir_place.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  no mailbox name: a level is checked before it becomes part of a path.
 * Spec:    formats.md 1.10, 1.11.
 *
 * A folder that exists may be spelt in modified UTF-7, in UTF-8, or in bytes
 * that are neither; each spelling can be opened. CREATE writes the one that
 * the place has (store->is_utf8).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/mem.h"
#include "store/maildir/journal.h"
#include "store/maildir/maildir_impl.h"
#include "store/maildir/maildir_quiet.h"
#include "store/rights.h"
#include "text/ascii.h"
#include "text/utf7.h"
#include "text/utf8.h"

#define UTF8_SUFFIX "?utf8"

static bool
has_8bit(struct str s)
{
	return utf8_ascii_length(s) < s.n;
}

/* Does CREATE write UTF-8 here? Only where others did so before. */
static bool
looks_like_utf8(int rootfd, bool is_courier)
{
	struct err e;
	struct dirent *d;
	DIR *dir;
	bool found = false, has_mutf7 = false;
	int fd;

	fd = file_open_dir(rootfd, ".", false, &e);
	dir = fd == -1 ? NULL : fdopendir(fd);
	if (dir == NULL) {
		if (fd != -1)
			close(fd);
		return false;
	}
	while (!found && (d = readdir(dir)) != NULL) {
		struct str name = str_of(d->d_name);

		found = d->d_name[0] == '.' && has_8bit(name) &&
		    utf8_is_valid(name);
		has_mutf7 = has_mutf7 ||
		    (d->d_name[0] == '.' && strchr(d->d_name, '&') != NULL);
	}
	closedir(dir);
	return found || (is_courier && !has_mutf7);
}

static int
open_control(struct store *s, struct maildir_place *p, struct err *e)
{
	if (s->control == NULL) {
		p->controlfd = p->rootfd;
		return 0;
	}
	if (file_make_path(s->control, e) == -1)
		return -1;
	p->controlfd = file_open_dir(AT_FDCWD, s->control, true, e);
	return p->controlfd == -1 ? -1 : 0;
}

int
maildir_place_open(struct store *s, struct err *e)
{
	struct maildir_place *p = mem_new(1, sizeof(*p));
	bool is_courier;

	s->impl = p;
	p->rootfd = p->controlfd = -1;
	/* What is not the user's own is not made for him. */
	if (s->head == NULL && access(s->root, F_OK) == -1 &&
	    file_make_path(s->root, e) == -1)
		return -1;
	/* INBOX= may lie where only the administrator can make it: then
	 * opening INBOX says so. */
	if (s->inbox != NULL && access(s->inbox, F_OK) == -1)
		(void)file_make_path(s->inbox, e);
	p->rootfd = file_open_dir(AT_FDCWD, s->root, true, e);
	if (p->rootfd == -1 || open_control(s, p, e) == -1 ||
	    file_perm_of(p->rootfd, &p->perm, e) == -1)
		return -1;
	is_courier = maildir_courier_is_there(p->rootfd);
	if (!s->is_utf8 && s->folder_names_auto)
		s->is_utf8 =
		    looks_like_utf8(p->rootfd, is_courier && !s->is_fs_layout);
	s->is_courier = s->is_courier || (s->courier_auto && is_courier);
	return 0;
}

void
maildir_place_close(struct store *s)
{
	struct maildir_place *p = s->impl;

	if (p == NULL)
		return;
	quiet_free(s);
	if (p->controlfd != p->rootfd && p->controlfd != -1)
		close(p->controlfd);
	if (p->rootfd != -1)
		close(p->rootfd);
	free(p);
	s->impl = NULL;
}

/* ---- names to paths ------------------------------------------------------ */

static bool
is_reserved_in_fs(struct str level)
{
	static const char *const exact[] = {"cur", "new", "tmp",
	    "subscriptions", "maildirfolder", "restante-keywords", JOURNAL_FILE,
	    "maildirsize"};

	for (size_t i = 0; i < ARRAY_LEN(exact); i++)
		if (str_eq(level, str_of(exact[i])))
			return true;
	return str_starts(level, STR("dovecot-")) ||
	    str_starts(level, STR("dovecot.")) ||
	    str_starts(level, STR("courierimap"));
}

static int
check_level(const struct store *s, struct str level, struct err *e)
{
	if (level.n == 0)
		return err_set(e, ERR_BAD_NAME, "empty level");
	for (size_t i = 0; i < level.n; i++)
		if (ascii_is_ctl(level.p[i]) || level.p[i] == '/')
			return err_set(e, ERR_BAD_NAME, "bad character");
	if (!s->is_fs_layout)
		return 0;
	if (*level.p == '.' || is_reserved_in_fs(level))
		return err_set(e, ERR_BAD_NAME, "reserved name");
	return 0;
}

static int
check_name(const struct store *s, struct str name, struct err *e)
{
	struct str rest = name, level;

	if (name.n == 0 || name.n > MAILBOX_NAME_MAX_BYTES ||
	    !utf8_is_valid(name) || *name.p == '~' ||
	    name.p[name.n - 1] == s->delimiter)
		return err_set(e, ERR_BAD_NAME, "not a mailbox name");
	while (str_next(&rest, s->delimiter, &level))
		if (check_level(s, level, e) == -1)
			return -1;
	return 0;
}

/* How a name may be spelt on disk. */
enum spelling {
	SPELT_MUTF7,
	SPELT_RAW, /* UTF-8, or an "&" that means itself */
	SPELT_PERCENT, /* %FF for bytes that are no UTF-8 */
};

static bool
unescape(struct buf *out, struct str s)
{
	bool any = false;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '%' && i + 2 < s.n && ascii_is_hex(s.p[i + 1]) &&
		    ascii_is_hex(s.p[i + 2])) {
			(void)buf_add_byte(out,
			    (char)(ascii_hex(s.p[i + 1]) * 16 +
				ascii_hex(s.p[i + 2])));
			i += 2;
			any = true;
		} else {
			(void)buf_add_byte(out, s.p[i]);
		}
	}
	return any && memchr(out->p, '/', out->n) == NULL &&
	    memchr(out->p, '\0', out->n) == NULL &&
	    !utf8_is_valid(buf_str(out));
}

static bool
spell(
    const struct store *s, struct str name, enum spelling how, struct buf *out)
{
	struct buf b;
	bool ok = false;

	if (!s->is_fs_layout)
		(void)buf_add_byte(out, '.');
	switch (how) {
	case SPELT_MUTF7:
		ok = utf7_encode(out, name);
		break;
	case SPELT_RAW:
		/* "&AOQ-" on disk is another mailbox's name. */
		if (!s->is_utf8 && str_find(name, '&') < name.n &&
		    utf7_is_valid(name))
			break;
		if (str_ends(name, STR(UTF8_SUFFIX)))
			name = str_head(name, name.n - 5);
		ok = buf_add_str(out, name);
		break;
	case SPELT_PERCENT:
		buf_init(&b, PATH_MAX);
		ok = unescape(&b, name) && buf_add_str(out, buf_str(&b));
		buf_done(&b);
		break;
	}
	return ok && !buf_is_over(out);
}

bool
maildir_path_guess(struct store *s, struct str name, char out[PATH_MAX])
{
	enum spelling first = s->is_utf8 ? SPELT_RAW : SPELT_MUTF7;
	struct buf b;
	struct err e;
	bool ok;

	if (str_eq(name, STR("INBOX")) || str_ends(name, STR(UTF8_SUFFIX)) ||
	    check_name(s, name, &e) == -1)
		return false;
	buf_init(&b, PATH_MAX - 1);
	ok = spell(s, name, first, &b) && str_to_c(buf_str(&b), out, PATH_MAX);
	buf_done(&b);
	return ok;
}

/* The path in this spelling, when it is a folder. */
static bool
try_spelling(
    struct store *s, struct str name, enum spelling how, char out[PATH_MAX])
{
	const struct maildir_place *p = s->impl;
	struct stat st;
	struct buf b;
	bool ok;

	buf_init(&b, PATH_MAX - 1);
	ok = spell(s, name, how, &b) && str_to_c(buf_str(&b), out, PATH_MAX) &&
	    fstatat(p->rootfd, out, &st, 0) == 0 && S_ISDIR(st.st_mode);
	buf_done(&b);
	return ok;
}

static int
inbox_path(const struct store *s, char out[PATH_MAX], struct err *e)
{
	if (s->inbox == NULL) {
		memcpy(out, ".", 2);
		return 0;
	}
	return str_to_c(str_of(s->inbox), out, PATH_MAX)
	    ? 0
	    : err_set(e, ERR_LIMIT, "path too long");
}

int
maildir_path(
    struct store *s, struct str name, char out[PATH_MAX], struct err *e)
{
	enum spelling first = s->is_utf8 ? SPELT_RAW : SPELT_MUTF7;
	enum spelling second = s->is_utf8 ? SPELT_MUTF7 : SPELT_RAW;

	if (str_eq(name, STR("INBOX")))
		return inbox_path(s, out, e);
	if (check_name(s, name, e) == -1)
		return -1;
	if ((!str_ends(name, STR(UTF8_SUFFIX)) &&
		try_spelling(s, name, first, out)) ||
	    try_spelling(s, name, second, out) ||
	    try_spelling(s, name, SPELT_PERCENT, out))
		return 0;
	return err_set(e, ERR_NOT_FOUND, "no such mailbox");
}

int
maildir_rights_place(
    struct store *s, struct str name, struct rights_place *out, struct err *e)
{
	char path[PATH_MAX];
	struct stat st;
	int n;

	if (maildir_path(s, name, path, e) == -1)
		return -1;
	out->holds_all = strcmp(path, ".") == 0;
	if (path[0] == '/')
		n = snprintf(out->path, PATH_MAX, "%s", path);
	else if (out->holds_all)
		n = snprintf(out->path, PATH_MAX, "%s", s->root);
	else
		n = snprintf(out->path, PATH_MAX, "%s/%s", s->root, path);
	if (n >= PATH_MAX ||
	    snprintf(path, sizeof(path), "%s/cur", out->path) >= PATH_MAX)
		return err_set(e, ERR_LIMIT, "path too long");
	memcpy(out->acl_dir, out->path, sizeof(out->acl_dir));
	out->is_file = false;
	out->is_level = stat(path, &st) == -1 && errno == ENOENT;
	return 0;
}

bool
maildir_exists(struct store *s, struct str name)
{
	char path[PATH_MAX];
	struct err e;

	return maildir_path(s, name, path, &e) == 0;
}

int
maildir_new_path(
    struct store *s, struct str name, char out[PATH_MAX], struct err *e)
{
	struct buf b;
	struct str rest, level;
	int rc = -1;

	if (check_name(s, name, e) == -1)
		return -1;
	buf_init(&b, PATH_MAX - 1);
	if (!spell(s, name, s->is_utf8 ? SPELT_RAW : SPELT_MUTF7, &b) ||
	    !str_to_c(buf_str(&b), out, PATH_MAX)) {
		(void)err_set(e, ERR_BAD_NAME, "name too long");
		goto out;
	}
	rest = buf_str(&b);
	while (str_next(&rest, '/', &level))
		if (level.n > MAILDIR_NAME_MAX) {
			(void)err_set(e, ERR_BAD_NAME, "name too long");
			goto out;
		}
	rc = 0;
out:
	buf_done(&b);
	return rc;
}

/* ---- paths to names ------------------------------------------------------ */

static void
escape(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (ascii_is_8bit(s.p[i]))
			(void)buf_addf(out, "%%%02X", (unsigned char)s.p[i]);
		else
			(void)buf_add_byte(out, s.p[i]);
}

bool
maildir_name_of_dir(const struct store *s, struct str dir, struct buf *out)
{
	size_t start = out->n;
	struct str rest, level;

	if (!s->is_fs_layout) {
		if (dir.n < 2 || dir.p[0] != '.' || dir.p[1] == '.' ||
		    str_starts(dir, STR(".nfs")))
			return false;
		dir = str_skip(dir, 1);
	}
	if (has_8bit(dir)) {
		if (utf8_is_valid(dir))
			(void)buf_add_str(out, dir);
		else
			escape(out, dir);
	} else if (!utf7_decode(out, dir)) {
		(void)buf_add_str(out, dir);
	}
	rest = str_skip(buf_str(out), start);
	while (str_next(&rest, s->delimiter, &level)) {
		bool bad = level.n == 0;

		for (size_t i = 0; i < level.n; i++)
			bad = bad || ascii_is_ctl(level.p[i]) ||
			    level.p[i] == '/';
		if (!bad)
			continue;
		out->n = start;
		return false;
	}
	return !buf_is_over(out);
}

bool
maildir_storage_name(struct store *s, struct str name, struct buf *out)
{
	return s->is_utf8 ? utf8_is_valid(name) && buf_add_str(out, name)
			  : utf7_encode(out, name);
}

bool
maildir_name_of_storage(struct store *s, struct str storage, struct buf *out)
{
	(void)s;
	if (has_8bit(storage))
		return utf8_is_valid(storage) && buf_add_str(out, storage);
	return utf7_decode(out, storage) || buf_add_str(out, storage);
}

int
maildir_subs_dir(struct store *s, const char **file)
{
	const struct maildir_place *p = s->impl;

	maildir_courier_subs(s);
	*file = SUBS_FILE;
	return p->controlfd;
}
