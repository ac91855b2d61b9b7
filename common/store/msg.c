/* SPDX-License-Identifier: ISC */
/*
 * msg.c - one message: its bytes as stored, its sizes and date.
 *
 * Owns:    struct msg: the open file, its header block, a small one's bytes.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  no size in a file name before the file itself agrees.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/mem.h"
#include "mime/header.h"
#include "os/file.h"
#include "store/derived.h"
#include "store/mailbox_impl.h"
#include "store/msg.h"
#include "store/msg_impl.h"
#include "text/crlf.h"

#define READ_PIECE ((size_t)64 * 1024)
#define STEP_BYTES ((size_t)4 * 1024 * 1024) /* about a millisecond */
#define HEADER_PIECE 4096
#define HEADER_HINT_MIN 1024u
#define HEADER_HINT_START 4096u

int
msg_file_read(struct mailbox *m, struct msg_file *f, uint64_t off, void *p,
    size_t n, size_t *got, struct err *e)
{
	if (f->impl != NULL)
		return m->store->ops->msg_read(m, f, off, p, n, got, e);
	if (off >= f->size) {
		*got = 0;
		return 0;
	}
	if (n > f->size - off)
		n = (size_t)(f->size - off);
	return file_read_at(f->fd, f->off + off, p, n, got, e);
}

void
msg_file_close(struct mailbox *m, struct msg_file *f)
{
	if (f->impl != NULL)
		m->store->ops->msg_close(f);
	else if (f->fd != -1)
		close(f->fd);
	f->fd = -1;
}

/* ---- the first bytes ----------------------------------------------------- */

static char *first_spare;

char *
msg_first_room(struct msg_file *f, size_t n)
{
	if (n <= f->first_size)
		return f->first;
	if (f->first_size > 0 || n > MSG_FIRST_SPARE) {
		/* What is there stays. */
		f->first = mem_resize(f->first, n, 1);
		f->first_size = n;
		return f->first;
	}
	f->first = first_spare;
	first_spare = NULL;
	/* Not zeroed: it is written to before it is read. */
	if (f->first == NULL)
		f->first = mem_resize(NULL, MSG_FIRST_SPARE, 1);
	f->first_size = MSG_FIRST_SPARE;
	return f->first;
}

void
msg_first_drop(struct msg_file *f)
{
	if (f->first_size == MSG_FIRST_SPARE && first_spare == NULL)
		first_spare = f->first;
	else
		free(f->first);
	f->first = NULL;
	f->first_n = f->first_size = 0;
}

/* ---- what the index knows ------------------------------------------------ */

static struct msg_known
known_of(const struct index_rec *r)
{
	bool has_bounds = r->known & INDEX_HAS_BOUNDS;

	return (struct msg_known){
	    .has_size = r->known & INDEX_HAS_SIZE,
	    .has_date = r->known & INDEX_HAS_DATE,
	    .wire_size = r->wire_size,
	    .date_s = r->date_s,
	    .low = has_bounds ? r->size : 0,
	    .high = has_bounds ? r->wire_size : UINT64_MAX,
	};
}

bool
view_known(struct view *v, uint32_t uid, struct msg_known *out)
{
	struct index_rec r;

	if (!set32_has(&v->m->live, uid) || !derived_facts(v->m, uid, &r))
		return false;
	*out = known_of(&r);
	return true;
}

bool
view_known_next(
    struct view *v, uint32_t uid, struct view_run *run, struct msg_known *out)
{
	struct index_rec r;

	if (!set32_has(&v->m->live, uid) ||
	    !derived_facts_next(v->m, uid, run, &r))
		return false;
	*out = known_of(&r);
	return true;
}

bool
view_fact(struct view *v, uint32_t uid, enum index_slot slot, struct str *value)
{
	return set32_has(&v->m->live, uid) &&
	    derived_get(v->m, uid, slot, value);
}

void
view_keep_fact(
    struct view *v, uint32_t uid, enum index_slot slot, struct str value)
{
	if (value.n > 0)
		derived_put(v->m, uid, slot, value);
}

bool
view_keeps_facts(struct view *v)
{
	return v->m->derived != NULL && derived_index(v->m->store) != NULL;
}

bool
view_filter(struct view *v, uint32_t uid, struct str *record)
{
	return set32_has(&v->m->live, uid) && derived_filter(v->m, uid, record);
}

bool
view_filter_group(struct view *v, uint32_t uid, struct str *group)
{
	return derived_filter_group(v->m, uid, group);
}

void
view_keep_filters(struct view *v, uint32_t uid, struct str group)
{
	derived_put_filters(v->m, uid, group);
}

uint32_t
view_filtered(struct view *v)
{
	return derived_filtered(v->m);
}

void
view_note_filtered(struct view *v, uint32_t uid)
{
	derived_note_filtered(v->m, uid);
}

bool
view_has_message(struct view *v, uint32_t uid)
{
	return set32_has(&v->m->live, uid) && set32_has(&v->uids, uid);
}

struct store *
view_store_of(struct view *v)
{
	return v->store;
}

int
msg_open(struct view *v, uint32_t uid, struct msg **out, struct err *e)
{
	struct msg *m;

	if (!view_has_message(v, uid))
		return err_set(e, ERR_GONE, "message %u is gone", uid);
	m = mem_new(1, sizeof(*m));
	m->mailbox = v->m;
	m->mailbox->n_users++;
	m->uid = uid;
	m->is_verified = set32_has(&v->m->sized, uid);
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
	msg_file_close(m->mailbox, &m->file);
	/* What it keeps outside of the arena goes with the end of the parse. */
	if (m->parser != NULL)
		(void)part_parser_finish(m->parser);
	buf_done(&m->header);
	msg_first_drop(&m->file);
	arena_done(&m->arena);
	mailbox_release(&m->mailbox);
	free(m);
}

uint32_t
msg_uid(const struct msg *m)
{
	return m->uid;
}

/* Somebody has changed the message in its place: what is known of it is not
 * so any more. */
static void
check_facts(struct msg *m)
{
	struct index_rec r;

	if (!derived_facts(m->mailbox, m->uid, &r) ||
	    !(r.known & (INDEX_HAS_SIZE | INDEX_HAS_BOUNDS)))
		return;
	/* Of one that was only known to be larger there is no upper bound. */
	if (!(r.known & INDEX_HAS_SIZE) && r.wire_size == UINT64_MAX
		? m->file.size < r.size
		: m->file.size != r.size)
		derived_forget_facts(m->mailbox, m->uid);
}

/* Asks for what msg_open has left out. */
static int
look_at_file(struct msg *m, struct err *e)
{
	struct msg_file *f = &m->file;
	struct stat st;

	if (!f->lacks_date)
		return 0;
	if (fstat(f->fd, &st) == -1)
		return err_sys(e, "fstat message");
	f->date_s = st.st_mtim.tv_sec;
	f->lacks_date = false;
	if (f->lacks_size) {
		f->size = (uint64_t)st.st_size;
		f->lacks_size = false;
		m->has_stat = true;
		check_facts(m);
	}
	return 0;
}

/* What the index says of it is compared with what it is. */
static int
note_opened(struct msg *m, struct err *e)
{
	struct index_rec r;

	m->has_stat = !m->file.lacks_size;
	if (m->has_stat)
		check_facts(m);
	else if (derived_facts(m->mailbox, m->uid, &r) &&
	    r.known & INDEX_HAS_SIZE)
		return look_at_file(m, e);
	return 0;
}

static int
open_file(struct msg *m, bool in_steps, struct err *e)
{
	m->file.in_steps = in_steps;
	m->file.may_lack = true;
	m->file.is_pending = false;
	if (m->mailbox->store->ops->msg_open(m->mailbox, m->uid, &m->file, e) ==
	    -1) {
		m->file.fd = -1;
		return -1;
	}
	return m->file.is_pending ? 0 : note_opened(m, e);
}

/* A piece of what was left to do when it was opened. */
static enum step
look_on(struct msg *m, struct err *e)
{
	enum step step;

	if (m->file.fd == -1 || !m->file.is_pending)
		return STEP_DONE;
	step = m->mailbox->store->ops->msg_look(&m->file, e);
	if (step == STEP_MORE)
		return STEP_MORE;
	m->file.is_pending = false;
	if (step == STEP_FAIL) {
		msg_file_close(m->mailbox, &m->file);
		(void)err_in(e, "%s: message %u", m->mailbox->name, m->uid);
		return STEP_FAIL;
	}
	return note_opened(m, e) == -1 ? STEP_FAIL : STEP_DONE;
}

int
msg_need_file(struct msg *m, struct err *e)
{
	enum step step;

	if (m->file.fd == -1)
		return open_file(m, false, e);
	while ((step = look_on(m, e)) == STEP_MORE)
		;
	return step == STEP_DONE ? 0 : -1;
}

static int
need_stat(struct msg *m, struct err *e)
{
	if (m->has_stat)
		return 0;
	if (m->file.fd != -1)
		return msg_need_file(m, e) == -1 ? -1 : look_at_file(m, e);
	if (m->mailbox->store->ops->msg_stat(m->mailbox, m->uid, &m->file, e) ==
	    -1)
		return -1;
	m->file.fd = -1;
	m->has_stat = true;
	return 0;
}

/* A date needs no look at the file's bytes, as a size may. */
static int
need_date(struct msg *m, struct err *e)
{
	struct msg_file f = {.fd = -1, .date_only = true};

	if (m->has_date)
		return 0;
	if (m->file.fd != -1 && !m->file.is_pending && look_at_file(m, e) == -1)
		return -1;
	if (m->has_stat) {
		m->date_s = m->file.date_s;
	} else {
		if (m->mailbox->store->ops->msg_stat(
			m->mailbox, m->uid, &f, e) == -1)
			return -1;
		m->date_s = f.date_s;
	}
	m->has_date = true;
	derived_note_date(m->mailbox, m->uid, m->date_s);
	return 0;
}

int
msg_internal_date(struct msg *m, int64_t *out, struct err *e)
{
	struct index_rec r;

	if ((!m->has_stat || m->file.lacks_date) && !m->has_date &&
	    derived_facts(m->mailbox, m->uid, &r) && r.known & INDEX_HAS_DATE) {
		*out = r.date_s;
		return 0;
	}
	if (need_date(m, e) == -1)
		return -1;
	*out = m->date_s;
	return 0;
}

enum step
msg_ready(struct msg *m, struct err *e)
{
	const struct store_ops *ops = m->mailbox->store->ops;

	if (ops->ready == NULL || m->file.is_held)
		return look_on(m, e);
	store_begin_step(m->mailbox->store);
	return ops->ready(m->mailbox, m->uid, e);
}

static void
set_want(struct msg *m, size_t first)
{
	const struct mailbox *mb = m->mailbox;

	if (m->file.fd == -1)
		m->file.want = first == MSG_FIRST_HEADER
		    ? (mb->header_hint > 0 ? mb->header_hint
					   : HEADER_HINT_START)
		    : first;
}

int
msg_load(struct msg *m, size_t first, struct err *e)
{
	set_want(m, first);
	return msg_need_file(m, e);
}

enum step
msg_load_step(struct msg *m, size_t first, struct err *e)
{
	set_want(m, first);
	if (m->file.fd == -1 && open_file(m, true, e) == -1)
		return STEP_FAIL;
	return look_on(m, e);
}

enum step
msg_seek(struct msg *m, uint64_t off, struct err *e)
{
	const struct store_ops *ops = m->mailbox->store->ops;

	if (!msg_seeks_slowly(m))
		return STEP_DONE;
	return ops->msg_seek(&m->file, off, e);
}

bool
msg_seeks_slowly(const struct msg *m)
{
	return m->file.impl != NULL && m->file.fd != -1 &&
	    !m->file.is_pending && m->mailbox->store->ops->msg_seek != NULL;
}

int
msg_size(struct msg *m, uint64_t *out, struct err *e)
{
	if (need_stat(m, e) == -1)
		return -1;
	*out = m->file.size;
	return 0;
}

/* ---- sizes --------------------------------------------------------------- */

static void
warn_size(struct msg *m, const struct msg_facts *f, uint64_t wire_size)
{
	if (m->mailbox->warned_size)
		return;
	m->mailbox->warned_size = true;
	if (wire_size == 0)
		store_warn(m->mailbox->store,
		    "wrong size in file name mailbox=%s uid=%u name=%.*s "
		    "size=%llu",
		    m->mailbox->name, m->uid, STR_ARG(f->base),
		    (unsigned long long)m->file.size);
	else
		store_warn(m->mailbox->store,
		    "wrong wire size in file name mailbox=%s uid=%u "
		    "name=%.*s size=%llu",
		    m->mailbox->name, m->uid, STR_ARG(f->base),
		    (unsigned long long)wire_size);
}

/* The size is known by counting, whatever the name says. One that nobody had
 * asked for is worth keeping only against a wrong one. */
static void
take_counted(struct msg *m, uint64_t wire_size, bool was_asked)
{
	const struct store_ops *ops = m->mailbox->store->ops;
	struct msg_facts f;

	m->wire_size = wire_size;
	m->has_wire_size = m->is_verified = true;
	set32_add(&m->mailbox->sized, m->uid);
	derived_note_size(m->mailbox, m->uid, m->file.size, wire_size);
	if (!ops->msg_facts(m->mailbox, m->uid, &f) ||
	    f.wire_size == wire_size || (f.wire_size == 0 && !was_asked))
		return;
	if (f.wire_size != 0 && f.size == m->file.size)
		warn_size(m, &f, wire_size);
	ops->note_wire_size(m->mailbox, m->uid, m->file.size, wire_size);
}

static void
verify_piece(struct msg *m, struct str piece)
{
	m->verified_lone += crlf_count(piece, &m->verify_cr);
	m->verified_to += piece.n;
}

/*
 * Who reads a message from its beginning to its end counts on the way. Its
 * first bytes are counted when there comes something behind them: most headers
 * are looked at alone.
 */
static void
verify(struct msg *m, uint64_t off, struct str piece)
{
	const struct msg_file *f = &m->file;

	if (m->is_verified)
		return;
	if (off > m->verified_to && off <= f->first_n)
		verify_piece(m,
		    str_make(f->first + m->verified_to,
			(size_t)(off - m->verified_to)));
	if (off > m->verified_to || piece.n <= m->verified_to - off)
		return;
	verify_piece(m, str_skip(piece, (size_t)(m->verified_to - off)));
	if (m->verified_to == m->file.size)
		take_counted(m, m->verified_to + m->verified_lone, false);
}

/* From the file's name, if that is trustworthy. */
static bool
wire_size_by_name(struct msg *m)
{
	struct msg_facts f;

	if (!m->mailbox->store->ops->msg_facts(m->mailbox, m->uid, &f))
		return false;
	if (f.size != 0 && f.size != m->file.size)
		warn_size(m, &f, 0);
	if (f.wire_size < f.size || f.wire_size == 0 || f.size != m->file.size)
		return false;
	m->wire_size = f.wire_size;
	m->has_wire_size = true;
	derived_note_size(m->mailbox, m->uid, m->file.size, m->wire_size);
	return true;
}

/* From the index; when the file is open anyway it must have that size. */
static bool
wire_size_by_index(struct msg *m)
{
	struct index_rec r;

	if (!derived_facts(m->mailbox, m->uid, &r) ||
	    !(r.known & INDEX_HAS_SIZE))
		return false;
	if (m->has_stat && m->file.size != r.size) {
		derived_forget_facts(m->mailbox, m->uid);
		return false;
	}
	m->wire_size = r.wire_size;
	m->has_wire_size = true;
	return true;
}

/* Each LF that no CR stands before is one byte more. */
static enum step
count_step(struct msg *m, struct err *e)
{
	char room[READ_PIECE] UNINITIALIZED;
	size_t got, budget = STEP_BYTES;
	struct str piece;

	enum step step;

	/* All of it will be read. */
	step = m->counted == 0 ? msg_load_step(m, MSG_FIRST_ALL, e) : STEP_DONE;
	if (step == STEP_DONE && need_stat(m, e) == -1)
		step = STEP_FAIL;
	if (step == STEP_DONE)
		step = msg_seek(m, m->counted, e);
	if (step != STEP_DONE)
		return step;
	m->is_verified = true; /* is, in a moment */
	for (; budget >= READ_PIECE; budget -= READ_PIECE) {
		if (!msg_at_hand(m, m->counted, READ_PIECE, &piece)) {
			if (msg_read(
				m, m->counted, room, READ_PIECE, &got, e) == -1)
				return STEP_FAIL;
			piece = str_make(room, got);
		}
		m->counted_lone += crlf_count(piece, &m->counted_cr);
		m->counted += piece.n;
		if (piece.n < READ_PIECE)
			break;
	}
	if (budget < READ_PIECE)
		return STEP_MORE;
	take_counted(m, m->counted + m->counted_lone, true);
	return STEP_DONE;
}

/* Else it is counted, which begins with opening the file. */
static bool
has_size_by_name(struct msg *m)
{
	struct msg_facts f;

	return m->mailbox->store->ops->msg_facts(m->mailbox, m->uid, &f) &&
	    f.size != 0;
}

enum step
msg_wire_size_step(struct msg *m, struct err *e)
{
	if (m->has_wire_size || (m->counted == 0 && wire_size_by_index(m)))
		return STEP_DONE;
	if (!m->has_stat && !has_size_by_name(m))
		return count_step(m, e);
	if (need_stat(m, e) == -1)
		return STEP_FAIL;
	if (m->counted == 0 && wire_size_by_name(m))
		return STEP_DONE;
	return count_step(m, e);
}

int
msg_wire_size(struct msg *m, uint64_t *out, struct err *e)
{
	enum step step;

	while ((step = msg_wire_size_step(m, e)) == STEP_MORE)
		;
	*out = m->wire_size;
	return step == STEP_DONE ? 0 : -1;
}

/* So much is read of each message to decide about its size. */
#define BOUNDS_PIECE ((uint64_t)4096)
#define BOUNDS_READ_MAX ((uint64_t)8192)

/* What is known of its size without counting its lines. */
static enum step
find_bounds(
    struct msg *m, uint64_t limit, uint64_t *low, uint64_t *high, struct err *e)
{
	const struct msg_file *f = &m->file;
	enum step step;

	if (!m->has_stat && has_size_by_name(m)) {
		if (need_stat(m, e) == -1)
			return STEP_FAIL;
		(void)wire_size_by_name(m);
		/* The name's word about what is packed decides nothing. */
		if (f->is_hint) {
			*low = 0;
			*high = UINT64_MAX;
			return STEP_DONE;
		}
	} else {
		/* A little more than the limit tells that it is above. */
		step = msg_load_step(m,
		    (size_t)(limit < BOUNDS_READ_MAX
			    ? (limit / BOUNDS_PIECE + 1) * BOUNDS_PIECE
			    : BOUNDS_PIECE),
		    e);
		if (step != STEP_DONE)
			return step;
		if (f->lacks_size && f->first_n > limit) {
			*low = f->first_n;
			*high = UINT64_MAX;
			return STEP_DONE;
		}
		if (need_stat(m, e) == -1)
			return STEP_FAIL;
	}
	*low = f->size;
	*high = f->size > UINT64_MAX / 2 ? UINT64_MAX : f->size * 2;
	return STEP_DONE;
}

enum step
msg_wire_size_bounds(
    struct msg *m, uint64_t limit, uint64_t *low, uint64_t *high, struct err *e)
{
	enum step step;

	if (!m->has_wire_size && m->counted == 0 && !wire_size_by_index(m) &&
	    !m->mailbox->store->ops->index_by_content) {
		step = find_bounds(m, limit, low, high, e);
		if (step != STEP_DONE)
			return step;
		if (!m->has_wire_size && (*low > limit || *high < limit)) {
			derived_note_bounds(m->mailbox, m->uid, *low, *high);
			return STEP_DONE;
		}
	}
	step = msg_wire_size_step(m, e);
	*low = *high = m->wire_size;
	return step;
}

/* ---- bytes --------------------------------------------------------------- */

bool
msg_at_hand(struct msg *m, uint64_t off, size_t n, struct str *out)
{
	const struct msg_file *f = &m->file;

	if (off >= f->first_n || (n > f->first_n - off && f->first_n < f->size))
		return false;
	*out = str_head(str_make(f->first + off, f->first_n - off), n);
	verify(m, off, *out);
	return true;
}

int
msg_read(
    struct msg *m, uint64_t off, void *p, size_t n, size_t *got, struct err *e)
{
	struct str bytes;

	if (msg_need_file(m, e) == -1)
		return -1;
	if (msg_at_hand(m, off, n, &bytes)) {
		memcpy(p, bytes.p, bytes.n);
		*got = bytes.n;
		return 0;
	}
	if (msg_file_read(m->mailbox, &m->file, off, p, n, got, e) == -1)
		return -1;
	verify(m, off, str_make(p, *got));
	return 0;
}

int
msg_load_all(struct msg *m, struct err *e)
{
	struct msg_file *f = &m->file;
	size_t size, got = 1;

	if (msg_load(m, MSG_FIRST_ALL, e) == -1 || need_stat(m, e) == -1)
		return -1;
	if (f->size > MSG_FIRST_ALL || f->first_n >= f->size)
		return 0;
	/* A backend may find another size while it reads. */
	size = (size_t)f->size;
	(void)msg_first_room(f, size);
	/* The room may be another one now. */
	if (m->has_header && m->header.n == 0)
		m->header_block.p = f->first;
	while (f->first_n < size && got > 0) {
		if (msg_file_read(m->mailbox, f, f->first_n,
			f->first + f->first_n, size - f->first_n, &got,
			e) == -1)
			return -1;
		f->first_n += got;
	}
	return 0;
}

/* ---- header -------------------------------------------------------------- */

/* The next one is read with one call, and not much more than it. */
static void
note_header(struct mailbox *mb, size_t n)
{
	uint32_t fits = HEADER_HINT_MIN, hint = mb->header_hint;

	while (fits < n + n / 4 && fits < MSG_FIRST_HEADER)
		fits *= 2;
	if (fits >= hint)
		mb->header_hint = fits;
	else
		mb->header_hint = hint - (hint - fits + 63) / 64;
}

/* Does it lie within the first bytes? */
static bool
header_at_hand(struct msg *m)
{
	const struct msg_file *f = &m->file;
	struct str first = str_make(f->first, f->first_n);
	size_t end;

	if (f->first_n == 0)
		return false;
	end = header_block_end(first, 0);
	if (end == 0 && f->first_n < f->size)
		return false;
	m->header_block = str_head(first, end == 0 ? first.n : end);
	m->has_header = true;
	note_header(m->mailbox, m->header_block.n);
	return true;
}

int
msg_header(struct msg *m, struct str *out, struct err *e)
{
	size_t end = 0, from = 0, got;

	if (m->has_header || header_at_hand(m)) {
		*out = m->header_block;
		return 0;
	}
	if (msg_load(m, MSG_FIRST_HEADER, e) == -1)
		return -1;
	if (header_at_hand(m)) {
		*out = m->header_block;
		return 0;
	}
	buf_init(&m->header, MIME_HEADER_BLOCK_MAX);
	while (end == 0) {
		size_t n =
		    m->header.n < HEADER_PIECE ? HEADER_PIECE : m->header.n;
		char *room;

		if (n > MIME_HEADER_BLOCK_MAX - m->header.n)
			n = MIME_HEADER_BLOCK_MAX - m->header.n;
		if (n == 0) {
			m->header_is_cut = true;
			break;
		}
		room = buf_room(&m->header, n);
		if (msg_read(m, m->header.n, room, n, &got, e) == -1) {
			buf_done(&m->header);
			return -1;
		}
		m->header.n += got;
		end = header_block_end(buf_str(&m->header), from);
		from = m->header.n < 3 ? 0 : m->header.n - 3;
		if (got == 0)
			break;
	}
	if (end != 0)
		m->header.n = end;
	m->has_header = true;
	m->header_block = *out = buf_str(&m->header);
	note_header(m->mailbox, out->n);
	return 0;
}

bool
msg_header_is_cut(const struct msg *m)
{
	return m->header_is_cut;
}
