/* SPDX-License-Identifier: ISC */
/*
 * mbox_msg.c - reads one message of an mbox file, without its hidden fields.
 *
 * Owns:    struct mbox_file: where the bytes are, or the bytes themselves.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  no offset longer than the file is unchanged.
 * Spec:    formats.md 7.6; security.md 7.3.
 *
 * No lock is taken: what was read counts if the file is the same before and
 * after, and nobody writes without its times changing. A message is small: then
 * it is read at once and stays what it was. Or it is large: then each read looks
 * whether the file is still the same, and finds the message again by its UID
 * when it is not. Its bytes are the same wherever
 * it lies; when it has gone meanwhile, reading ends with ERR_GONE.
 */
#include <stdlib.h>
#include <unistd.h>

#include "store/mbox/mbox_impl.h"

#define SMALL_MAX (256 * 1024)
#define TRIES_MAX 10

struct mbox_file {
	uint32_t uid;
	uint32_t gen; /* of the mailbox when it was located */
	char *bytes; /* all that is seen, or NULL */
	size_t n_bytes;
	uint64_t head_off; /* in the file */
	uint32_t head_len, head_seen; /* stored, shown */
	VEC(struct mbox_range) hidden;
	uint64_t size;
	int64_t date_s;
};

static int
read_all(int fd, uint64_t off, char *p, size_t n, struct err *e)
{
	size_t got;

	if (file_read_at(fd, off, p, n, &got, e) == -1)
		return -1;
	return got == n ? 0 : err_set(e, ERR_GONE, "file has shrunk");
}

/* Takes the hidden fields out of `bytes`, which begin with the header. */
static size_t
squeeze(const struct mbox_file *f, char *bytes, size_t n)
{
	size_t from = 0, to = 0;

	VEC_EACH(&f->hidden, r) {
		memmove(bytes + to, bytes + from, r->off - from);
		to += r->off - from;
		from = r->off + r->len;
	}
	memmove(bytes + to, bytes + from, n - from);
	return to + n - from;
}

static void
find_hidden(struct mbox_file *f, struct str header)
{
	struct mbox_range r;
	uint32_t at = 0;

	f->hidden.n = 0;
	f->head_seen = f->head_len;
	while (mbox_hidden_next(header, &at, &r)) {
		*VEC_ADD(&f->hidden) = r;
		f->head_seen -= r.len;
	}
}

/* Learns where the message lies now, and reads it when it is small. */
static int
locate(struct mailbox *m, const struct mbox_slot *slot, struct mbox_file *f,
    struct err *e)
{
	struct mbox *mb = mbox_of(m);
	uint64_t stored;
	size_t n;
	char *p;

	f->head_off = slot->off + slot->from_len;
	f->head_len = slot->head_len;
	f->size = slot->size;
	f->date_s = slot->date_s;
	f->gen = mb->gen;
	n = slot->head_len < MBOX_HEADER_MAX ? slot->head_len : MBOX_HEADER_MAX;
	/* Hidden fields take little: most often one read gets it all. */
	stored = slot->size + 4096;
	if (slot->size <= SMALL_MAX && n < stored)
		n = (size_t)stored;
	p = mem_new(1, n + 1);
	if (file_read_at(mb->fd, f->head_off, p, n, &n, e) == -1)
		goto fail;
	if (n < (slot->head_len < MBOX_HEADER_MAX ? slot->head_len
						  : MBOX_HEADER_MAX)) {
		(void)err_set(e, ERR_GONE, "file has shrunk");
		goto fail;
	}
	find_hidden(f,
	    str_head(str_make(p, n),
		slot->head_len < MBOX_HEADER_MAX ? slot->head_len
						 : MBOX_HEADER_MAX));
	/* Read without a lock: it may be another header by now. */
	if (f->head_seen > slot->size) {
		(void)err_set(e, ERR_GONE, "message has shrunk");
		goto fail;
	}
	if (slot->size > SMALL_MAX) {
		free(p);
		return 0;
	}
	stored = slot->size + (f->head_len - f->head_seen);
	/* Another program is writing there: the caller looks again. */
	if (stored < f->head_len)
		stored = f->head_len;
	if (stored > n) {
		p = mem_resize(p, (size_t)stored, 1);
		if (read_all(mb->fd, f->head_off + n, p + n, (size_t)stored - n,
			e) == -1)
			goto fail;
	}
	f->n_bytes = squeeze(f, p, (size_t)stored);
	f->bytes = p;
	return 0;
fail:
	free(p);
	return -1;
}

/*
 * Where the message can be read, and where it lies. Callers who take steps have
 * said mbox_ready() before; others wait here.
 */
static int
find(struct mailbox *m, struct mbox_file *f, bool is_new, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	struct mbox_slot slot;
	enum step step;

	for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
		while ((step = mbox_ready(m, e)) == STEP_MORE)
			store_pause(m->store);
		if (step == STEP_FAIL)
			return -1;
		if (!is_new && f->gen == mb->gen)
			return 0;
		if (mb->fd == -1)
			return err_set(e, ERR_GONE, "file is gone");
		/* It may bring in records that somebody else has written. */
		if (!mbox_find_slot(m, f->uid, &slot))
			return err_set(
			    e, ERR_GONE, "message %u is gone", f->uid);
		if (mb->stamp.ino == MBOX_NO_STAMP)
			continue;
		step = locate(m, &slot, f, e) == -1 ? STEP_FAIL : STEP_DONE;
		if (mbox_is_there(m))
			return step == STEP_DONE ? 0 : -1;
		if (step == STEP_FAIL && e->code != ERR_GONE)
			return -1;
		/* Changed while it was read. */
		MEM_FREE(f->bytes);
		is_new = true;
	}
	return err_set(e, ERR_IN_USE, "%s is changed all the time", mb->path);
}

void
mbox_msg_close(struct msg_file *out)
{
	struct mbox_file *f = out->impl;

	if (f == NULL)
		return;
	free(f->bytes);
	VEC_DONE(&f->hidden);
	free(f);
	out->impl = NULL;
	out->fd = -1;
}

int
mbox_msg_open(
    struct mailbox *m, uint32_t uid, struct msg_file *out, struct err *e)
{
	struct mbox_file *f = mem_new(1, sizeof(*f));

	f->uid = uid;
	out->impl = f;
	if (find(m, f, true, e) == -1) {
		mbox_msg_close(out);
		return -1;
	}
	out->fd = mbox_of(m)->fd;
	out->off = 0;
	out->size = f->size;
	out->is_held = f->bytes != NULL;
	out->date_s = f->date_s;
	return 0;
}

int
mbox_msg_stat(
    struct mailbox *m, uint32_t uid, struct msg_file *out, struct err *e)
{
	struct mbox_slot slot;

	if (!mbox_find_slot(m, uid, &slot))
		return err_set(e, ERR_GONE, "message %u is gone", uid);
	*out = (struct msg_file){
	    .fd = -1,
	    .size = slot.size,
	    .date_s = slot.date_s,
	};
	return 0;
}

/* Up to `n` bytes of the shown message at `off`, from the file. */
static int
read_piece(const struct mbox *mb, const struct mbox_file *f, uint64_t off,
    void *p, size_t n, size_t *got, struct err *e)
{
	uint64_t from = off, next = f->head_len, shown = 0;

	if (off >= f->head_seen)
		return file_read_at(mb->fd,
		    f->head_off + f->head_len + (off - f->head_seen), p, n, got,
		    e);
	/* In the header: up to the next hidden field. */
	VEC_EACH(&f->hidden, r) {
		if (r->off - shown > off) {
			next = r->off;
			break;
		}
		shown += r->len;
	}
	from = off + shown;
	if (n > next - from)
		n = (size_t)(next - from);
	return file_read_at(mb->fd, f->head_off + from, p, n, got, e);
}

/* All of it, however the hidden fields cut it. */
static int
read_pieces(const struct mbox *mb, const struct mbox_file *f, uint64_t off,
    char *p, size_t n, size_t *got, struct err *e)
{
	size_t one;

	for (*got = 0; *got < n; *got += one) {
		if (read_piece(
			mb, f, off + *got, p + *got, n - *got, &one, e) == -1)
			return -1;
		if (one == 0)
			break;
	}
	return 0;
}

/* The same, and nobody has changed the file meanwhile. */
static int
read_unchanged(struct mailbox *m, struct mbox_file *f, uint64_t off, void *p,
    size_t n, size_t *got, struct err *e)
{
	struct mbox *mb = mbox_of(m);

	for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
		if (read_pieces(mb, f, off, p, n, got, e) == -1)
			return -1;
		if (mbox_is_there(m))
			return 0;
		if (find(m, f, false, e) == -1)
			return -1;
		if (f->bytes != NULL)
			return 0;
	}
	return err_set(e, ERR_IN_USE, "%s is changed all the time", mb->path);
}

int
mbox_msg_read(struct mailbox *m, struct msg_file *file, uint64_t off, void *p,
    size_t n, size_t *got, struct err *e)
{
	struct mbox_file *f = file->impl;

	*got = 0;
	if (off >= f->size)
		return 0;
	if (n > f->size - off)
		n = (size_t)(f->size - off);
	if (f->bytes == NULL &&
	    (find(m, f, false, e) == -1 ||
		(f->bytes == NULL &&
		    read_unchanged(m, f, off, p, n, got, e) == -1)))
		return -1;
	if (f->bytes == NULL)
		return 0;
	if (off >= f->n_bytes)
		return 0;
	*got = n < f->n_bytes - (size_t)off ? n : f->n_bytes - (size_t)off;
	memcpy(p, f->bytes + off, *got);
	return 0;
}
