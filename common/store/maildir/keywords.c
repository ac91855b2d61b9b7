/* SPDX-License-Identifier: ISC */
/*
 * keywords.c - reads and writes the two keyword files of a Maildir.
 *
 * Owns:    "dovecot-keywords" and "restante-keywords", under the uidlist lock.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the files.
 * Spec:    formats.md 2.7.
 *
 * Invariants: an index never changes its name; a name is in the file before a
 * letter or a set refers to it; restante-keywords grows by whole lines only.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/num.h"
#include "store/maildir/keywords.h"

#define FILE_MAX (UINT64_C(256) * 1024 * 1024)
#define VERSION_LINE "1\n"
#define SET_MAX 1024 /* numbers in one set */

bool
keywords_is_name(struct str name)
{
	if (name.n == 0 || name.n > KEYWORD_MAX_BYTES)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] <= ' ' || name.p[i] == 0x7f)
			return false;
	return true;
}

void
keywords_parse(struct str bytes, keywords_fn *fn, void *arg)
{
	struct str line, index;
	uint32_t seen = 0, number;

	while (str_next(&bytes, '\n', &line)) {
		if (!str_cut(&line, ' ', &index) ||
		    !num_parse_u32(index, 0, 25, &number) ||
		    !keywords_is_name(line) || seen & 1u << number)
			continue;
		seen |= 1u << number;
		fn(arg, number, line);
	}
}

/* "26,31" or "-"; false when it is neither. */
static bool
parse_set(struct str text, uint16_t *out, size_t *n)
{
	struct str field;
	uint32_t number;

	*n = 0;
	if (str_eq(text, STR("-")))
		return true;
	while (str_next(&text, ',', &field)) {
		if (*n == SET_MAX ||
		    !num_parse_u32(
			field, 26, 26 + MORE_KEYWORDS_MAX - 1, &number) ||
		    (*n > 0 && out[*n - 1] >= number))
			return false;
		out[(*n)++] = (uint16_t)number;
	}
	return *n > 0;
}

static void
parse_more_line(
    struct str line, keywords_fn *fn, keywords_set_fn *set_fn, void *arg)
{
	uint16_t numbers[SET_MAX];
	struct str field;
	uint32_t number;
	size_t n;

	if (str_starts(line, STR("k "))) {
		line = str_skip(line, 2);
		if (str_cut(&line, ' ', &field) &&
		    num_parse_u32(
			field, 26, 26 + MORE_KEYWORDS_MAX - 1, &number) &&
		    keywords_is_name(line))
			fn(arg, number, line);
	} else if (str_starts(line, STR("m "))) {
		line = str_skip(line, 2);
		if (str_cut(&line, ' ', &field) && line.n > 0 &&
		    parse_set(field, numbers, &n))
			set_fn(arg, line, numbers, n);
	}
}

size_t
keywords_parse_more(struct str bytes, bool is_start, keywords_fn *fn,
    keywords_set_fn *set_fn, void *arg)
{
	size_t used = 0;

	if (is_start) {
		if (!str_starts(bytes, STR(VERSION_LINE)))
			return 0;
		used = sizeof(VERSION_LINE) - 1;
	}
	while (used < bytes.n) {
		struct str rest = str_skip(bytes, used);
		size_t n = str_find(rest, '\n');

		if (n == rest.n)
			break;
		parse_more_line(str_head(rest, n), fn, set_fn, arg);
		used += n + 1;
	}
	return used;
}

bool
keywords_put_set(
    struct buf *out, struct str base, const uint16_t *numbers, size_t n)
{
	(void)buf_add_c(out, n == 0 ? "m -" : "m ");
	for (size_t i = 0; i < n; i++)
		(void)buf_addf(out, i == 0 ? "%u" : ",%u", numbers[i]);
	(void)buf_add_byte(out, ' ');
	(void)buf_add_str(out, base);
	return buf_add_byte(out, '\n');
}

int
keywords_load(int dirfd, struct file_stamp *stamp, keywords_fn *fn, void *arg,
    struct err *e)
{
	struct file_stamp now;
	struct buf b;
	struct stat st;
	int rc = 0;

	if (file_stamp_at(dirfd, KEYWORDS_FILE, &now) &&
	    file_stamp_eq(&now, stamp))
		return 0;
	buf_init(&b, FILE_MAX);
	if (file_load(dirfd, KEYWORDS_FILE, &b, &st, e) == 0) {
		keywords_parse(buf_str(&b), fn, arg);
		*stamp = file_stamp_of(&st);
	} else if (e->code == ERR_NOT_FOUND) {
		*stamp = (struct file_stamp){0};
	} else {
		rc = -1;
	}
	buf_done(&b);
	return rc;
}

int
keywords_save(int dirfd, const struct file_perm *perm, char *const names[26],
    struct file_stamp *stamp, struct err *e)
{
	struct file_stamp old;
	struct buf b;
	int rc;

	buf_init(&b, FILE_MAX);
	for (unsigned i = 0; i < 26; i++)
		if (names[i] != NULL)
			(void)buf_addf(&b, "%u %s\n", i, names[i]);
	(void)unlinkat(dirfd, KEYWORDS_FILE ".lock", 0);
	(void)file_stamp_at(dirfd, KEYWORDS_FILE, &old);
	rc = file_replace(dirfd, KEYWORDS_FILE, KEYWORDS_FILE ".lock",
	    buf_str(&b), perm, stamp, e);
	buf_done(&b);
	if (rc == 0 && old.ino != 0 &&
	    stamp->mtime.tv_sec <= old.mtime.tv_sec) {
		/* Dovecot compares whole seconds. */
		struct timespec ts[2];

		ts[0] = ts[1] = (struct timespec){
		    .tv_sec = old.mtime.tv_sec + 1,
		};
		(void)utimensat(dirfd, KEYWORDS_FILE, ts, AT_SYMLINK_NOFOLLOW);
		(void)file_stamp_at(dirfd, KEYWORDS_FILE, stamp);
	}
	return rc;
}

int
keywords_load_more(int dirfd, struct file_stamp *stamp, struct file_tail *read,
    keywords_fn *fn, keywords_set_fn *set_fn, void *arg, struct err *e)
{
	struct file_stamp now;
	struct buf b;
	struct stat st;
	uint64_t from = 0;
	size_t used;
	int fd, rc = -1;

	if (file_stamp_at(dirfd, MORE_KEYWORDS_FILE, &now) &&
	    file_stamp_eq(&now, stamp))
		return 0;
	fd = file_open(dirfd, MORE_KEYWORDS_FILE, &st, e);
	if (fd == -1) {
		*stamp = (struct file_stamp){0};
		*read = (struct file_tail){0};
		return e->code == ERR_NOT_FOUND ? 0 : -1;
	}
	if (stamp->ino == st.st_ino && stamp->dev == st.st_dev &&
	    file_tail_is_there(read, fd))
		from = read->end;
	buf_init(&b, FILE_MAX);
	if (file_read_rest(fd, from, &b, e) == 0) {
		used = keywords_parse_more(
		    buf_str(&b), from == 0, fn, set_fn, arg);
		if (from == 0)
			*read = (struct file_tail){0};
		file_tail_take(read, buf_str(&b), from, from + used);
		*stamp = file_stamp_of(&st);
		rc = 0;
	}
	buf_done(&b);
	close(fd);
	return rc;
}

/* What an append left behind when it was torn: bytes after the last LF. */
static int
cut_torn_end(int fd, struct stat *st, struct err *e)
{
	char last;
	size_t got;
	uint64_t end = (uint64_t)st->st_size;

	while (end > 0) {
		if (file_read_at(fd, end - 1, &last, 1, &got, e) == -1)
			return -1;
		if (got == 1 && last == '\n')
			break;
		end--;
	}
	if (end == (uint64_t)st->st_size)
		return 0;
	if (ftruncate(fd, (off_t)end) == -1)
		return err_sys(e, "cut %s", MORE_KEYWORDS_FILE);
	st->st_size = (off_t)end;
	return 0;
}

int
keywords_append_more(int dirfd, const struct file_perm *perm, struct str lines,
    struct file_stamp *stamp, struct file_tail *read, struct err *e)
{
	struct stat st;
	int fd, rc = -1;

	fd = file_open_append(dirfd, MORE_KEYWORDS_FILE, &st, e);
	if (fd == -1) {
		if (e->code != ERR_NOT_FOUND)
			return -1;
		return keywords_save_more(dirfd, perm, lines, stamp, read, e);
	}
	if (cut_torn_end(fd, &st, e) == -1)
		goto out;
	if (file_write(fd, lines, e) == -1) {
		(void)!ftruncate(fd, st.st_size);
		goto out;
	}
	/* What others appended meanwhile is read at the next look. */
	if ((uint64_t)st.st_size == read->end) {
		uint64_t end = read->end + lines.n;

		file_tail_take(read, lines, read->end, end);
		if (fstat(fd, &st) == 0 && (uint64_t)st.st_size == end)
			*stamp = file_stamp_of(&st);
	}
	rc = 0;
out:
	close(fd);
	return rc;
}

int
keywords_save_more(int dirfd, const struct file_perm *perm, struct str lines,
    struct file_stamp *stamp, struct file_tail *read, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, FILE_MAX + 16);
	(void)buf_add_c(&b, VERSION_LINE);
	(void)buf_add_str(&b, lines);
	rc = buf_is_over(&b)
	    ? err_set(e, ERR_LIMIT, "%s: too large", MORE_KEYWORDS_FILE)
	    : file_replace(dirfd, MORE_KEYWORDS_FILE, MORE_KEYWORDS_FILE ".tmp",
		  buf_str(&b), perm, stamp, e);
	if (rc == 0)
		file_tail_take(read, buf_str(&b), 0, b.n);
	buf_done(&b);
	return rc;
}
