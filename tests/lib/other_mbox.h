/* SPDX-License-Identifier: ISC */
/*
 * other_mbox.h - an mbox file as other programs handle it, for unit tests:
 * delivery agents that append, mutt that writes everything anew from the first
 * change on, Dovecot that numbers messages. Nothing of the store is used. All
 * take the locks of Debian's policy, without waiting for them.
 */
#ifndef TESTS_LIB_OTHER_MBOX_H
#define TESTS_LIB_OTHER_MBOX_H

#include <strings.h>

#include "base/mem.h"
#include "tests/lib/test_store.h"

#define OTHER_MAX 600
#define OTHER_FROM "From mx@example.org  Mon Mar 02 10:01:00 2026\n"

struct other_msg {
	char *from; /* line */
	char *header; /* lines, without the blank one */
	char *body; /* without the line end that separates */
	bool is_gone;
};

struct other_mbox {
	char path[300];
	int fd; /* -1: not locked */
	char *old; /* what was read */
	size_t n_old;
	struct other_msg v[OTHER_MAX];
	size_t n;
};

/* ---- locks ----------------------------------------------------------------- */

static UNUSED void
other_unlock(struct other_mbox *o)
{
	char dot[310];

	for (size_t i = 0; i < o->n; i++) {
		free(o->v[i].from);
		free(o->v[i].header);
		free(o->v[i].body);
	}
	o->n = 0;
	free(o->old);
	o->old = NULL;
	if (o->fd == -1)
		return;
	(void)snprintf(dot, sizeof(dot), "%s.lock", o->path);
	(void)unlink(dot);
	(void)close(o->fd);
	o->fd = -1;
}

/* False: somebody has a lock, or there is no file (and none is to be made). */
static UNUSED bool
other_lock(struct other_mbox *o, const char *path, bool make)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char dot[310];
	struct stat a, b;
	int fd;

	(void)snprintf(o->path, sizeof(o->path), "%s", path);
	(void)snprintf(dot, sizeof(dot), "%s.lock", path);
	o->n = 0;
	o->old = NULL;
	o->fd = open(path, O_RDWR | O_CLOEXEC | (make ? O_CREAT : 0), 0600);
	if (o->fd == -1)
		return false;
	if (fcntl(o->fd, F_OFD_SETLK, &l) == -1 || fstat(o->fd, &a) == -1 ||
	    stat(path, &b) == -1 || a.st_ino != b.st_ino)
		goto busy;
	fd = open(dot, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1)
		goto busy;
	(void)dprintf(fd, "%ld", (long)getpid());
	(void)close(fd);
	return true;
busy:
	(void)close(o->fd);
	o->fd = -1;
	return false;
}

/* ---- reading --------------------------------------------------------------- */

static char *
other_cut(const char *from, const char *to)
{
	return mem_dup(from, (size_t)(to - from));
}

static void
other_take(struct other_mbox *o, const char *at, const char *end)
{
	const char *line = strchr(at, '\n') + 1, *blank = strstr(line, "\n\n");
	struct other_msg *m = &o->v[o->n++];

	assert_true(o->n <= OTHER_MAX && blank != NULL && blank + 2 <= end);
	*m = (struct other_msg){
	    .from = other_cut(at, line),
	    .header = other_cut(line, blank + 1),
	};
	blank += 2;
	if (end - blank > 0 && end[-1] == '\n' &&
	    (end - blank == 1 || end[-2] == '\n'))
		end--;
	m->body = other_cut(blank, end);
}

/* All messages. Their bodies have no line that could begin one. */
static UNUSED void
other_load(struct other_mbox *o)
{
	struct stat st;
	const char *at, *next;

	assert_int_equal(fstat(o->fd, &st), 0);
	o->old = mem_new(1, (size_t)st.st_size + 1);
	o->n_old = (size_t)pread(o->fd, o->old, (size_t)st.st_size, 0);
	assert_int_equal(o->n_old, st.st_size);
	for (at = o->old; *at != '\0'; at = next) {
		assert_memory_equal(at, "From ", 5);
		next = strstr(at, "\nFrom ");
		next = next == NULL ? o->old + o->n_old : next + 1;
		other_take(o, at, next);
	}
}

/* The value of a field, or NULL. */
static UNUSED const char *
other_field(const struct other_msg *m, const char *name)
{
	static char value[2000];
	size_t n = strlen(name);

	for (const char *l = m->header; *l != '\0'; l = strchr(l, '\n') + 1) {
		if (strncasecmp(l, name, n) != 0 || l[n] != ':')
			continue;
		(void)snprintf(value, sizeof(value), "%.*s",
		    (int)strcspn(l + n + 1, "\n"), l + n + 1);
		return value;
	}
	return NULL;
}

static UNUSED bool
other_has_letter(const struct other_msg *m, const char *name, char letter)
{
	const char *value = other_field(m, name);

	return value != NULL && strchr(value, letter) != NULL;
}

/* The hidden message of an emptied folder. */
static UNUSED bool
other_is_pseudo(const struct other_msg *m)
{
	return other_field(m, "X-IMAP") != NULL;
}

/* ---- changes --------------------------------------------------------------- */

/* NULL removes the field; else it becomes the last one. */
static UNUSED void
other_set_field(struct other_msg *m, const char *name, const char *value)
{
	size_t n = strlen(name),
	       size = strlen(m->header) + n + 16 +
	    (value == NULL ? 0 : strlen(value));
	char *out = mem_new(1, size), *to = out;

	for (const char *l = m->header; *l != '\0';) {
		size_t k = (size_t)(strchr(l, '\n') + 1 - l);

		if (strncasecmp(l, name, n) != 0 || l[n] != ':') {
			memcpy(to, l, k);
			to += k;
		}
		l += k;
	}
	*to = '\0';
	if (value != NULL)
		(void)snprintf(
		    to, size - (size_t)(to - out), "%s: %s\n", name, value);
	free(m->header);
	m->header = out;
}

/* As mutt writes what it has read: its letters, and no others. */
static UNUSED void
other_mutt_fields(struct other_msg *m, bool keeps_letters)
{
	char status[8] = "", x[8] = "", length[24];
	bool del = keeps_letters && other_has_letter(m, "X-Status", 'D');
	bool draft = keeps_letters && other_has_letter(m, "X-Status", 'T');

	(void)snprintf(status, sizeof(status), "%s%s",
	    other_has_letter(m, "Status", 'R') ? "R" : "", "O");
	(void)snprintf(x, sizeof(x), "%s%s%s%s",
	    other_has_letter(m, "X-Status", 'A') ? "A" : "",
	    other_has_letter(m, "X-Status", 'F') ? "F" : "", del ? "D" : "",
	    draft ? "T" : "");
	(void)snprintf(length, sizeof(length), "%zu", strlen(m->body));
	other_set_field(m, "Status", status);
	other_set_field(m, "X-Status", x[0] == '\0' ? NULL : x);
	other_set_field(m, "Content-Length", length);
}

/* Toggles a letter; fields stay where it is there. */
static UNUSED void
other_toggle(struct other_msg *m, const char *name, char letter)
{
	const char *old = other_field(m, name);
	char value[40];
	size_t n = 0;
	bool had = false;

	for (; old != NULL && *old != '\0' && n < sizeof(value) - 2; old++) {
		if (*old == letter)
			had = true;
		else if (*old != ' ')
			value[n++] = *old;
	}
	if (!had)
		value[n++] = letter;
	value[n] = '\0';
	other_set_field(m, name, value);
}

/* As Dovecot numbers what has no number; false: it would begin anew. */
static UNUSED bool
other_dovecot_fields(struct other_mbox *o)
{
	unsigned v, last, uid, prev = 0;
	char value[2000], names[1800] = "";
	const char *base;
	bool is_pseudo;

	if (o->n == 0)
		return false;
	is_pseudo = other_is_pseudo(&o->v[0]);
	base = other_field(&o->v[0], is_pseudo ? "X-IMAP" : "X-IMAPbase");
	if (base == NULL ||
	    sscanf(base, " %u %u %1799[^\n]", &v, &last, names) < 2)
		return false;
	for (size_t i = is_pseudo; i < o->n; i++) {
		const char *x = other_field(&o->v[i], "X-UID");

		if (x != NULL &&
		    (sscanf(x, " %u", &uid) != 1 || uid <= prev || uid > last))
			return false;
		if (x == NULL)
			uid = ++last;
		prev = uid;
	}
	(void)sscanf(base, " %*u %u", &last);
	for (size_t i = is_pseudo; i < o->n; i++) {
		struct other_msg *m = &o->v[i];

		if (other_field(m, "X-UID") != NULL)
			continue;
		(void)snprintf(value, sizeof(value), "%-40u", ++last);
		other_set_field(m, "X-UID", value);
		if (other_field(m, "Status") == NULL)
			other_set_field(m, "Status", "O");
	}
	(void)snprintf(value, sizeof(value), "%u %010u%s%s", v, last,
	    names[0] != '\0' ? " " : "", names);
	if (is_pseudo) {
		other_set_field(&o->v[0], "X-IMAP", value);
		return true;
	}
	/* Before X-UID, or nobody reads that. */
	base = other_field(&o->v[0], "X-UID");
	(void)snprintf(names, sizeof(names), "%s", base + 1);
	other_set_field(&o->v[0], "X-IMAPbase", value);
	other_set_field(&o->v[0], "X-UID", names);
	return true;
}

static UNUSED void
other_append(struct other_mbox *o, const char *text)
{
	struct stat st;
	char last = '\n', out[1000];
	int n;

	assert_int_equal(fstat(o->fd, &st), 0);
	if (st.st_size > 0)
		assert_int_equal(pread(o->fd, &last, 1, st.st_size - 1), 1);
	n = snprintf(out, sizeof(out), "%s" OTHER_FROM "%s\n",
	    last == '\n' ? "" : "\n", text);
	assert_int_equal(pwrite(o->fd, out, (size_t)n, st.st_size), n);
}

/* Writes from the first difference on, in the file or as a new one. */
static UNUSED void
other_save(struct other_mbox *o, bool by_rename)
{
	size_t size = 1, n = 0, same = 0;
	char *text, name[310];

	for (size_t i = 0; i < o->n; i++)
		size += strlen(o->v[i].from) + strlen(o->v[i].header) +
		    strlen(o->v[i].body) + 2;
	text = mem_new(1, size);
	for (size_t i = 0; i < o->n; i++)
		if (!o->v[i].is_gone)
			n += (size_t)snprintf(text + n, size - n, "%s%s\n%s\n",
			    o->v[i].from, o->v[i].header, o->v[i].body);
	if (by_rename) {
		int fd;

		(void)snprintf(name, sizeof(name), "%s.new", o->path);
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		assert_true(fd != -1);
		assert_int_equal(write(fd, text, n), n);
		(void)close(fd);
		assert_int_equal(rename(name, o->path), 0);
	} else {
		while (
		    same < n && same < o->n_old && text[same] == o->old[same])
			same++;
		if (n > same)
			assert_int_equal(
			    pwrite(o->fd, text + same, n - same, (off_t)same),
			    n - same);
		assert_int_equal(ftruncate(o->fd, (off_t)n), 0);
	}
	free(text);
}

#endif
