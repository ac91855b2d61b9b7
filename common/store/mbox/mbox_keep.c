/* SPDX-License-Identifier: ISC */
/*
 * mbox_keep.c - what is to be remembered of an mbox mailbox and does not, or
 * not always, stand in its file: UIDVALIDITY, the next UID, the GUID.
 *
 * Owns:    the files in the folder "mbox" of the state folder, one a mailbox.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing: a file that is damaged or of another mailbox is none.
 * Spec:    formats.md 7.4, 7.5; RFC 8474 section 4.
 *
 * The mail file goes before what is kept. That counts where the mail file has
 * no X-IMAPbase: an INBOX to which nothing has come yet, or one from which
 * another program has taken the first message. Of another mailbox than INBOX it
 * counts for the same file alone: what has its name now may be a new one. The
 * GUID is made of where a
 * mailbox was first seen and of its UIDVALIDITY; with it here it stays the same
 * when the mailbox gets another name.
 *
 *	restante-mbox 1
 *	uidvalidity 1795300494
 *	uidnext 63
 *	guid 0123456789abcdef0123456789abcdef
 *	inode 4711
 *	path /home/joe/mail/work
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/num.h"
#include "store/mbox/mbox_impl.h"
#include "text/md5.h"

#define FOLDER "mbox"
#define FIRST_LINE "restante-mbox 1\n"
#define FILE_BYTES_MAX (PATH_MAX + 200)

void
mbox_key(const char *path, char out[MBOX_KEY_BYTES])
{
	struct md5 sum;

	md5_init(&sum);
	md5_add(&sum, str_of(path));
	md5_end_hex(&sum, out);
}

int
mbox_state_dir(const struct store *s, const char *name, bool make)
{
	char path[PATH_MAX];
	struct err e;

	if (snprintf(path, sizeof(path), "%s/%s", s->state, name) >= PATH_MAX ||
	    (make && file_make_path(path, &e) == -1))
		return -1;
	return file_open_dir(AT_FDCWD, path, true, &e);
}

static void
parse(struct str text, struct mbox_kept *out, struct str *path)
{
	struct mbox_kept k = {0};
	struct str line, word;

	*out = k;
	if (!str_starts(text, STR(FIRST_LINE)))
		return;
	text = str_skip(text, sizeof(FIRST_LINE) - 1);
	while (str_cut(&text, '\n', &line)) {
		(void)str_cut(&line, ' ', &word);
		if (str_eq(word, STR("uidvalidity")))
			(void)num_parse_u32(
			    line, 1, UINT32_MAX, &k.uidvalidity);
		else if (str_eq(word, STR("uidnext")))
			(void)num_parse_u32(
			    line, 1, UINT32_MAX - 1, &k.uidnext);
		else if (str_eq(word, STR("guid")) && line.n == 32)
			(void)str_to_c(line, k.guid, sizeof(k.guid));
		else if (str_eq(word, STR("inode")))
			(void)num_parse_u64(line, 0, UINT64_MAX, &k.ino);
		else if (str_eq(word, STR("path")))
			*path = line;
	}
	if (k.uidvalidity != 0 && k.uidnext != 0)
		*out = k;
}

int
mbox_keep_load(const struct store *s, const char *path, struct mbox_kept *out,
    struct err *e)
{
	char key[MBOX_KEY_BYTES], file[PATH_MAX];
	struct str of = {0};
	struct buf b;
	int n, rc = 0;

	mbox_key(path, key);
	n = snprintf(file, sizeof(file), "%s/" FOLDER "/%s", s->state, key);
	*out = (struct mbox_kept){0};
	if (n < 0 || (size_t)n >= sizeof(file))
		return 0;
	buf_init(&b, FILE_BYTES_MAX);
	if (file_load(AT_FDCWD, file, &b, NULL, e) == 0)
		parse(buf_str(&b), out, &of);
	else if (file_is_unread(e))
		rc = -1;
	if (!str_eq(of, str_of(path)))
		*out = (struct mbox_kept){0};
	buf_done(&b);
	return rc;
}

/* Durable when it stands nowhere else. */
static int
save_at(int fd, const char *path, const struct mbox_kept *k, bool durable,
    struct err *e)
{
	const struct file_perm perm = {.file_mode = 0600, .gid = (gid_t)-1};
	char key[MBOX_KEY_BYTES], temp[MBOX_KEY_BYTES + 32];
	struct buf b;
	int out, rc = -1;

	mbox_key(path, key);
	(void)snprintf(temp, sizeof(temp), "%s.%ld", key, (long)getpid());
	buf_init(&b, FILE_BYTES_MAX);
	(void)buf_addf(&b,
	    FIRST_LINE "uidvalidity %u\nuidnext %u\nguid %s\n"
		       "inode %llu\npath %s\n",
	    k->uidvalidity, k->uidnext, k->guid, (unsigned long long)k->ino,
	    path);
	(void)unlinkat(fd, temp, 0);
	out = file_create(fd, temp, &perm, e);
	if (out != -1 && file_write(out, buf_str(&b), e) == 0 &&
	    (!durable || file_sync_data(out, temp, e) == 0))
		rc = 0;
	if (out != -1)
		close(out);
	if (rc == 0 && renameat(fd, temp, fd, key) == -1)
		rc = err_sys(e, "rename %s", temp);
	if (rc == -1)
		(void)unlinkat(fd, temp, 0);
	buf_done(&b);
	return rc;
}

/* Of where it was first seen. */
static void
make_guid(const struct mailbox *m, char out[33])
{
	struct md5 sum;
	char text[32];
	int n = snprintf(text, sizeof(text), "%u ", m->uidvalidity);

	md5_init(&sum);
	md5_add(&sum, str_make(text, (size_t)n));
	md5_add(&sum, str_of(mbox_of(m)->path));
	md5_end_hex(&sum, out);
}

static uint64_t
inode_of(const struct mbox *mb)
{
	struct stat st;

	return mb->fd != -1 && fstat(mb->fd, &st) == 0 ? st.st_ino : 0;
}

const struct mbox_kept *
mbox_kept_of(const struct mailbox *m)
{
	const struct mbox *mb = mbox_of(m);

	return mb->kept.uidvalidity != 0 &&
		(mb->is_inbox || mb->kept.ino == inode_of(mb))
	    ? &mb->kept
	    : NULL;
}

/* No message is shorter, with its From_ line. */
#define LEAST_BYTES 32

int
mbox_keep_claim(struct mailbox *m, uint64_t bytes, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	const uint64_t n = bytes / LEAST_BYTES + 2;
	struct mbox_kept k = {
	    .uidvalidity = mbox_new_uidvalidity(),
	    .uidnext = n < UINT32_MAX / 2 ? (uint32_t)n : UINT32_MAX / 2,
	    .ino = inode_of(mb),
	};
	int lock = mbox_agree_lock(m, e), fd, rc;

	if (lock == -1)
		return mbox_agree_is_for_now(e) ? -1 : 0;
	/* What can not be read now must not be written anew; and who is not
	 * first must know what the first has said. */
	rc = mbox_keep_load(m->store, mb->path, &mb->kept, e);
	fd = rc == -1 || mbox_kept_of(m) != NULL
	    ? -1
	    : mbox_state_dir(m->store, FOLDER, true);
	/* What was told is of another file that had this name. */
	if (fd != -1 && ftruncate(lock, 0) == 0 &&
	    save_at(fd, mb->path, &k, false, e) == 0) {
		/* All of it is ours. */
		k.uidnext = 1;
		mb->kept = k;
	}
	if (fd != -1)
		close(fd);
	close(lock);
	return rc == -1 && mbox_agree_is_for_now(e) ? -1 : 0;
}

/* So many may come that we number before the file says so. */
#define AHEAD 10000

/*
 * Where the next one begins to number. While the UIDs that were told are not in
 * the file, that is behind those that are going to be told.
 */
static uint32_t
next_for_others(const struct mailbox *m)
{
	const struct mbox *mb = mbox_of(m);
	uint32_t next = m->uidnext;
	struct mbox_kept now;
	struct err e;

	if (mb->has_base || !mb->can_write ||
	    (mb->slots.n == 0 && m->lazy_top == 0) || next >= UINT32_MAX / 2)
		return next;
	next += AHEAD;
	/* As much as we know of it when it can not be read. */
	if (mbox_keep_load(m->store, mb->path, &now, &e) == -1)
		now = mb->kept;
	return now.uidvalidity == m->uidvalidity && now.uidnext > next
	    ? now.uidnext
	    : next;
}

void
mbox_keep(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);
	struct mbox_kept *k = &mb->kept;
	uint64_t ino = inode_of(mb);
	uint32_t next;
	struct err e;
	int fd;

	if (m->uidvalidity == 0 || m->is_gone)
		return;
	if (k->uidvalidity == m->uidvalidity && k->guid[0] != '\0')
		memcpy(m->guid, k->guid, sizeof(m->guid));
	else
		make_guid(m, m->guid);
	next = next_for_others(m);
	if (k->uidvalidity == m->uidvalidity && k->uidnext == next &&
	    k->ino == ino && strcmp(k->guid, m->guid) == 0)
		return;
	k->uidvalidity = m->uidvalidity;
	k->uidnext = next;
	k->ino = ino;
	memcpy(k->guid, m->guid, sizeof(k->guid));
	fd = mbox_state_dir(m->store, FOLDER, true);
	if (fd == -1)
		return;
	if (save_at(fd, mb->path, k, !mb->has_base, &e) == -1 && !mb->has_base)
		store_warn(m->store, "identity not kept path=%s: %s", mb->path,
		    e.text);
	close(fd);
}

void
mbox_keep_remove(const struct store *s, const char *path)
{
	char key[MBOX_KEY_BYTES];
	int fd = mbox_state_dir(s, FOLDER, false);

	if (fd == -1)
		return;
	mbox_key(path, key);
	(void)unlinkat(fd, key, 0);
	close(fd);
	mbox_agree_forget(s, path);
}

/* What was told of it goes with it, if that has not been done already. */
static bool
rename_told(int fd, const char *key, const char *fresh)
{
	char from[MBOX_KEY_BYTES + 8], to[MBOX_KEY_BYTES + 8];
	char fresh_key[MBOX_KEY_BYTES];

	mbox_key(fresh, fresh_key);
	(void)snprintf(from, sizeof(from), "%s" MBOX_TOLD, key);
	(void)snprintf(to, sizeof(to), "%s" MBOX_TOLD, fresh_key);
	return renameat(fd, from, fd, to) == 0 || errno == ENOENT;
}

/*
 * The file of one whose path begins with `from` gets that of its new path. False:
 * that can not be done now.
 */
static bool
rename_one(int fd, const char *name, const char *from, const char *to)
{
	struct mbox_kept k;
	struct str path = {0}, rest;
	char fresh[PATH_MAX];
	struct buf b;
	struct err e = {0};
	bool ok = true;

	buf_init(&b, FILE_BYTES_MAX);
	if (file_load(fd, name, &b, NULL, &e) == 0)
		parse(buf_str(&b), &k, &path);
	else
		ok = !file_is_unread(&e);
	rest = str_starts(path, str_of(from)) ? str_skip(path, strlen(from))
					      : (struct str){0};
	/* "a", "a/b" and "a.sbd/b", but not "ab". */
	if (rest.p != NULL &&
	    (rest.n == 0 || *rest.p == '/' || str_starts(rest, STR(".sbd/"))) &&
	    snprintf(fresh, sizeof(fresh), "%s%.*s", to, STR_ARG(rest)) <
		PATH_MAX) {
		ok = save_at(fd, fresh, &k, true, &e) == 0 &&
		    rename_told(fd, name, fresh);
		if (ok)
			(void)unlinkat(fd, name, 0);
	}
	buf_done(&b);
	return ok;
}

bool
mbox_keep_rename_one(const struct store *s, const char *from, const char *to)
{
	char key[MBOX_KEY_BYTES];
	int fd = mbox_state_dir(s, FOLDER, false);
	bool ok;

	if (fd == -1)
		return false;
	mbox_key(from, key);
	ok = rename_one(fd, key, from, to);
	close(fd);
	return ok;
}

bool
mbox_keep_rename_file(
    const struct store *s, const char *name, const char *from, const char *to)
{
	bool ok;
	int fd;

	if (strlen(name) != MBOX_KEY_BYTES - 1)
		return true;
	fd = mbox_state_dir(s, FOLDER, false);
	ok = fd != -1 && rename_one(fd, name, from, to);
	if (fd != -1)
		close(fd);
	return ok;
}
