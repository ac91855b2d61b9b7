/* SPDX-License-Identifier: ISC */
/*
 * subs.c - reads and changes the list of subscribed mailboxes.
 *
 * Owns:    the file, while it holds its lock.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in the file.
 * Spec:    formats.md 2.10.
 *
 * A file keeps its version; what we do not change stays byte for byte.
 */
#include <unistd.h>
#include <stdio.h>

#include "os/lock.h"
#include "store/subs.h"

#define FILE_MAX (UINT64_C(64) * 1024 * 1024)
#define STALE_S 30

static const struct {
	char byte, code;
} escapes[] = {
    {'\001', '1'},
    {'\t', 't'},
    {'\n', 'n'},
    {'\r', 'r'},
    {'\0', '0'},
};

static void
add_escaped(struct buf *out, struct str level)
{
	for (size_t i = 0; i < level.n; i++) {
		size_t k = 0;

		while (k < ARRAY_LEN(escapes) && escapes[k].byte != level.p[i])
			k++;
		if (k < ARRAY_LEN(escapes)) {
			(void)buf_add_byte(out, '\001');
			(void)buf_add_byte(out, escapes[k].code);
		} else {
			(void)buf_add_byte(out, level.p[i]);
		}
	}
}

static void
add_unescaped(struct buf *out, struct str level)
{
	for (size_t i = 0; i < level.n; i++) {
		char c = level.p[i];

		if (c == '\001' && i + 1 < level.n) {
			c = level.p[++i];
			for (size_t k = 0; k < ARRAY_LEN(escapes); k++)
				if (escapes[k].code == level.p[i])
					c = escapes[k].byte;
		}
		(void)buf_add_byte(out, c);
	}
}

/* One line to a name. */
static void
name_of_line(struct buf *out, struct str line, unsigned version, char delimiter)
{
	struct str level;
	bool is_first = true;

	if (version < 2) {
		(void)buf_add_str(out, line);
		return;
	}
	while (str_next(&line, '\t', &level)) {
		if (!is_first)
			(void)buf_add_byte(out, delimiter);
		is_first = false;
		add_unescaped(out, level);
	}
}

/* And back. */
static void
line_of_name(struct buf *out, struct str name, unsigned version, char delimiter)
{
	struct str level;
	bool is_first = true;

	if (version < 2) {
		(void)buf_add_str(out, name);
		return;
	}
	while (str_next(&name, delimiter, &level)) {
		if (!is_first)
			(void)buf_add_byte(out, '\t');
		is_first = false;
		add_escaped(out, level);
	}
}

/* The header, if there is one, and the lines behind it. */
static unsigned
cut_header(struct str *bytes)
{
	if (!str_starts(*bytes, STR("V\t2\n")))
		return 1;
	*bytes = str_skip(*bytes, 4);
	/* More header lines may come; an empty one ends them. */
	while (bytes->n > 0) {
		struct str line;

		(void)str_cut(bytes, '\n', &line);
		if (line.n == 0)
			break;
	}
	return 2;
}

void
subs_parse(
    struct str bytes, char delimiter, subs_fn *fn, void *arg, unsigned *version)
{
	struct buf name;
	struct str line;

	*version = cut_header(&bytes);
	buf_init(&name, 64 * 1024);
	while (str_next(&bytes, '\n', &line)) {
		buf_clear(&name);
		name_of_line(&name, line, *version, delimiter);
		if (str_eq_nocase(buf_str(&name), STR("INBOX"))) {
			buf_clear(&name);
			(void)buf_add_c(&name, "INBOX");
		}
		if (name.n > 0 && !buf_is_over(&name))
			fn(arg, buf_str(&name));
	}
	buf_done(&name);
}

int
subs_load(int dirfd, const char *file, char delimiter, subs_fn *fn, void *arg,
    struct err *e)
{
	struct buf b;
	unsigned version;
	int rc = 0;

	buf_init(&b, FILE_MAX);
	if (file_load(dirfd, file, &b, NULL, e) == 0)
		subs_parse(buf_str(&b), delimiter, fn, arg, &version);
	else if (e->code != ERR_NOT_FOUND)
		rc = -1;
	buf_done(&b);
	return rc;
}

/* The new content; false when nothing has to be changed. */
static bool
edit(struct str old, struct buf *out, struct str line, bool on)
{
	struct str rest = old, l;
	unsigned version = cut_header(&rest);
	bool is_inbox = str_eq(line, STR("INBOX")), found = false;

	(void)version;
	(void)buf_add_str(out, str_head(old, old.n - rest.n));
	while (str_next(&rest, '\n', &l)) {
		if (l.n == 0)
			continue;
		if (str_eq(l, line) || (is_inbox && str_eq_nocase(l, line))) {
			found = true;
			if (!on)
				continue;
		}
		(void)buf_add_str(out, l);
		(void)buf_add_byte(out, '\n');
	}
	if (on && !found) {
		(void)buf_add_str(out, line);
		(void)buf_add_byte(out, '\n');
	}
	return on != found;
}

static int
change_locked(int dirfd, const char *file, const struct file_perm *perm,
    char delimiter, struct str name, bool on, struct err *e)
{
	struct buf old, out, line;
	struct str rest;
	char temp[64];
	int rc = -1;

	buf_init(&old, FILE_MAX);
	buf_init(&out, FILE_MAX);
	buf_init(&line, 64 * 1024);
	if (file_load(dirfd, file, &old, NULL, e) == -1) {
		if (e->code != ERR_NOT_FOUND)
			goto out;
		(void)buf_add_c(&old, SUBS_HEADER);
	}
	rest = buf_str(&old);
	line_of_name(&line, name, cut_header(&rest), delimiter);
	if (!edit(buf_str(&old), &out, buf_str(&line), on)) {
		rc = 0;
		goto out;
	}
	if (buf_is_over(&out) || buf_is_over(&line)) {
		(void)err_set(e, ERR_LIMIT, "%s: too large", file);
		goto out;
	}
	(void)snprintf(temp, sizeof(temp), "%s.tmp", file);
	if (file_replace(dirfd, file, temp, buf_str(&out), perm, NULL, e) == -1)
		goto out;
	rc = file_sync(dirfd, "folder", e);
out:
	buf_done(&old);
	buf_done(&out);
	buf_done(&line);
	return rc;
}

void
subs_put_line(struct buf *out, struct str storage_name, char delimiter)
{
	line_of_name(out, storage_name, 2, delimiter);
	(void)buf_add_byte(out, '\n');
}

int
subs_replace(int dirfd, const char *file, const struct file_perm *perm,
    struct str bytes, struct err *e)
{
	struct dotlock lock = {0};
	const struct dotlock_rules rules = {
	    .stale_s = STALE_S,
	    .mode = perm->file_mode,
	    .temp_dir = -1,
	};
	char temp[64];
	int rc;

	if (dotlock_take(&lock, dirfd, file, &rules, 0, e) == -1)
		return -1;
	(void)snprintf(temp, sizeof(temp), "%s.tmp", file);
	rc = file_replace(dirfd, file, temp, bytes, perm, NULL, e);
	dotlock_release(&lock);
	return rc;
}

int
subs_change(int dirfd, const char *file, const struct file_perm *perm,
    char delimiter, struct str name, bool on, struct dotlock *lock,
    struct err *e)
{
	const struct dotlock_rules rules = {
	    .stale_s = STALE_S,
	    .mode = perm->file_mode,
	    .temp_dir = -1,
	};
	int rc;

	if (memchr(name.p, '\n', name.n) != NULL)
		return err_set(e, ERR_BAD_NAME, "name with a line end");
	if (dotlock_take(lock, dirfd, file, &rules, 0, e) == -1)
		return -1;
	rc = change_locked(dirfd, file, perm, delimiter, name, on, e);
	dotlock_release(lock);
	return rc;
}
