/* SPDX-License-Identifier: ISC */
/*
 * maildirsize.c - the file with the sum of the quota.
 *
 * Owns:    nothing; the file belongs to all programs of the user.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing; what does not parse is counted anew.
 * Spec:    formats.md 1.12; Courier's maildirquota(7).
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/num.h"
#include "os/file.h"
#include "store/maildir/maildirsize.h"

#define FILE_NAME "maildirsize"
#define LINE_WIDTH 13 /* and LF */
#define LOAD_MAX ((size_t)256 * 1024)

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* "-127", with a range that sums can not leave quickly. */
static bool
take_number(struct str *line, int64_t *out)
{
	bool is_negative;
	uint64_t n;
	size_t i = 0;

	while (line->n > 0 && is_space(*line->p))
		*line = str_skip(*line, 1);
	is_negative = line->n > 0 && *line->p == '-';
	if (is_negative)
		*line = str_skip(*line, 1);
	while (i < line->n && line->p[i] >= '0' && line->p[i] <= '9')
		i++;
	if (!num_parse_u64(str_head(*line, i), 0, INT64_MAX, &n))
		return false;
	*line = str_skip(*line, i);
	*out = is_negative ? -(int64_t)n : (int64_t)n;
	return true;
}

static bool
add_line(struct maildirsize *m, struct str line)
{
	int64_t bytes, count;

	if (str_trim(line).n == 0)
		return true;
	if (!take_number(&line, &bytes) || line.n == 0 || !is_space(*line.p) ||
	    !take_number(&line, &count) || str_trim(line).n > 0)
		return false;
	m->n_lines++;
	return !__builtin_add_overflow(m->bytes, bytes, &m->bytes) &&
	    !__builtin_add_overflow(m->count, count, &m->count);
}

int
maildirsize_parse(struct str text, struct maildirsize *out, struct err *e)
{
	struct maildirsize got = {.is_large = text.n >= MAILDIRSIZE_LARGE};
	struct str line;

	if (!str_cut(&text, '\n', &line) ||
	    quota_limits_parse(line, &got.limits, e) == -1)
		return err_set(e, ERR_CORRUPT, FILE_NAME ": no limits");
	while (text.n > 0) {
		(void)str_cut(&text, '\n', &line);
		if (!add_line(&got, line))
			return err_set(e, ERR_CORRUPT, FILE_NAME ": line %u",
			    (unsigned)got.n_lines + 2);
	}
	if (got.bytes < 0 || got.count < 0)
		return err_set(e, ERR_CORRUPT, FILE_NAME ": below zero");
	*out = got;
	return 0;
}

int
maildirsize_load(int rootfd, struct maildirsize *out, struct err *e)
{
	struct stat st;
	struct buf b;
	int rc;

	buf_init(&b, LOAD_MAX);
	rc = file_load(rootfd, FILE_NAME, &b, &st, e);
	if (rc == -1 && e->code == ERR_LIMIT)
		e->code = ERR_CORRUPT;
	if (rc == 0)
		rc = maildirsize_parse(buf_str(&b), out, e);
	if (rc == 0)
		out->mtime_s = (int64_t)st.st_mtim.tv_sec;
	buf_done(&b);
	return rc;
}

static void
add_padded(struct buf *b, int64_t bytes, int64_t count)
{
	size_t from = b->n;

	(void)buf_addf(b, "%lld %lld", (long long)bytes, (long long)count);
	while (b->n - from < LINE_WIDTH)
		if (!buf_add_byte(b, ' '))
			return;
	(void)buf_add_byte(b, '\n');
}

int
maildirsize_save(int rootfd, const char *temp,
    const struct quota_limits *limits, int64_t bytes, int64_t count,
    const struct file_perm *perm, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, 400);
	if (limits->bytes != 0)
		(void)buf_addf(&b, "%lluS", (unsigned long long)limits->bytes);
	if (limits->count != 0)
		(void)buf_addf(&b, "%s%lluC", limits->bytes != 0 ? "," : "",
		    (unsigned long long)limits->count);
	(void)buf_add_byte(&b, '\n');
	add_padded(&b, bytes, count);
	rc = file_replace(rootfd, FILE_NAME, temp, buf_str(&b), perm, NULL, e);
	buf_done(&b);
	return rc;
}

void
maildirsize_doubt(int rootfd, bool may_go)
{
	const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

	if (may_go)
		(void)unlinkat(rootfd, FILE_NAME, 0);
	else
		(void)utimensat(rootfd, FILE_NAME, old, AT_SYMLINK_NOFOLLOW);
}

bool
maildirsize_is_there(int rootfd)
{
	return faccessat(rootfd, FILE_NAME, W_OK, 0) == 0;
}

void
maildirsize_add(int rootfd, int64_t bytes, int64_t count)
{
	struct buf b;
	struct err e;
	int fd;

	if (bytes == 0 && count == 0)
		return;
	fd = file_open_append(rootfd, FILE_NAME, NULL, &e);
	if (fd == -1)
		return;
	buf_init(&b, 100);
	add_padded(&b, bytes, count);
	/* One write, so that lines of several programs do not mix. */
	(void)!write(fd, b.p, b.n);
	buf_done(&b);
	close(fd);
}
