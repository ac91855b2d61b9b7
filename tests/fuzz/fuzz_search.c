/* SPDX-License-Identifier: ISC */
/*
 * fuzz_search.c - SEARCH: keys and a message by the fuzzer. The matcher, which
 * reads in pieces and stops as soon as it can, against one that looks at
 * everything.
 *
 * Input: a byte that says how short reads are, two with the message's length,
 * the message, then what stands behind "SEARCH ".
 *
 * Owns:    nothing; view and message are played by the target.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "imap/imap_lex.h"
#include "imap/imap_set.h"
#include "imapd/modseq.h"
#include "imapd/search_arg.h"
#include "imapd/session.h"
#include "mime/body.h"
#include "mime/date822.h"
#include "mime/header.h"
#include "search/filtermake.h"
#include "search/match.h"
#include "store/msg.h"
#include "store/object.h"
#include "store/view_modseq.h"
#include "text/fold.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UID 7
#define DATE INT64_C(1700000000)
#define SAVED INT64_C(1700100000)
#define MODSEQ 1000
#define EMAIL_ID "Mabc"
#define THREAD_ID "Tabc"
#define SYSTEM (FLAG_SEEN | FLAG_RECENT)

static struct {
	struct str bytes;
	struct arena arena;
	struct part *root;
	size_t piece;
} mail;

/* What the index has; empty: nothing. */
static struct {
	struct set32 uids;
	struct buf headkeys, filter;
	bool has_known;
} known;

static void
need(bool cond)
{
	if (!cond)
		abort();
}

/* ---- view and message ------------------------------------------------------ */

uint32_t
view_count(UNUSED struct view *v)
{
	return 1;
}

struct mailbox *
view_mailbox(UNUSED struct view *v)
{
	return NULL;
}

bool
mailbox_keyword_find(
    UNUSED const struct mailbox *m, struct str name, size_t *number)
{
	*number = str_eq_nocase(name, STR("x")) ? 3 : 4;
	return *number == 3 || str_eq_nocase(name, STR("y"));
}

bool
view_flags(UNUSED struct view *v, uint32_t uid, struct flags *out)
{
	*out = (struct flags){.system = SYSTEM, .keywords = 1 << 3};
	return uid == UID;
}

bool
session_parse_set_as(
    UNUSED struct cmd *c, struct str text, bool uid, struct set32 *uids)
{
	struct set32 numbers;
	bool ok;

	set32_init(&numbers);
	ok = imap_set_parse(text, uid ? UID : 1, 100, &numbers) &&
	    (uid || numbers.n == 0 || numbers.r[numbers.n - 1].last <= 1);
	if (ok && set32_has(&numbers, uid ? UID : 1))
		set32_add(uids, UID);
	set32_done(&numbers);
	return ok;
}

const struct set32 *
view_uids(UNUSED struct view *v)
{
	return &known.uids;
}

bool
view_fact(UNUSED struct view *v, uint32_t uid, enum index_slot slot,
    struct str *value)
{
	need(uid == UID && slot == INDEX_HEADKEYS);
	*value = buf_str(&known.headkeys);
	return value->n > 0;
}

bool
view_filter(UNUSED struct view *v, uint32_t uid, struct str *record)
{
	need(uid == UID);
	*record = buf_str(&known.filter);
	return record->n > 0;
}

void
view_keep_fact(
    UNUSED struct view *v, uint32_t uid, enum index_slot slot, struct str value)
{
	need(uid == UID && slot == INDEX_HEADKEYS && known.headkeys.n == 0);
	buf_add_str(&known.headkeys, value);
}

struct msg {
	unsigned looks;
};

int
msg_open(
    UNUSED struct view *v, uint32_t uid, struct msg **out, UNUSED struct err *e)
{
	need(uid == UID);
	*out = mem_new(1, sizeof(**out));
	return 0;
}

void
msg_close(struct msg **m)
{
	free(*m);
	*m = NULL;
}

uint32_t
msg_uid(UNUSED const struct msg *m)
{
	return UID;
}

enum step
msg_load_step(UNUSED struct msg *m, UNUSED size_t first, UNUSED struct err *e)
{
	return STEP_DONE;
}

enum step
msg_seek(UNUSED struct msg *m, UNUSED uint64_t off, UNUSED struct err *e)
{
	return STEP_DONE;
}

enum step
msg_ready(UNUSED struct msg *m, UNUSED struct err *e)
{
	return STEP_DONE;
}

enum step
view_freshen(UNUSED struct view *v, UNUSED const struct set32 *uids,
    UNUSED uint32_t from)
{
	return STEP_DONE;
}

uint64_t
view_modseq(UNUSED struct view *v, UNUSED uint32_t uid)
{
	return MODSEQ;
}

bool
view_save_date(UNUSED struct view *v, UNUSED uint32_t uid, int64_t *out)
{
	*out = SAVED;
	return true;
}

enum step
msg_email_id(
    UNUSED struct msg *m, char out[OBJECT_ID_MAX], UNUSED struct err *e)
{
	(void)str_to_c(str_of(EMAIL_ID), out, OBJECT_ID_MAX);
	return STEP_DONE;
}

enum step
msg_thread_id(
    UNUSED struct msg *m, char out[OBJECT_ID_MAX], UNUSED struct err *e)
{
	(void)str_to_c(str_of(THREAD_ID), out, OBJECT_ID_MAX);
	return STEP_DONE;
}

void
modseq_enable(struct session *s)
{
	s->condstore = true;
}

bool
modseq_arg(const struct imap_arg **a, uint64_t min, uint64_t *out)
{
	const struct imap_arg *at = *a;

	if (!imap_arg_u64(&at, out) || *out < min || *out > INT64_MAX)
		return false;
	*a = at;
	return true;
}

int
msg_load_all(UNUSED struct msg *m, UNUSED struct err *e)
{
	return 0;
}

int
msg_internal_date(UNUSED struct msg *m, int64_t *out, UNUSED struct err *e)
{
	*out = DATE;
	return 0;
}

static uint64_t
wire_size(void)
{
	uint64_t n = mail.bytes.n;

	for (size_t i = 0; i < mail.bytes.n; i++)
		n += mail.bytes.p[i] == '\n' &&
		    (i == 0 || mail.bytes.p[i - 1] != '\r');
	return n;
}

bool
view_known(UNUSED struct view *v, uint32_t uid, struct msg_known *out)
{
	need(uid == UID);
	*out = (struct msg_known){
	    .has_size = true,
	    .has_date = mail.piece % 2 == 0,
	    .wire_size = wire_size(),
	    .date_s = DATE,
	};
	return known.has_known;
}

bool
view_known_next(struct view *v, uint32_t uid, UNUSED struct view_run *run,
    struct msg_known *out)
{
	return view_known(v, uid, out);
}

bool
msg_at_hand(struct msg *m, uint64_t off, size_t n, struct str *out)
{
	if (mail.piece % 3 == 0)
		return false;
	m->looks |= 2;
	*out = str_head(str_skip(mail.bytes, (size_t)off), n);
	return true;
}

/* Two calls, so that the matcher comes back to its facts. */
enum step
msg_wire_size_bounds(struct msg *m, uint64_t limit, uint64_t *low,
    uint64_t *high, UNUSED struct err *e)
{
	uint64_t size = wire_size();
	bool was = (m->looks & 1) != 0;

	m->looks |= 1;
	/* No more than that it is above, or below. */
	*low = size > limit ? limit + 1 : size;
	*high = size > limit ? UINT64_MAX : size;
	if (size > 0 && size < limit) {
		*low = 0;
		*high = limit - 1;
	}
	return was ? STEP_DONE : STEP_MORE;
}

static struct str
header(void)
{
	return str_head(mail.bytes, (size_t)mail.root->body_off);
}

int
msg_header(UNUSED struct msg *m, struct str *out, UNUSED struct err *e)
{
	*out = header();
	return 0;
}

bool
msg_header_is_cut(UNUSED const struct msg *m)
{
	return mail.piece % 5 == 0; /* then the header is not believed */
}

int
msg_size(UNUSED struct msg *m, uint64_t *out, UNUSED struct err *e)
{
	*out = mail.bytes.n;
	return 0;
}

int
msg_read(UNUSED struct msg *m, uint64_t off, void *p, size_t n, size_t *got,
    UNUSED struct err *e)
{
	struct str s = str_skip(mail.bytes, (size_t)off);

	s = str_head(str_head(s, n), mail.piece);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	*got = s.n;
	return 0;
}

/* ---- the reference --------------------------------------------------------- */

static bool
holds(struct str hay, struct str needle)
{
	struct buf h, n;
	bool found;

	buf_init(&h, 1 << 26);
	buf_init(&n, 1 << 26);
	(void)fold_unicode(&h, hay);
	(void)fold_unicode(&n, needle);
	found = n.n == 0 || (h.n > 0 && memmem(h.p, h.n, n.p, n.n) != NULL);
	buf_done(&h);
	buf_done(&n);
	return found;
}

/* HEADER: that field alone; name NULL: every field with its name, and lines
 * that are no fields. */
static bool
fields_hold(struct str block, const struct str *name, struct str needle)
{
	struct header_iter it;
	struct header_field f;
	struct buf text;
	bool found = false;

	header_iter_init(&it, block);
	buf_init(&text, 1 << 26);
	while (!found &&
	    (name != NULL ? header_iter_next(&it, &f)
			  : header_iter_next_any(&it, &f))) {
		struct str value = header_decode(&mail.arena,
		    f.name.n > 0 ? f.value : header_line_content(f.raw));

		buf_clear(&text);
		if (name != NULL && !str_eq_nocase(f.name, *name))
			continue;
		if (name == NULL && f.name.n > 0) {
			buf_add_str(&text, f.name);
			buf_add_c(&text, ": ");
		}
		buf_add_str(&text, value);
		found = (name != NULL && needle.n == 0) ||
		    holds(buf_str(&text), needle);
	}
	buf_done(&text);
	return found;
}

static bool
text_holds(const struct part *p, struct str needle)
{
	struct body_decoder *d = body_decoder_new(p, BODY_TEXT);
	struct str body = str_head(
	    str_skip(mail.bytes, (size_t)p->body_off), (size_t)p->body_len);
	struct buf text;
	bool found;

	buf_init(&text, 1 << 26);
	(void)body_decoder_feed(d, body, &text);
	(void)body_decoder_finish(d, &text);
	body_decoder_free(&d);
	found = holds(buf_str(&text), needle);
	buf_done(&text);
	return found;
}

static bool
part_holds(const struct part *p, bool is_text, struct str needle)
{
	struct str block = str_head(
	    str_skip(mail.bytes, (size_t)p->header_off), (size_t)p->header_len);

	if ((is_text || (p->parent != NULL && p->parent->is_message)) &&
	    fields_hold(block, NULL, needle))
		return true;
	if (p->child == NULL &&
	    (str_eq_nocase(p->type, STR("text")) ||
		str_eq_nocase(p->type, STR("message"))) &&
	    text_holds(p, needle))
		return true;
	for (p = p->child; p != NULL; p = p->next)
		if (part_holds(p, is_text, needle))
			return true;
	return false;
}

static bool
is_true(const struct query *q)
{
	const int64_t day = DATE / 86400;
	struct header_field f;
	struct date822 sent;
	bool has_sent;

	switch (q->key) {
	case QUERY_ALL:
		return true;
	case QUERY_NEVER:
		return false;
	case QUERY_AND:
		for (q = q->child; q != NULL; q = q->next)
			if (!is_true(q))
				return false;
		return true;
	case QUERY_OR:
		for (q = q->child; q != NULL; q = q->next)
			if (is_true(q))
				return true;
		return false;
	case QUERY_NOT:
		return !is_true(q->child);
	case QUERY_UIDS:
		return set32_has(q->uids, UID);
	case QUERY_FLAG:
		return (SYSTEM & q->number) != 0;
	case QUERY_KEYWORD:
		return q->number == 3;
	case QUERY_BEFORE:
		return day < q->number;
	case QUERY_ON:
		return day == q->number;
	case QUERY_SINCE:
		return day >= q->number;
	case QUERY_YOUNGER:
		return DATE >= q->number;
	case QUERY_OLDER:
		return DATE <= q->number;
	case QUERY_LARGER:
		return (int64_t)wire_size() > q->number;
	case QUERY_SMALLER:
		return (int64_t)wire_size() < q->number;
	case QUERY_SAVED_BEFORE:
		return SAVED / 86400 < q->number;
	case QUERY_SAVED_ON:
		return SAVED / 86400 == q->number;
	case QUERY_SAVED_SINCE:
		return SAVED / 86400 >= q->number;
	case QUERY_MODSEQ:
		return MODSEQ >= q->number;
	case QUERY_EMAIL_ID:
		return str_eq(q->text, STR(EMAIL_ID));
	case QUERY_THREAD_ID:
		return str_eq(q->text, STR(THREAD_ID));
	case QUERY_SENT_BEFORE:
	case QUERY_SENT_ON:
	case QUERY_SENT_SINCE:
		has_sent = header_find(header(), STR("date"), &f) &&
		    date822_parse(f.value, &sent);
		if (!has_sent)
			return false;
		if (q->key == QUERY_SENT_ON)
			return sent.local_day == q->number;
		return (sent.local_day < q->number) ==
		    (q->key == QUERY_SENT_BEFORE);
	case QUERY_HEADER:
		return fields_hold(header(), &q->name, q->text);
	case QUERY_BODY:
	case QUERY_TEXT:
		return part_holds(mail.root, q->key == QUERY_TEXT, q->text);
	case QUERY_KEYS:
		break;
	}
	abort();
}

/* ---- the run --------------------------------------------------------------- */

static bool
ask(struct query *q)
{
	struct matcher *m = matcher_new(NULL, q);
	uint32_t uid = 1;
	unsigned steps = 0, n;
	struct set32 of, found;
	enum step step;
	struct err e;
	bool hit, early;

	set32_init(&of);
	set32_init(&found);
	set32_add(&of, UID);
	n = matcher_test_known(m, &of, &uid, 2, &found);
	early = set32_has(&found, UID);
	need(n <= 1 && (n == 0 ? !early : uid == UID + 1));
	set32_done(&of);
	set32_done(&found);
	while ((step = matcher_test(m, UID, &hit, &e)) == STEP_MORE)
		need(++steps < 100000);
	need(step == STEP_DONE);
	need(n == 0 || early == hit);
	matcher_free(&m);
	return hit;
}

/* A filter of all sizes; the least ones let too much through, never too little. */
static void
make_filter(void)
{
	struct filtermake *f = filtermake_new();
	struct msg *m;
	enum step step;
	struct err e;

	(void)msg_open(NULL, UID, &m, &e);
	while ((step = filtermake_step(
		    f, m, mail.piece * 100, &known.filter, &e)) == STEP_MORE)
		;
	need(step == STEP_DONE);
	msg_close(&m);
	filtermake_free(&f);
}

static void
check_known(struct query *q, bool expected)
{
	buf_init(&known.headkeys, 32 * 1024);
	buf_init(&known.filter, 64 * 1024);
	need(ask(q) == expected);
	/* By what that has kept, and then by all that can be. */
	known.has_known = true;
	need(ask(q) == expected);
	make_filter();
	need(ask(q) == expected);
	known.has_known = false;
	buf_clear(&known.headkeys);
	need(ask(q) == expected);
	buf_done(&known.headkeys);
	buf_done(&known.filter);
}

static void
check(struct cmd *c, const struct imap_arg *args)
{
	struct query *q;
	struct set32 bound;
	struct err e;
	bool expected;

	if (search_arg_parse(c, &args, &q) != SEARCH_ARG_OK)
		return;
	expected = is_true(q);
	if (query_plan(q, &e) == 0) {
		/* The order in which keys are asked changes nothing. */
		need(is_true(q) == expected);
		check_known(q, expected);
		set32_init(&bound);
		if (query_bound(q, &bound) && expected)
			need(set32_has(&bound, UID));
		set32_done(&bound);
	}
	query_done(q);
}

/* The arguments behind "a SEARCH ", if they are a line. */
static void
search(struct str line)
{
	static const struct imap_lex_limits limits = {.line_bytes = 4096,
	    .nesting = 32,
	    .args = 200,
	    .literal_bytes = 4096};
	struct session s = {0};
	struct arena a;
	struct cmd c = {.s = &s, .arena = &a};
	struct imap_lex l;
	struct buf b;
	struct str in;
	enum imap_lex_event ev = IMAP_LEX_MORE;
	size_t used;

	arena_init(&a);
	buf_init(&b, 1 << 20);
	buf_add_c(&b, "a SEARCH ");
	buf_add_str(&b, line);
	buf_add_c(&b, "\r\n");
	imap_lex_init(&l);
	imap_lex_begin(&l, &limits, &a);
	for (in = buf_str(&b);
	     in.n > 0 && ev != IMAP_LEX_DONE && ev != IMAP_LEX_BAD;
	     in = str_skip(in, used)) {
		ev = imap_lex_feed(&l, in, &used);
		if (ev == IMAP_LEX_NAME)
			l.utf8 = l.raw8bit = true;
	}
	if (ev == IMAP_LEX_DONE)
		check(&c, l.args);
	imap_lex_done(&l);
	buf_done(&b);
	arena_done(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make(data, size);
	struct part_parser *p;
	size_t n;

	if (size < 4 || size > 8192)
		return 0;
	(void)setenv("TZ", "UTC", 1);
	set32_clear(&known.uids);
	set32_add(&known.uids, UID);
	n = data[1] | (size_t)data[2] << 8;
	in = str_skip(in, 3);
	mail.bytes = str_head(in, n);
	mail.piece = data[0] % 8 == 0 ? 1u << 20 : data[0];
	arena_init(&mail.arena);
	p = part_parser_new(&mail.arena, &mime_limits_default);
	part_parser_feed(p, mail.bytes);
	mail.root = part_parser_finish(p);
	search(str_skip(in, n));
	arena_done(&mail.arena);
	return 0;
}
