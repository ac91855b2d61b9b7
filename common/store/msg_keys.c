/* SPDX-License-Identifier: ISC */
/*
 * msg_keys.c - sort keys, thread keys and previews, and their form in the
 * index.
 *
 * Owns:    the facts INDEX_SUBJECT, INDEX_THREAD, INDEX_PREVIEW.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in a message; no form of what comes from the index.
 * Spec:    RFC 5256 sections 2.1, 2.2, 3; RFC 5957; RFC 8970.
 *
 * Each value begins with its form's version: an empty one is one that is not
 * known.
 */
#include "mime/addr822.h"
#include "mime/date822.h"
#include "mime/encword.h"
#include "mime/header.h"
#include "mime/msgid.h"
#include "mime/preview.h"
#include "mime/subject.h"
#include "store/derived.h"
#include "store/msg_impl.h"
#include "store/msg_keys.h"

#define FORM '\2'
#define TEXT_MAX 1000 /* bytes of one key */
#define REFS_MAX 100
#define PIECE ((size_t)16 * 1024)
#define PREVIEW_LOOK_MAX ((uint64_t)256 * 1024)

/* ---- texts in a value ---------------------------------------------------- */

/* A length of two bytes, then the text, which is cut if need be. */
static void
put_text(struct buf *b, struct str s)
{
	uint16_t n = (uint16_t)(s.n < TEXT_MAX ? s.n : TEXT_MAX);

	/* Not in the middle of a character. */
	while (n < s.n && n > 0 && ((uint8_t)s.p[n] & 0xc0) == 0x80)
		n--;

	(void)buf_add(b, &n, sizeof(n));
	(void)buf_add(b, s.n == 0 ? "" : s.p, n);
}

static bool
take_text(struct arena *a, struct str *from, struct str *out)
{
	uint16_t n;

	if (from->n < sizeof(n))
		return false;
	memcpy(&n, from->p, sizeof(n));
	*from = str_skip(*from, sizeof(n));
	if (from->n < n)
		return false;
	*out = arena_str(a, str_head(*from, n));
	*from = str_skip(*from, n);
	return true;
}

/* ---- sort keys ----------------------------------------------------------- */

struct sort_front {
	char form;
	uint8_t has_date, is_reply, pad[5];
	int64_t sent_s;
};

static void
write_sort_keys(struct buf *b, const struct sort_keys *k)
{
	const struct sort_front f = {
	    .form = FORM,
	    .has_date = k->has_date,
	    .is_reply = k->is_reply,
	    .sent_s = k->sent_s,
	};
	const struct str *texts[] = {
	    &k->subject, &k->from, &k->to, &k->cc, &k->from_name, &k->to_name};

	(void)buf_add(b, &f, sizeof(f));
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		put_text(b, *texts[i]);
}

static bool
parse_sort_keys(struct arena *a, struct str value, struct sort_keys *out)
{
	struct str *texts[] = {&out->subject, &out->from, &out->to, &out->cc,
	    &out->from_name, &out->to_name};
	struct sort_front f;

	if (value.n < sizeof(f))
		return false;
	memcpy(&f, value.p, sizeof(f));
	if (f.form != FORM)
		return false;
	value = str_skip(value, sizeof(f));
	*out = (struct sort_keys){
	    .has_date = f.has_date != 0,
	    .is_reply = f.is_reply != 0,
	    .sent_s = f.sent_s,
	};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (!take_text(a, &value, texts[i]))
			return false;
	return value.n == 0;
}

static struct str
unfolded(struct arena *a, struct str value)
{
	struct str text;

	return header_is_plain(value, &text) ? text : header_unfold(a, value);
}

/* Local part, and what RFC 5957 shows, of the first address of a field. */
static void
first_address(struct arena *a, const struct header_field *f, struct str *local,
    struct str *shown)
{
	struct mime_addr *list = NULL;
	uint32_t max = 1;

	*local = STR("");
	if (shown != NULL)
		*shown = STR("");
	if (f->raw.n == 0)
		return;
	(void)addr822_parse(a, unfolded(a, f->value), &max, &list);
	if (list == NULL || list->mailbox.p == NULL)
		return;
	*local = list->mailbox;
	if (shown == NULL)
		return;
	/* A name may be empty once it is decoded (RFC 5957 section 3). */
	if (list->name.n > 0)
		*shown = header_decode(a, list->name);
	if (shown->n == 0)
		*shown = arena_printf(a, "%.*s@%.*s", STR_ARG(list->mailbox),
		    STR_ARG(list->host));
}

static void
find_sort_keys(struct arena *a, struct str block, struct sort_keys *out)
{
	enum { DATE, SUBJECT, FROM, TO, CC, FIELDS };
	static const struct str names[FIELDS] = {STR_LIT("Date"),
	    STR_LIT("Subject"), STR_LIT("From"), STR_LIT("To"), STR_LIT("Cc")};
	struct header_field f[FIELDS];
	struct date822 date;

	*out = (struct sort_keys){.subject = STR("")};
	header_find_each(block, names, FIELDS, f);
	if (f[DATE].raw.n > 0 &&
	    date822_parse(unfolded(a, f[DATE].value), &date)) {
		out->has_date = true;
		out->sent_s = date.unix_s;
	}
	if (f[SUBJECT].raw.n > 0)
		out->subject = subject_base(
		    a, header_decode(a, f[SUBJECT].value), &out->is_reply);
	first_address(a, &f[FROM], &out->from, &out->from_name);
	first_address(a, &f[TO], &out->to, &out->to_name);
	first_address(a, &f[CC], &out->cc, NULL);
}

int
msg_sort_keys(
    struct msg *m, struct arena *a, struct sort_keys *out, struct err *e)
{
	struct str value, block;
	struct buf b;

	if (derived_get(m->mailbox, m->uid, INDEX_SUBJECT, &value) &&
	    parse_sort_keys(a, value, out))
		return 0;
	if (msg_header(m, &block, e) == -1)
		return -1;
	find_sort_keys(a, block, out);
	buf_init(&b, CACHE_VALUE_MAX);
	write_sort_keys(&b, out);
	if (!buf_is_over(&b)) {
		derived_put(m->mailbox, m->uid, INDEX_SUBJECT, buf_str(&b));
		/* The same when it is known as when it is found. */
		(void)parse_sort_keys(a, buf_str(&b), out);
	}
	buf_done(&b);
	return 0;
}

enum step
msg_keys_ready(struct msg *m, bool for_thread, struct err *e)
{
	struct str value;

	if (derived_get(m->mailbox, m->uid, INDEX_SUBJECT, &value) &&
	    (!for_thread ||
		derived_get(m->mailbox, m->uid, INDEX_THREAD, &value)))
		return STEP_DONE;
	return msg_load_step(m, MSG_FIRST_HEADER, e);
}

/* ---- thread keys --------------------------------------------------------- */

static struct str
first_id(struct arena *a, const struct header_field *f)
{
	struct str value = f->value, id;

	if (f->raw.n == 0)
		return STR("");
	return msgid_next(a, &value, &id) ? id : STR("");
}

/* The ids of References: the first, and the last ones. */
static void
add_refs(struct arena *a, const struct header_field *refs,
    const struct header_field *reply, struct buf *out)
{
	struct str value = refs->value, id;
	VEC(struct str) ids = {0};

	if (refs->raw.n > 0)
		while (msgid_next(a, &value, &id))
			*VEC_ADD(&ids) = id;
	if (ids.n == 0 && (id = first_id(a, reply)).n > 0)
		*VEC_ADD(&ids) = id;
	for (size_t i = 0; i < ids.n; i++) {
		if (i > 0 && i + REFS_MAX <= ids.n)
			continue;
		if (out->n > 0)
			(void)buf_add_byte(out, '\0');
		(void)buf_add_str(out, str_head(ids.v[i], TEXT_MAX));
	}
	VEC_DONE(&ids);
}

int
msg_thread_keys(
    struct msg *m, struct arena *a, struct thread_keys *out, struct err *e)
{
	enum { ID, REFS, REPLY, FIELDS };
	static const struct str names[FIELDS] = {STR_LIT("Message-ID"),
	    STR_LIT("References"), STR_LIT("In-Reply-To")};
	struct header_field f[FIELDS];
	struct str value, block;
	struct buf b, refs;

	if (derived_get(m->mailbox, m->uid, INDEX_THREAD, &value) &&
	    *value.p == FORM) {
		value = str_skip(value, 1);
		if (take_text(a, &value, &out->id)) {
			out->refs = arena_str(a, value);
			return 0;
		}
	}
	if (msg_header(m, &block, e) == -1)
		return -1;
	buf_init(&refs, 1024 * 1024);
	header_find_each(block, names, FIELDS, f);
	add_refs(a, &f[REFS], &f[REPLY], &refs);
	out->id = arena_str(a, str_head(first_id(a, &f[ID]), TEXT_MAX));
	out->refs = arena_str(a, buf_str(&refs));
	buf_init(&b, CACHE_VALUE_MAX);
	(void)buf_add_byte(&b, FORM);
	put_text(&b, out->id);
	(void)buf_add_str(&b, out->refs);
	if (!buf_is_over(&b))
		derived_put(m->mailbox, m->uid, INDEX_THREAD, buf_str(&b));
	buf_done(&b);
	buf_done(&refs);
	return 0;
}

/* ---- preview ------------------------------------------------------------- */

bool
msg_preview_known(struct msg *m, struct arena *a, struct str *out)
{
	struct str value;

	if (!derived_get(m->mailbox, m->uid, INDEX_PREVIEW, &value) ||
	    *value.p != FORM)
		return false;
	*out = arena_str(a, str_skip(value, 1));
	return true;
}

/* The words of a part: a little of it is enough, or there are none. */
static int
read_words(struct msg *m, const struct part *p, struct arena *a,
    struct str *out, struct err *e)
{
	struct preview *pv = preview_new(p);
	char piece[PIECE] UNINITIALIZED;
	uint64_t off = 0;
	size_t got = 1;
	int rc = 0;

	while (
	    rc == 0 && got > 0 && off < p->body_len && off < PREVIEW_LOOK_MAX) {
		uint64_t left = p->body_len - off;

		rc = msg_read(m, p->body_off + off, piece,
		    left < PIECE ? (size_t)left : PIECE, &got, e);
		if (rc == 0 && got > 0 &&
		    !preview_feed(pv, str_make(piece, got)))
			break;
		off += got;
	}
	*out = preview_finish(&pv, a);
	return rc;
}

enum step
msg_preview(struct msg *m, struct arena *a, struct str *out, struct err *e)
{
	const struct part *p;
	struct part *root;
	enum step step;
	struct buf b;

	if (msg_preview_known(m, a, out))
		return STEP_DONE;
	step = msg_parts_step(m, e);
	if (step != STEP_DONE)
		return step;
	if (msg_parts(m, &root, e) == -1)
		return STEP_FAIL;
	p = preview_part(root);
	*out = STR("");
	if (p != NULL && read_words(m, p, a, out, e) == -1)
		return STEP_FAIL;
	buf_init(&b, CACHE_VALUE_MAX);
	(void)buf_add_byte(&b, FORM);
	(void)buf_add_str(&b, *out);
	derived_put(m->mailbox, m->uid, INDEX_PREVIEW, buf_str(&b));
	buf_done(&b);
	return STEP_DONE;
}
