/* SPDX-License-Identifier: ISC */
/*
 * msg.c - one message: its bytes as stored, its sizes and date.
 *
 * Owns:    struct msg: the open file, its header block.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  no size in a file name before the file itself agrees.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/mem.h"
#include "os/file.h"
#include "store/mailbox_impl.h"
#include "store/msg.h"
#include "store/msg_impl.h"

#define READ_PIECE (32 * 1024)
#define HEADER_PIECE 4096

int
msg_open(struct view *v, uint32_t uid, struct msg **out, struct err *e)
{
	const struct msg_rec *r = mailbox_rec(v->m, uid);
	struct msg *m;

	if (r == NULL || r->state != REC_LIVE || !set32_has(&v->uids, uid))
		return err_set(e, ERR_GONE, "message %u is gone", uid);
	m = mem_new(1, sizeof(*m));
	m->mailbox = v->m;
	m->mailbox->n_users++;
	m->uid = uid;
	m->file.fd = -1;
	arena_init(&m->arena);
	*out = m;
	return 0;
}

void
msg_close(struct msg **mp)
{
	struct msg *m = *mp;

	*mp = NULL;
	if (m == NULL)
		return;
	if (m->file.fd != -1)
		close(m->file.fd);
	free(m->header.p);
	arena_done(&m->arena);
	mailbox_release(&m->mailbox);
	free(m);
}

uint32_t
msg_uid(const struct msg *m)
{
	return m->uid;
}

int
msg_need_file(struct msg *m, struct err *e)
{
	if (m->file.fd != -1)
		return 0;
	if (m->mailbox->store->ops->msg_open(m->mailbox, m->uid, &m->file, e) ==
	    -1) {
		m->file.fd = -1;
		return -1;
	}
	m->has_stat = true;
	return 0;
}

static int
need_stat(struct msg *m, struct err *e)
{
	if (m->has_stat)
		return 0;
	if (m->mailbox->store->ops->msg_stat(m->mailbox, m->uid, &m->file, e) ==
	    -1)
		return -1;
	m->file.fd = -1;
	m->has_stat = true;
	return 0;
}

int
msg_internal_date(struct msg *m, int64_t *out, struct err *e)
{
	if (need_stat(m, e) == -1)
		return -1;
	*out = m->file.date_s;
	return 0;
}

int
msg_load(struct msg *m, struct err *e)
{
	return msg_need_file(m, e);
}

int
msg_size(struct msg *m, uint64_t *out, struct err *e)
{
	if (need_stat(m, e) == -1)
		return -1;
	*out = m->file.size;
	return 0;
}

/* Counts by reading: each LF that no CR stands before is one byte more. */
static int
count_wire_size(struct msg *m, uint64_t *out, struct err *e)
{
	char *piece, last = '\0';
	uint64_t off = 0, wire = 0;
	size_t got;

	if (msg_need_file(m, e) == -1)
		return -1;
	piece = mem_new(1, READ_PIECE);
	for (;;) {
		const char *p = piece, *lf;

		if (msg_read(m, off, piece, READ_PIECE, &got, e) == -1) {
			free(piece);
			return -1;
		}
		if (got == 0)
			break;
		while (
		    (lf = memchr(p, '\n', got - (size_t)(p - piece))) != NULL) {
			wire += (lf > piece ? lf[-1] : last) != '\r';
			p = lf + 1;
		}
		last = piece[got - 1];
		wire += got;
		off += got;
	}
	free(piece);
	*out = wire;
	return 0;
}

int
msg_wire_size(struct msg *m, uint64_t *out, struct err *e)
{
	struct msg_facts f;
	bool has_facts;

	if (m->has_wire_size) {
		*out = m->wire_size;
		return 0;
	}
	if (need_stat(m, e) == -1)
		return -1;
	has_facts = m->mailbox->store->ops->msg_facts(m->mailbox, m->uid, &f);
	if (has_facts && f.size != 0 && f.size != m->file.size &&
	    !m->mailbox->warned_size) {
		m->mailbox->warned_size = true;
		store_warn(m->mailbox->store,
		    "wrong size in file name mailbox=%s uid=%u name=%.*s "
		    "size=%llu",
		    m->mailbox->name, m->uid, STR_ARG(f.base),
		    (unsigned long long)m->file.size);
	}
	if (has_facts && f.wire_size >= f.size && f.wire_size != 0 &&
	    f.size == m->file.size)
		m->wire_size = f.wire_size;
	else if (count_wire_size(m, &m->wire_size, e) == -1)
		return -1;
	else
		m->mailbox->store->ops->note_wire_size(
		    m->mailbox, m->uid, m->file.size, m->wire_size);
	m->has_wire_size = true;
	*out = m->wire_size;
	return 0;
}

int
msg_read(
    struct msg *m, uint64_t off, void *p, size_t n, size_t *got, struct err *e)
{
	if (msg_need_file(m, e) == -1)
		return -1;
	if (off >= m->file.size) {
		*got = 0;
		return 0;
	}
	if (n > m->file.size - off)
		n = (size_t)(m->file.size - off);
	return file_read_at(m->file.fd, m->file.off + off, p, n, got, e);
}

/* Length of the header block with its blank line; 0: not there yet. */
static size_t
header_end(struct str s, size_t from)
{
	/* A blank line at the very start: a message without a header. */
	if (s.n >= 1 && s.p[0] == '\n')
		return 1;
	if (s.n >= 2 && s.p[0] == '\r' && s.p[1] == '\n')
		return 2;
	for (size_t i = from; i < s.n; i++) {
		const char *lf = memchr(s.p + i, '\n', s.n - i);

		if (lf == NULL)
			return 0;
		i = (size_t)(lf - s.p);
		if (i + 1 < s.n && s.p[i + 1] == '\n')
			return i + 2;
		if (i + 2 < s.n && s.p[i + 1] == '\r' && s.p[i + 2] == '\n')
			return i + 3;
	}
	return 0;
}

int
msg_header(struct msg *m, struct str *out, struct err *e)
{
	size_t end = 0, from = 0, got;

	if (m->has_header) {
		*out = buf_str(&m->header);
		return 0;
	}
	if (msg_need_file(m, e) == -1)
		return -1;
	buf_init(&m->header, MIME_HEADER_BLOCK_MAX);
	while (end == 0) {
		size_t n =
		    m->header.n < HEADER_PIECE ? HEADER_PIECE : m->header.n;
		char *room;

		if (n > MIME_HEADER_BLOCK_MAX - m->header.n)
			n = MIME_HEADER_BLOCK_MAX - m->header.n;
		if (n == 0)
			break;
		room = buf_room(&m->header, n);
		if (msg_read(m, m->header.n, room, n, &got, e) == -1) {
			buf_done(&m->header);
			return -1;
		}
		m->header.n += got;
		end = header_end(buf_str(&m->header), from);
		from = m->header.n < 3 ? 0 : m->header.n - 3;
		if (got == 0)
			break;
	}
	if (end != 0)
		m->header.n = end;
	m->has_header = true;
	*out = buf_str(&m->header);
	return 0;
}
