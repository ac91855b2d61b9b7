/* SPDX-License-Identifier: ISC */
/*
 * uidlist.c - reads and writes "dovecot-uidlist".
 *
 * Owns:    the file, while it holds dovecot-uidlist.lock.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the file; a damaged line costs that line.
 * Spec:    formats.md 2.1 to 2.6; RFC 3501 section 2.3.1.1.
 *
 * Invariants of the file:
 *  1. It changes only under the lock: whole lines appended to a file that ends
 *     in LF, or a new file renamed over it.
 *  2. UIDs ascend, none is ever given twice: uidnext = max(N, last UID + 1).
 *  3. A record is on disk (fdatasync) before a client hears its UID.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/vec.h"
#include "store/maildir/uidlist.h"
#include "text/ascii.h"

#define STALE_S 120
#define UID_MAX UINT32_C(4294967294)
#define TEMP_FILE UIDLIST_FILE ".tmp"

/* ---- parsing ------------------------------------------------------------- */

static bool
parse_v3_header(struct uidlist_head *h, struct str rest)
{
	struct str field;
	bool has_next = false;

	while (str_next(&rest, ' ', &field)) {
		struct str value = str_skip(field, 1);

		if (field.n == 0)
			continue;
		if (field.p[0] == 'V') {
			if (!num_parse_u32(
				value, 1, UINT32_MAX, &h->uidvalidity))
				return false;
		} else if (field.p[0] == 'N') {
			if (!num_parse_u32(value, 1, UINT32_MAX, &h->uidnext))
				return false;
			has_next = true;
		} else if (field.p[0] == 'G' && value.n == 32) {
			memcpy(h->guid, value.p, 32);
			for (size_t i = 0; i < 32; i++)
				if (!ascii_is_hex(value.p[i]))
					h->guid[0] = '\0';
		} else {
			size_t n = strlen(h->other);

			if (n + 1 + field.n < sizeof(h->other)) {
				h->other[n] = ' ';
				memcpy(h->other + n + 1, field.p, field.n);
			}
		}
	}
	return h->uidvalidity != 0 && has_next;
}

static bool
parse_header(struct uidlist_head *h, struct str line)
{
	struct str version, value;

	*h = (struct uidlist_head){0};
	(void)str_cut(&line, ' ', &version);
	if (str_eq(version, STR("3"))) {
		if (!parse_v3_header(h, line))
			return false;
		h->version = 3;
		return true;
	}
	if (!str_eq(version, STR("1")) && !str_eq(version, STR("2")))
		return false;
	if (!str_cut(&line, ' ', &value) ||
	    !num_parse_u32(value, 1, UINT32_MAX, &h->uidvalidity) ||
	    !num_parse_u32(str_head(line, str_find(line, ' ')), 1, UINT32_MAX,
		&h->uidnext))
		return false;
	h->version = version.p[0] == '1' ? 1 : 2;
	return true;
}

/* "UID SP fields SP :base", or "UID [SP flags] SP base" of old versions. */
static bool
parse_record(unsigned version, struct str line, uint32_t *uid,
    struct str *fields, struct str *base)
{
	struct str rest = line, head;

	if (!str_cut(&rest, ' ', &head) ||
	    !num_parse_u32(head, 1, UID_MAX, uid))
		return false;
	*fields = str_make(rest.p, 0);
	if (version == 2 && !str_cut(&rest, ' ', &head))
		return false;
	if (version == 3) {
		const char *start = rest.p;

		while (rest.n > 0 && *rest.p != ':')
			if (!str_cut(&rest, ' ', &head))
				return false;
		if (rest.n == 0)
			return false;
		*fields = str_trim(str_make(start, (size_t)(rest.p - start)));
		rest = str_skip(rest, 1);
	}
	*base = str_head(rest, str_find(rest, ':'));
	return base->n > 0 && base->n <= 255 && base->p[0] != '.' &&
	    memchr(base->p, '/', base->n) == NULL &&
	    memchr(base->p, '\0', base->n) == NULL &&
	    memchr(base->p, '\r', base->n) == NULL;
}

/* A torn line may begin with an UID that was given: it is not given again. */
static void
note_torn(struct uidlist_head *h, struct str line)
{
	uint64_t uid;

	if (num_cut_u64(&line, UID_MAX, &uid) && uid >= h->uidnext &&
	    uid < h->uidnext + UINT64_C(1000000))
		h->uidnext = (uint32_t)uid + 1;
}

static void
note_record(struct uidlist_head *h, uint32_t uid)
{
	h->n_records++;
	if (uid > h->last_uid)
		h->last_uid = uid;
	if (uid >= h->uidnext)
		h->uidnext = uid + 1;
}

enum uidlist_verdict
uidlist_parse(struct uidlist_head *h, struct str bytes, bool is_start,
    bool lenient, uidlist_record_fn *fn, void *arg, size_t *used,
    unsigned *line_no)
{
	struct str line, text, fields, base;
	uint32_t uid;

	*used = 0;
	*line_no = 0;
	for (; *used < bytes.n; *used += line.n + 1) {
		line = str_skip(bytes, *used);
		line = str_head(line, str_find(line, '\n'));
		if (*used + line.n == bytes.n) {
			if (is_start && *line_no == 0)
				return UIDLIST_BROKEN;
			note_torn(h, line);
			return UIDLIST_TORN;
		}
		++*line_no;
		/* Somebody's editor may have ended lines with CR LF. */
		text = str_ends(line, STR("\r")) ? str_head(line, line.n - 1)
						 : line;
		if (is_start && *line_no == 1) {
			if (!parse_header(h, text))
				return UIDLIST_BROKEN;
			fn(arg, 0, text, text);
			continue;
		}
		if (!parse_record(h->version, text, &uid, &fields, &base) ||
		    (!lenient && uid <= h->last_uid)) {
			if (!lenient)
				return UIDLIST_BROKEN;
			continue;
		}
		note_record(h, uid);
		fn(arg, uid, base, fields);
	}
	return bytes.n == 0 && is_start ? UIDLIST_BROKEN : UIDLIST_FINE;
}

bool
uidlist_field(struct str *fields, char *key, struct str *value)
{
	struct str field;

	while (str_next(fields, ' ', &field)) {
		if (field.n == 0)
			continue;
		*key = field.p[0];
		*value = str_skip(field, 1);
		return true;
	}
	return false;
}

/* ---- the file ------------------------------------------------------------ */

void
uidlist_init(
    struct uidlist *l, int dirfd, int tmp_dirfd, const struct file_perm *perm)
{
	*l = (struct uidlist){
	    .dirfd = dirfd,
	    .perm = perm,
	    .rules =
		{
		    .stale_s = STALE_S,
		    .mode = perm->file_mode,
		    .temp_dir = tmp_dirfd,
		},
	};
}

void
uidlist_done(struct uidlist *l)
{
	uidlist_read_end(l);
	uidlist_unlock(l);
	dotlock_rest(&l->lock);
}

int
uidlist_lock(struct uidlist *l, int64_t wait_ms, struct err *e)
{
	if (dotlock_take(
		&l->lock, l->dirfd, UIDLIST_FILE, &l->rules, wait_ms, e) == -1)
		return -1;
	/* What a session is in the midst of reading is from before. */
	uidlist_read_end(l);
	return 0;
}

void
uidlist_unlock(struct uidlist *l)
{
	if (l->lock.held && l->was_written && l->written != NULL)
		l->written(l->arg);
	l->was_written = false;
	dotlock_release(&l->lock);
}

bool
uidlist_has_changed(const struct uidlist *l)
{
	struct file_stamp now;

	return !file_stamp_at(l->dirfd, UIDLIST_FILE, &now) ||
	    !file_stamp_eq(&now, &l->stamp);
}

/* Only appended to since we read it? */
static bool
is_longer(const struct uidlist *l, int fd, const struct stat *st)
{
	return l->stamp.ino == st->st_ino && l->stamp.dev == st->st_dev &&
	    l->read_to > 0 && (uint64_t)st->st_size >= l->read_to &&
	    st->st_size != l->stamp.size && l->tail.end == l->read_to &&
	    file_tail_is_there(&l->tail, fd);
}

bool
uidlist_is_longer(const struct uidlist *l)
{
	struct stat st;
	struct err e;
	int fd = file_open(l->dirfd, UIDLIST_FILE, &st, &e);
	bool ok = fd != -1 && is_longer(l, fd, &st);

	if (fd != -1)
		close(fd);
	return ok;
}

static void
ignore_record(void *arg, uint32_t uid, struct str base, struct str fields)
{
	(void)arg;
	(void)uid;
	(void)base;
	(void)fields;
}

#define LOAD_PIECE (1024 * 1024)
#define PARSE_PIECE (128 * 1024)

struct uidlist_reading {
	int fd;
	struct stat st;
	struct buf b;
	uint64_t from; /* where in the file `b` begins */
	bool is_loaded, is_checked;
	size_t at; /* parsed so far */
	unsigned line;
	struct uidlist_head head;
	enum uidlist_verdict verdict;
};

void
uidlist_read_end(struct uidlist *l)
{
	struct uidlist_reading *r = l->reading;

	l->reading = NULL;
	if (r == NULL)
		return;
	buf_done(&r->b);
	close(r->fd);
	free(r);
}

static int
read_begin(struct uidlist *l, struct err *e)
{
	struct uidlist_reading *r;
	struct stat st;
	int fd = file_open(l->dirfd, UIDLIST_FILE, &st, e);

	if (fd == -1) {
		if (e->code == ERR_NOT_FOUND)
			l->stamp = (struct file_stamp){0};
		return -1;
	}
	r = l->reading = mem_new(1, sizeof(*r));
	r->fd = fd;
	r->st = st;
	r->from = is_longer(l, fd, &st) ? l->read_to : 0;
	r->head = l->head;
	buf_init(&r->b, UIDLIST_MAX_BYTES);
	if ((uint64_t)st.st_size > r->from &&
	    (uint64_t)st.st_size < UIDLIST_MAX_BYTES)
		(void)buf_room(
		    &r->b, (size_t)((uint64_t)st.st_size - r->from) + 1);
	return 0;
}

static int
load_piece(struct uidlist_reading *r, struct err *e)
{
	uint64_t at = r->from + r->b.n, size = (uint64_t)r->st.st_size;
	size_t got, n = LOAD_PIECE;
	char *room;

	/* One byte more than there should be, to see the end at once. */
	if (at <= size && size - at < LOAD_PIECE)
		n = (size_t)(size - at) + 1;
	room = buf_room(&r->b, n);

	if (room == NULL)
		return err_set(e, ERR_LIMIT, "%s: too large", UIDLIST_FILE);
	if (file_read_at(r->fd, at, room, n, &got, e) == -1)
		return -1;
	r->b.n += got;
	r->is_loaded = got < n;
	return 0;
}

/* Whole lines; at the end what there is. */
static struct str
next_piece(const struct uidlist_reading *r)
{
	struct str rest = str_skip(buf_str(&r->b), r->at), tail;
	size_t n;

	if (rest.n <= PARSE_PIECE)
		return rest;
	tail = str_skip(rest, PARSE_PIECE);
	n = str_find(tail, '\n');
	return n == tail.n ? rest : str_head(rest, PARSE_PIECE + n + 1);
}

/* One piece; true: that was the last, or the file is broken. */
static bool
parse_piece(struct uidlist_reading *r, struct uidlist_head *h,
    uidlist_record_fn *fn, void *arg)
{
	struct str piece = next_piece(r);
	bool is_start = r->from == 0 && r->at == 0;
	size_t used;
	unsigned line;

	r->verdict =
	    uidlist_parse(h, piece, is_start, false, fn, arg, &used, &line);
	r->at += used;
	r->line += line;
	return r->verdict != UIDLIST_FINE || r->at == r->b.n;
}

static int
read_broken(struct uidlist *l, struct err *e)
{
	l->is_broken = true;
	l->stamp = (struct file_stamp){0};
	l->read_to = 0;
	return err_set(e, ERR_CORRUPT, "%s: broken line %u", UIDLIST_FILE,
	    l->reading->line);
}

static void
read_finish(struct uidlist *l)
{
	struct uidlist_reading *r = l->reading;

	l->is_torn = r->verdict == UIDLIST_TORN;
	l->is_broken = false;
	l->stamp = file_stamp_of(&r->st);
	l->stamp.size = (off_t)(r->from + r->b.n);
	l->read_to = r->from + r->at;
	file_tail_take(&l->tail, buf_str(&r->b), r->from, l->read_to);
	uidlist_read_end(l);
}

/* First without telling: of a broken file nothing counts. */
static enum step
read_piece(struct uidlist *l, uidlist_record_fn *fn, void *arg, struct err *e)
{
	struct uidlist_reading *r = l->reading;

	if (!r->is_loaded)
		return load_piece(r, e) == -1 ? STEP_FAIL : STEP_MORE;
	if (r->is_checked) {
		if (!parse_piece(r, &l->head, fn, arg))
			return STEP_MORE;
		read_finish(l);
		return STEP_DONE;
	}
	if (!parse_piece(r, &r->head, ignore_record, NULL))
		return STEP_MORE;
	if (r->verdict == UIDLIST_BROKEN) {
		(void)read_broken(l, e);
		return STEP_FAIL;
	}
	r->is_checked = true;
	r->at = 0;
	r->line = 0;
	return STEP_MORE;
}

enum step
uidlist_read_some(struct uidlist *l, uidlist_record_fn *fn, void *arg,
    int64_t until_ms, struct err *e)
{
	enum step step;

	if (l->reading == NULL && read_begin(l, e) == -1)
		return STEP_FAIL;
	do
		step = read_piece(l, fn, arg, e);
	while (step == STEP_MORE && clock_mono_ms() < until_ms);
	if (step == STEP_FAIL)
		uidlist_read_end(l);
	return step;
}

int
uidlist_read(struct uidlist *l, uidlist_record_fn *fn, void *arg, struct err *e)
{
	return uidlist_read_some(l, fn, arg, INT64_MAX, e) == STEP_DONE ? 0
									: -1;
}

/* ---- writing ------------------------------------------------------------- */

static void
add_guid(struct uidlist_head *h)
{
	unsigned char bytes[16];

	if (h->guid[0] != '\0')
		return;
	ASSERT(getrandom(bytes, sizeof(bytes), 0) == sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		(void)snprintf(h->guid + i * 2, 3, "%02x", bytes[i]);
}

static void
put_header(struct buf *b, const struct uidlist_head *h)
{
	(void)buf_addf(b, "3 V%u N%u G%s%s\n", h->uidvalidity, h->uidnext,
	    h->guid, h->other);
}

static void
put_record(struct buf *b, uint32_t uid, struct str fields, struct str base)
{
	(void)buf_add_u64(b, uid);
	(void)buf_add_byte(b, ' ');
	if (fields.n > 0) {
		(void)buf_add_str(b, fields);
		(void)buf_add_byte(b, ' ');
	}
	(void)buf_add_byte(b, ':');
	(void)buf_add_str(b, base);
	(void)buf_add_byte(b, '\n');
}

/* Room at once, rather than to double it time and again. */
static void
reserve(struct buf *b, size_t size, const struct uidlist_new *v, size_t n)
{
	size += 256; /* a header */
	for (size_t i = 0; i < n; i++)
		size += v[i].base.n + v[i].fields.n + sizeof("4294967295  :\n");
	if (size < UIDLIST_MAX_BYTES)
		(void)buf_room(b, size);
}

struct copying {
	const struct uidlist *l;
	struct buf *out;
	uidlist_keep_fn *keep;
	void *arg;
	uint32_t n;
};

static void
copy_record(void *arg, uint32_t uid, struct str base, struct str fields)
{
	struct copying *c = arg;

	if (uid == 0 || (c->keep != NULL && !c->keep(c->arg, uid, base)))
		return;
	if (c->l->fields != NULL) {
		struct str own = c->l->fields(c->l->arg, uid);

		if (own.n > 0)
			fields = own;
	}
	put_record(c->out, uid, fields, base);
	c->n++;
}

static int
save(struct uidlist *l, struct buf *b, uint32_t n_records, struct err *e)
{
	if (buf_is_over(b))
		return err_set(e, ERR_LIMIT, "%s: too large", UIDLIST_FILE);
	if (!dotlock_is_ours(&l->lock))
		return err_set(e, ERR_IN_USE, "%s: lock lost", UIDLIST_FILE);
	if (file_replace(l->dirfd, UIDLIST_FILE, TEMP_FILE, buf_str(b), l->perm,
		&l->stamp, e) == -1)
		return -1;
	l->was_written = true;
	l->read_to = b->n;
	file_tail_take(&l->tail, buf_str(b), 0, b->n);
	l->head.version = 3;
	l->head.n_records = n_records;
	l->is_torn = l->is_broken = l->must_rewrite = l->is_planned = false;
	return file_sync(l->dirfd, "folder", e);
}

int
uidlist_rewrite(struct uidlist *l, const struct uidlist_new *v, size_t n,
    uidlist_keep_fn *keep, void *arg, struct err *e)
{
	struct uidlist_head head = l->head, parsed;
	struct buf old, out;
	struct copying c = {l, &out, keep, arg, 0};
	size_t used;
	unsigned line;
	int rc = -1;

	buf_init(&old, UIDLIST_MAX_BYTES);
	buf_init(&out, UIDLIST_MAX_BYTES);
	if (file_load(l->dirfd, UIDLIST_FILE, &old, NULL, e) == -1 &&
	    e->code != ERR_NOT_FOUND)
		goto out;
	for (size_t i = 0; i < n; i++)
		note_record(&head, v[i].uid);
	add_guid(&head);
	reserve(&out, old.n, v, n);
	put_header(&out, &head);
	if (old.n > 0)
		(void)uidlist_parse(&parsed, buf_str(&old), true, true,
		    copy_record, &c, &used, &line);
	for (size_t i = 0; i < n; i++)
		put_record(&out, v[i].uid, v[i].fields, v[i].base);
	rc = save(l, &out, c.n + (uint32_t)n, e);
	if (rc == 0) {
		head.version = 3;
		head.n_records = c.n + (uint32_t)n;
		l->head = head;
	}
out:
	buf_done(&old);
	buf_done(&out);
	return rc;
}

/* One write of whole lines; what did not get on disk whole is cut off. */
static int
append(struct uidlist *l, const struct uidlist_new *v, size_t n, struct err *e)
{
	struct buf b;
	struct stat st;
	int fd, rc = -1;

	fd = file_open_append(l->dirfd, UIDLIST_FILE, &st, e);
	if (fd == -1)
		return -1;
	buf_init(&b, UIDLIST_MAX_BYTES);
	if (st.st_ino != l->stamp.ino || st.st_size != l->stamp.size) {
		(void)err_set(
		    e, ERR_IN_USE, "%s: changed under the lock", UIDLIST_FILE);
		goto out;
	}
	for (size_t i = 0; i < n; i++)
		put_record(&b, v[i].uid, v[i].fields, v[i].base);
	if (buf_is_over(&b)) {
		(void)err_set(e, ERR_LIMIT, "%s: too large", UIDLIST_FILE);
		goto out;
	}
	if (file_write(fd, buf_str(&b), e) == -1 ||
	    file_sync_data(fd, UIDLIST_FILE, e) == -1) {
		if (ftruncate(fd, st.st_size) == -1 || fdatasync(fd) == -1)
			l->must_rewrite = true;
		l->stamp = (struct file_stamp){0};
		l->read_to = 0;
		goto out;
	}
	l->was_written = true;
	for (size_t i = 0; i < n; i++)
		note_record(&l->head, v[i].uid);
	if (fstat(fd, &st) == 0)
		l->stamp = file_stamp_of(&st);
	file_tail_take(&l->tail, buf_str(&b), l->read_to, l->read_to + b.n);
	l->read_to += b.n;
	rc = 0;
out:
	buf_done(&b);
	close(fd);
	return rc;
}

int
uidlist_add(struct uidlist *l, const struct uidlist_new *v, size_t n,
    uint32_t n_dead, uidlist_keep_fn *keep, void *arg, bool *rewritten,
    struct err *e)
{
	ASSERT(l->lock.held);
	*rewritten = l->must_rewrite || l->is_torn || l->head.version != 3 ||
	    l->head.guid[0] == '\0' ||
	    (n_dead > 8 && n_dead >= l->head.n_records / 4);
	if (*rewritten)
		return uidlist_rewrite(l, v, n, keep, arg, e);
	return n == 0 ? 0 : append(l, v, n, e);
}

void
uidlist_plan(struct uidlist *l, uint32_t uidvalidity)
{
	ASSERT(l->lock.held);
	l->head = (struct uidlist_head){
	    .version = 3,
	    .uidvalidity = uidvalidity,
	    .uidnext = 1,
	};
	memcpy(l->head.guid, l->guid, sizeof(l->head.guid));
	add_guid(&l->head);
	l->must_rewrite = l->is_planned = true;
}

void
uidlist_unplan(struct uidlist *l)
{
	l->head = (struct uidlist_head){0};
	l->must_rewrite = l->is_planned = false;
}

int
uidlist_create(struct uidlist *l, uint32_t uidvalidity, uint32_t uidnext,
    const struct uidlist_new *v, size_t n, struct err *e)
{
	struct buf out;
	int rc;

	ASSERT(l->lock.held);
	l->head = (struct uidlist_head){
	    .version = 3,
	    .uidvalidity = uidvalidity,
	    .uidnext = uidnext,
	};
	for (size_t i = 0; i < n; i++)
		note_record(&l->head, v[i].uid);
	memcpy(l->head.guid, l->guid, sizeof(l->head.guid));
	add_guid(&l->head);
	buf_init(&out, UIDLIST_MAX_BYTES);
	put_header(&out, &l->head);
	for (size_t i = 0; i < n; i++)
		put_record(&out, v[i].uid, v[i].fields, v[i].base);
	rc = save(l, &out, (uint32_t)n, e);
	buf_done(&out);
	return rc;
}

struct saved {
	uint32_t uid;
	size_t order; /* in the file */
	struct str base, fields;
};

struct saving {
	VEC(struct saved) v;
};

static void
save_record(void *arg, uint32_t uid, struct str base, struct str fields)
{
	struct saving *s = arg;
	size_t order = s->v.n;

	if (uid != 0)
		*VEC_ADD(&s->v) = (struct saved){uid, order, base, fields};
}

static int
by_uid(const void *a, const void *b)
{
	const struct saved *x = a, *y = b;

	if (x->uid != y->uid)
		return x->uid < y->uid ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Writes the records in the order of their UIDs, each UID once. */
static int
save_sorted(struct uidlist *l, struct saving *saving, struct err *e)
{
	struct buf out;
	uint32_t n = 0, last = 0;
	int rc;

	if (saving->v.n > 0)
		qsort(saving->v.v, saving->v.n, sizeof(*saving->v.v), by_uid);
	buf_init(&out, UIDLIST_MAX_BYTES);
	add_guid(&l->head);
	put_header(&out, &l->head);
	VEC_EACH(&saving->v, r) {
		if (r->uid == last)
			continue;
		last = r->uid;
		put_record(&out, r->uid, r->fields, r->base);
		n++;
	}
	rc = save(l, &out, n, e);
	l->stamp = (struct file_stamp){0}; /* read it anew */
	l->read_to = 0;
	buf_done(&out);
	return rc;
}

int
uidlist_import(struct uidlist *l, struct str bytes, uidlist_base_fn *fields,
    void *arg, struct err *e)
{
	struct uidlist_head head = {0};
	struct saving saving = {0};
	size_t used;
	unsigned line;
	int rc;

	ASSERT(l->lock.held);
	(void)uidlist_parse(
	    &head, bytes, true, true, save_record, &saving, &used, &line);
	if (head.version == 0) {
		rc = err_set(e, ERR_CORRUPT, "no header");
	} else {
		VEC_EACH(&saving.v, r)
			r->fields = fields(arg, r->base);
		l->head = head;
		rc = save_sorted(l, &saving, e);
	}
	VEC_DONE(&saving.v);
	return rc;
}

/* ---- repair -------------------------------------------------------------- */

/* Gives the broken file another name; its bytes stay for a person to see. */
static int
set_aside(struct uidlist *l, struct err *e)
{
	char name[80];

	(void)snprintf(name, sizeof(name), "%s.broken.%lld", UIDLIST_FILE,
	    (long long)clock_wall_s());
	(void)unlinkat(l->dirfd, name, 0);
	if (linkat(l->dirfd, UIDLIST_FILE, l->dirfd, name, 0) == -1)
		return err_sys(e, "link %s", name);
	return 0;
}

int
uidlist_repair(struct uidlist *l, char told[200], struct err *e)
{
	struct uidlist_head head = {0};
	struct saving saving = {0};
	struct buf old;
	size_t used;
	unsigned line;
	int rc = -1;

	ASSERT(l->lock.held);
	buf_init(&old, UIDLIST_MAX_BYTES);
	if (file_load(l->dirfd, UIDLIST_FILE, &old, NULL, e) == -1 ||
	    set_aside(l, e) == -1)
		goto out;
	(void)uidlist_parse(&head, buf_str(&old), true, true, save_record,
	    &saving, &used, &line);
	if (head.version == 0) {
		(void)unlinkat(l->dirfd, UIDLIST_FILE, 0);
		l->stamp = (struct file_stamp){0};
		l->read_to = 0;
		(void)snprintf(told, 200, "unreadable, set aside");
		(void)err_set(e, ERR_CORRUPT, "%s: no header", UIDLIST_FILE);
		goto out;
	}
	l->head = head;
	rc = save_sorted(l, &saving, e);
	(void)snprintf(told, 200, "was broken, %zu records kept", saving.v.n);
out:
	VEC_DONE(&saving.v);
	buf_done(&old);
	return rc;
}
