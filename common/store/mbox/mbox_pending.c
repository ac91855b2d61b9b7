/* SPDX-License-Identifier: ISC */
/*
 * mbox_pending.c - flags that were acknowledged and wait to be written to the
 * mbox file, where no kill can lose them.
 *
 * Owns:    the files "KEY.PID" in the folder "mbox-flags" of the state folder.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing: a line counts if its message is there, under that UID and
 *          with that content; what stands in it are changes, not flags, so that
 *          what others have done meanwhile stays.
 * Spec:    formats.md 7.4, 7.9; security.md 7.5.
 *
 * Each process writes a file of its own, by appending; it goes when all is in
 * the mbox. Who opens a mailbox takes over those of processes that are gone.
 *
 *	restante-flags 1 1795300494
 *	12 90abcdef12345678 -08 +02 -old +new +$other
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/num.h"
#include "store/mbox/mbox_impl.h"

#define FOLDER "mbox-flags"
#define FILE_BYTES_MAX (64 * 1024 * 1024)

static void
own_name(const struct mbox *mb, char out[MBOX_KEY_BYTES + 24])
{
	char key[MBOX_KEY_BYTES];

	mbox_key(mb->path, key);
	(void)snprintf(out, MBOX_KEY_BYTES + 24, "%s.%ld", key, (long)getpid());
}

/* ---- writing --------------------------------------------------------------- */

static bool
has(const uint16_t *v, size_t n, uint16_t x)
{
	for (size_t i = 0; i < n; i++)
		if (v[i] == x)
			return true;
	return false;
}

static void
add_word(const struct mailbox *m, struct buf *b, char sign, size_t number)
{
	struct str name = mailbox_keyword_name(m, number);

	if (name.n > 0)
		(void)buf_addf(b, " %c%.*s", sign, STR_ARG(name));
}

static void
add_line(const struct mailbox *m, const struct mbox_was *w,
    const struct msg_rec *r, struct buf *b)
{
	const struct mbox_slot *s = mbox_slot_of(m, r);
	uint8_t off = w->system & (uint8_t)~r->system & FLAGS_STORED;
	uint8_t on = r->system & (uint8_t)~w->system & FLAGS_STORED;
	uint32_t changed = w->keywords ^ r->keywords;
	size_t n;
	const uint16_t *more = mailbox_more(m, r, &n);

	(void)buf_addf(b, "%u %016llx -%02x +%02x", r->uid,
	    (unsigned long long)s->hash, off, on);
	for (size_t i = 0; i < KEYWORD_LETTERS; i++)
		if (changed & 1u << i)
			add_word(m, b, r->keywords & 1u << i ? '+' : '-', i);
	for (size_t i = 0; i < w->n_more; i++)
		if (!has(more, n, w->more[i]))
			add_word(m, b, '-', w->more[i]);
	for (size_t i = 0; i < n; i++)
		if (!has(w->more, w->n_more, more[i]))
			add_word(m, b, '+', more[i]);
	(void)buf_add_byte(b, '\n');
}

/* What is not noted yet. */
static void
collect(struct mailbox *m, struct buf *b)
{
	struct mbox *mb = mbox_of(m);

	VEC_EACH(&mb->was, w) {
		const struct msg_rec *r = mailbox_rec(m, w->uid);
		struct mbox_slot *s;

		if (r == NULL || r->state != REC_LIVE || r->info >= mb->slots.n)
			continue;
		s = mbox_slot_of(m, r);
		if ((s->flags & (SLOT_DIRTY | SLOT_NOTED)) != SLOT_DIRTY)
			continue;
		add_line(m, w, r, b);
		s->flags |= SLOT_NOTED;
	}
}

int
mbox_pending_save(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	char name[MBOX_KEY_BYTES + 24];
	struct buf b;
	int dirfd, fd, rc = 0;

	buf_init(&b, FILE_BYTES_MAX);
	if (!mb->has_pending)
		(void)buf_addf(&b, "restante-flags 1 %u\n", m->uidvalidity);
	collect(m, &b);
	if (b.n == 0 || (!mb->has_pending && mb->was.n == 0))
		goto out;
	dirfd = mbox_state_dir(m->store, FOLDER, true);
	own_name(mb, name);
	fd = dirfd == -1 ? -1
			 : openat(dirfd, name,
			       O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW |
				   O_CLOEXEC | (mb->has_pending ? 0 : O_TRUNC),
			       0600);
	rc = fd == -1 ? err_sys(e, "note flags of %s", mb->path)
		      : file_write(fd, buf_str(&b), e);
	mb->has_pending = mb->has_pending || rc == 0;
	if (fd != -1)
		close(fd);
	if (dirfd != -1)
		close(dirfd);
out:
	buf_done(&b);
	return rc;
}

void
mbox_pending_end(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	char name[MBOX_KEY_BYTES + 24];
	int dirfd;

	if (!mb->has_pending || mb->was.n > 0)
		return;
	mb->has_pending = false;
	dirfd = mbox_state_dir(m->store, FOLDER, false);
	if (dirfd == -1)
		return;
	own_name(mb, name);
	(void)unlinkat(dirfd, name, 0);
	close(dirfd);
}

void
mbox_pending_rename(struct mailbox *m, const char *path)
{
	struct mbox *mb = mbox_of(m);
	char old[MBOX_KEY_BYTES + 24], key[MBOX_KEY_BYTES];
	char fresh[MBOX_KEY_BYTES + 24];
	int dirfd =
	    mb->has_pending ? mbox_state_dir(m->store, FOLDER, false) : -1;

	if (dirfd == -1)
		return;
	own_name(mb, old);
	mbox_key(path, key);
	(void)snprintf(fresh, sizeof(fresh), "%s.%ld", key, (long)getpid());
	(void)renameat(dirfd, old, dirfd, fresh);
	close(dirfd);
}

/* ---- taking over ----------------------------------------------------------- */

static bool
parse_hex(struct str s, uint64_t *out)
{
	*out = 0;
	if (s.n == 0 || s.n > 16)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		int v = c >= '0' && c <= '9' ? c - '0'
		    : c >= 'a' && c <= 'f'   ? c - 'a' + 10
					     : -1;

		if (v == -1)
			return false;
		*out = *out << 4 | (unsigned)v;
	}
	return true;
}

/* "-08" or "+02". */
static bool
parse_bits(struct str *line, char sign, uint8_t *out)
{
	struct str word;
	uint64_t bits;

	(void)str_cut(line, ' ', &word);
	if (word.n == 0 || *word.p != sign ||
	    !parse_hex(str_skip(word, 1), &bits) || bits > UINT8_MAX)
		return false;
	*out = (uint8_t)bits & FLAGS_STORED;
	return true;
}

/* One name that comes or goes. */
static void
change_word(struct mailbox *m, uint32_t uid, struct str word)
{
	struct flag_change c = {
	    .op = *word.p == '+' ? STORE_ADD : STORE_REMOVE,
	};
	size_t number;
	uint16_t more;
	bool changed;
	struct err e;

	word = str_skip(word, 1);
	if (!mailbox_keyword_find(m, word, &number) &&
	    (c.op == STORE_REMOVE || mbox_keyword(m, word, &number, &e) == -1))
		return;
	more = (uint16_t)number;
	if (number < KEYWORD_LETTERS)
		c.keywords = 1u << number;
	else {
		c.more = &more;
		c.n_more = 1;
	}
	(void)mbox_set_flags(m, uid, &c, &changed, &e);
}

static void
take_line(struct mailbox *m, struct str line)
{
	struct flag_change off = {.op = STORE_REMOVE}, on = {.op = STORE_ADD};
	const struct msg_rec *r;
	struct str uid_text, hash_text, word;
	uint64_t hash;
	uint32_t uid;
	bool changed;
	struct err e;

	(void)str_cut(&line, ' ', &uid_text);
	(void)str_cut(&line, ' ', &hash_text);
	if (!num_parse_u32(uid_text, 1, UINT32_MAX, &uid) ||
	    !parse_hex(hash_text, &hash) ||
	    !parse_bits(&line, '-', &off.system) ||
	    !parse_bits(&line, '+', &on.system))
		return;
	r = mailbox_rec(m, uid);
	if (r == NULL || r->state != REC_LIVE ||
	    r->info >= mbox_of(m)->slots.n || mbox_slot_of(m, r)->hash != hash)
		return;
	(void)mbox_set_flags(m, uid, &off, &changed, &e);
	(void)mbox_set_flags(m, uid, &on, &changed, &e);
	while (line.n > 0) {
		(void)str_cut(&line, ' ', &word);
		if (word.n > 1 && (*word.p == '+' || *word.p == '-'))
			change_word(m, uid, word);
	}
}

void
mbox_pending_take(struct mailbox *m, struct str text)
{
	struct str line, word;
	uint32_t uidvalidity;

	if (!str_cut(&text, '\n', &line) ||
	    !str_starts(line, STR("restante-flags 1 ")))
		return;
	word = str_skip(line, sizeof("restante-flags 1 ") - 1);
	if (!num_parse_u32(word, 1, UINT32_MAX, &uidvalidity) ||
	    uidvalidity != m->uidvalidity)
		return;
	/* A line without its end was broken off. */
	while (str_cut(&text, '\n', &line))
		take_line(m, line);
}

/* Of this mailbox, and by a process that is gone, or ours from before? */
static bool
is_left(const char *name, const char *key)
{
	uint32_t pid;

	if (strncmp(name, key, MBOX_KEY_BYTES - 1) != 0 ||
	    name[MBOX_KEY_BYTES - 1] != '.' ||
	    !num_parse_u32(str_of(name + MBOX_KEY_BYTES), 1, INT32_MAX, &pid))
		return false;
	return (pid_t)pid == getpid() ||
	    (kill((pid_t)pid, 0) == -1 && errno == ESRCH);
}

/* -1: it can not be read now, and is left. */
static int
take_file(struct mailbox *m, int dirfd, const char *name, struct err *e)
{
	char own[MBOX_KEY_BYTES + 24];
	struct err ignored;
	struct buf b;
	int rc;

	buf_init(&b, FILE_BYTES_MAX);
	rc = file_load(dirfd, name, &b, NULL, e);
	if (rc == 0)
		mbox_pending_take(m, buf_str(&b));
	buf_done(&b);
	if (rc == -1 && file_is_unread(e))
		return -1;
	own_name(mbox_of(m), own);
	/* What is there of ours stays in front. */
	if (strcmp(own, name) == 0)
		mbox_of(m)->has_pending = true;
	/* Noted as ours before theirs goes. */
	if (mbox_pending_save(m, &ignored) == 0 && strcmp(own, name) != 0)
		(void)unlinkat(dirfd, name, 0);
	return 0;
}

int
mbox_pending_load(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	char key[MBOX_KEY_BYTES];
	struct dirent *d;
	DIR *all;
	int dirfd, rc = 0;

	if (m->is_read_only || mb->fd == -1)
		return 0;
	dirfd = mbox_state_dir(m->store, FOLDER, false);
	if (dirfd == -1)
		return 0;
	all = fdopendir(dirfd);
	if (all == NULL) {
		close(dirfd);
		return 0;
	}
	mbox_key(mb->path, key);
	while (rc == 0 && (d = readdir(all)) != NULL)
		if (is_left(d->d_name, key))
			rc = take_file(m, dirfd, d->d_name, e);
	closedir(all);
	if (rc == -1)
		return err_in(e, "%s", m->name);
	mbox_pending_end(m);
	return 0;
}
