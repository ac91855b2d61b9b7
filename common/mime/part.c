/* SPDX-License-Identifier: ISC */
/*
 * part.c - the tree of a message's parts from one pass over its bytes.
 *
 * Owns:    struct part_parser; the parts belong to the caller's arena.
 * Runs in: imapd sessions.
 * Trusts:  nothing; any bytes are a message. What is not as it should be has
 *          a defined result:
 *          - a header ends at a blank line, at a boundary or with the bytes;
 *            lines in it that are no field stay in it
 *          - a boundary matches at the start of a line (RFC 2046 5.1.1); of
 *            several open ones the line's exact one, else the longest; the
 *            innermost of equals
 *          - a boundary of an outer part ends the inner ones
 *          - a multipart without any boundary line has one text part: all of
 *            it, so that what was sent can be read
 *          - a container deeper than the limit is one opaque part; so is a
 *            message with more parts than the limit
 * Spec:    RFC 2045 section 5, RFC 2046 section 5, RFC 3501 section 7.4.2.
 *
 *   HEADER --blank line--> BODY --boundary--> HEADER of the next part
 *                          BODY --last boundary--> BODY (epilogue, of the
 *                                                  multipart that ended)
 *   HEADER of a message/rfc822 --blank line--> HEADER of the message in it
 *
 * Lengths are differences of running counts, so that a line costs the same at
 * every depth. A line is looked at as a whole: what the end of a piece tore is
 * carried over, but no more of it than can matter.
 */
#include "mime/part.h"

#include "base/bounds.h"
#include "base/buf.h"
#include "base/vec.h"
#include "mime/envelope.h"
#include "mime/header.h"
#include "mime/param.h"
#include "text/ascii.h"

#define BOUNDARY_MAX 1024 /* longer ones match no line */
/* All parameters of a message; one field has MIME_PARAMS_MAX. */
#define PARAMS_OF_MESSAGE_MAX 20000

const struct mime_limits mime_limits_default = {
    .depth = MIME_DEPTH_MAX,
    .parts = MIME_PARTS_MAX,
    .header_block_bytes = MIME_HEADER_BLOCK_MAX,
    .field_bytes = MIME_HEADER_FIELD_MAX,
    .addresses = MIME_ADDRESSES_MAX,
    .params = MIME_PARAMS_MAX,
};

/* Running counts; a length in wire form is bytes + lone. */
struct count {
	uint64_t bytes, lone; /* `lone`: LFs without CR */
	uint64_t lines; /* LFs */
};

enum content_field {
	CONTENT_TYPE,
	CONTENT_TRANSFER_ENCODING,
	CONTENT_ID,
	CONTENT_DESCRIPTION,
	CONTENT_MD5,
	CONTENT_DISPOSITION,
	CONTENT_LANGUAGE,
	CONTENT_LOCATION,
	CONTENT_FIELDS,
};

static const struct str content_names[CONTENT_FIELDS] = {
    [CONTENT_TYPE] = STR_LIT("type"),
    [CONTENT_TRANSFER_ENCODING] = STR_LIT("transfer-encoding"),
    [CONTENT_ID] = STR_LIT("id"),
    [CONTENT_DESCRIPTION] = STR_LIT("description"),
    [CONTENT_MD5] = STR_LIT("md5"),
    [CONTENT_DISPOSITION] = STR_LIT("disposition"),
    [CONTENT_LANGUAGE] = STR_LIT("language"),
    [CONTENT_LOCATION] = STR_LIT("location"),
};

struct node {
	struct part part;
	struct part *last_child;
	uint32_t depth;
	struct count header_at, body_at;
	bool is_digest;
};

/* A multipart that has not ended; `key` are its first bytes, for speed. */
struct open_boundary {
	struct str text;
	uint64_t key, mask;
	struct node *node;
};

enum state { HEADER, BODY };

struct part_parser {
	struct arena *arena;
	struct mime_limits limits;
	struct node *root, *cur;
	enum state state;
	struct count at; /* of the start of the present line */
	int prev_eol; /* bytes of the line end before it: 0, 1, 2 */
	VEC(struct open_boundary) open;
	uint32_t n_parts, addresses, params;
	uint64_t header_left; /* bytes of fields that may still be kept */
	bool is_opaque; /* too many parts */
	bool is_bare; /* envelopes are not wanted */
	/* The line that the last piece tore. */
	struct buf carry;
	uint64_t torn_bytes; /* how long it is by now */
	char torn_last; /* its last byte */
	bool torn_nul; /* the present line, torn or not, holds one */
	bool is_skipping; /* it can be nothing that matters */
	/* The field that the last lines belong to, if it is one of ours. */
	struct buf field;
	bool has_field, is_content;
	unsigned which; /* enum content_field or envelope_field */
	unsigned seen; /* bits of enum content_field */
	struct envelope_maker envelope;
};

static uint32_t
to_u32(uint64_t v)
{
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

/* ---- the tree ------------------------------------------------------------- */

static bool
wants_envelope(const struct part_parser *p, const struct node *n)
{
	return !p->is_bare &&
	    (n->part.parent == NULL || n->part.parent->is_message);
}

static struct node *
node_new(struct part_parser *p, struct node *parent)
{
	struct node *n = arena_new(p->arena, 1, sizeof(*n));

	p->n_parts++;
	n->depth = 1;
	if (parent != NULL) {
		n->part.parent = &parent->part;
		n->depth = parent->depth + 1;
		if (parent->last_child == NULL)
			parent->part.child = &n->part;
		else
			parent->last_child->next = &n->part;
		parent->last_child = &n->part;
		parent->part.n_children++;
		n->is_digest = parent->part.is_multipart &&
		    str_eq_nocase(parent->part.subtype, STR("digest"));
	}
	return n;
}

/* Past the limit nothing is a part any more: the whole is one opaque part. */
static void
give_up_structure(struct part_parser *p)
{
	p->is_opaque = true;
	p->open.n = 0;
	p->state = BODY;
	p->cur = p->root;
	p->has_field = false;
}

/* The header of a new part begins at the present line. */
static void
begin_part(struct part_parser *p, struct node *parent)
{
	struct node *n;

	if (p->n_parts >= p->limits.parts) {
		give_up_structure(p);
		return;
	}
	n = node_new(p, parent);
	n->header_at = p->at;
	n->part.header_off = p->at.bytes;
	p->cur = n;
	p->state = HEADER;
	p->has_field = false;
	p->seen = 0;
	if (wants_envelope(p, n)) {
		n->part.envelope =
		    arena_new(p->arena, 1, sizeof(*n->part.envelope));
		envelope_begin(&p->envelope, n->part.envelope, &p->addresses);
	}
}

/* ---- fields --------------------------------------------------------------- */

/* RFC 2045: content, with no more parameters than are left. */
static struct str
parse_content(
    struct part_parser *p, struct str unfolded, struct mime_param **params)
{
	uint32_t max = p->limits.params, left;
	struct str value;

	if (max > p->params)
		max = p->params;
	left = max;
	param_parse(p->arena, unfolded, &left, &value, params);
	p->params -= max - left;
	return value;
}

static void
set_type(struct part_parser *p, struct part *part, struct str unfolded)
{
	struct mime_param *params;
	struct str value = parse_content(p, unfolded, &params);

	if (param_split_type(value, &part->type, &part->subtype)) {
		part->params = params;
		return;
	}
	/* RFC 2045 5.2: what is no type is text/plain. */
	part->type = (struct str){0};
	if (str_eq_nocase(value, STR("text")))
		part->params = params;
}

static void
set_content(struct part_parser *p, enum content_field f, struct str value)
{
	struct part *part = &p->cur->part;
	struct str s = header_unfold(p->arena, value);
	struct mime_param *ignored;

	switch (f) {
	case CONTENT_TYPE:
		set_type(p, part, s);
		break;
	case CONTENT_TRANSFER_ENCODING:
		part->encoding = parse_content(p, s, &ignored);
		break;
	case CONTENT_ID:
		part->id = s;
		break;
	case CONTENT_DESCRIPTION:
		part->description = s;
		break;
	case CONTENT_MD5:
		part->md5 = s;
		break;
	case CONTENT_DISPOSITION:
		part->disposition =
		    parse_content(p, s, &part->disposition_params);
		if (part->disposition.n == 0)
			part->disposition.p = NULL;
		break;
	case CONTENT_LANGUAGE:
		part->language_raw = s;
		break;
	case CONTENT_LOCATION:
		part->location = s;
		break;
	case CONTENT_FIELDS:
		break;
	}
}

static void
end_field(struct part_parser *p)
{
	struct str value = header_line_content(buf_str(&p->field));

	if (!p->has_field)
		return;
	p->has_field = false;
	if (!p->is_content) {
		envelope_add(&p->envelope, p->arena,
		    (enum envelope_field)p->which, value);
		return;
	}
	/* The first of several counts. */
	if ((p->seen & 1u << p->which) == 0)
		set_content(p, (enum content_field)p->which, value);
	p->seen |= 1u << p->which;
}

static bool
content_field_find(struct str name, unsigned *which)
{
	unsigned i;

	if (name.n < 10 || name.n > 25 || ascii_lower(name.p[0]) != 'c' ||
	    !str_starts_nocase(name, STR("content-")))
		return false;
	name = str_skip(name, 8);
	for (i = 0; i < CONTENT_FIELDS; i++)
		if (str_eq_nocase(name, content_names[i])) {
			*which = i;
			return true;
		}
	return false;
}

static void
keep(struct part_parser *p, struct str s)
{
	size_t room = p->field.max_bytes - p->field.n;

	s = str_head(s, room);
	if (s.n > p->header_left)
		s.n = (size_t)p->header_left;
	p->header_left -= s.n;
	(void)buf_add_str(&p->field, s);
}

static void
header_line(struct part_parser *p, struct str line)
{
	enum envelope_field field;
	struct str name;
	size_t value_at;

	if (ascii_is_blank(line.p[0])) {
		if (p->has_field)
			keep(p, line);
		return;
	}
	end_field(p);
	if (!header_split_name(line, &name, &value_at))
		return;
	p->is_content = content_field_find(name, &p->which);
	if (!p->is_content) {
		if (!wants_envelope(p, p->cur) ||
		    !envelope_field_find(name, &field))
			return;
		p->which = field;
	}
	p->has_field = true;
	buf_clear(&p->field);
	keep(p, str_skip(line, value_at));
}

/* Blanks and CR at the end of a boundary line are transport padding. */
static struct str
trim_end(struct str s)
{
	while (s.n > 0 && ascii_is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* ---- types ---------------------------------------------------------------- */

static void
open_boundary(struct part_parser *p, struct node *n, struct str text)
{
	struct open_boundary *o = VEC_ADD(&p->open);
	size_t i;

	o->text = text;
	o->node = n;
	for (i = 0; i < text.n && i < sizeof(o->key); i++) {
		((unsigned char *)&o->key)[i] = (unsigned char)text.p[i];
		((unsigned char *)&o->mask)[i] = 0xff;
	}
}

static void
add_charset(struct part_parser *p, struct part *part)
{
	struct mime_param **tail;
	struct str ignored;

	if (param_find(part->params, "charset", &ignored) ||
	    param_find(part->params, "charset*", &ignored))
		return;
	for (tail = &part->params; *tail != NULL; tail = &(*tail)->next)
		;
	*tail = arena_new(p->arena, 1, sizeof(**tail));
	(*tail)->name = STR("charset");
	(*tail)->value = STR("us-ascii");
}

static void
make_opaque(struct part *part)
{
	part->type = STR("application");
	part->subtype = STR("octet-stream");
	part->params = NULL;
	part->is_multipart = part->is_message = false;
	part->child = NULL;
	part->n_children = 0;
}

/* Defaults (RFC 2045 5.2, RFC 2046 5.1.5), and whether there are parts in it. */
static void
settle_type(struct part_parser *p, struct node *n)
{
	struct part *part = &n->part;

	if (part->type.p == NULL) {
		part->type = n->is_digest ? STR("message") : STR("text");
		part->subtype = n->is_digest ? STR("rfc822") : STR("plain");
	}
	if (part->encoding.n == 0)
		part->encoding = STR("7bit");
	part->is_multipart = str_eq_nocase(part->type, STR("multipart"));
	part->is_message = str_eq_nocase(part->type, STR("message")) &&
	    (str_eq_nocase(part->subtype, STR("rfc822")) ||
		str_eq_nocase(part->subtype, STR("global")));
	if ((part->is_multipart || part->is_message) &&
	    n->depth >= p->limits.depth)
		make_opaque(part);
	if (str_eq_nocase(part->type, STR("text")))
		add_charset(p, part);
}

/* False: it has none that could match a line. */
static bool
find_boundary(struct part_parser *p, const struct part *part, struct str *out)
{
	struct str ignored;

	if (!param_find(part->params, "boundary", out) &&
	    (!param_find(part->params, "boundary*", &ignored) ||
		!param_decode(p->arena, part->params, "boundary", out)))
		return false;
	*out = trim_end(*out);
	return out->n > 0 && out->n <= BOUNDARY_MAX;
}

/* The present line is the first one behind the header of `cur`. */
static void
finish_header(struct part_parser *p)
{
	struct node *n = p->cur;
	struct part *part = &n->part;
	struct str boundary;

	end_field(p);
	if (part->envelope != NULL)
		envelope_finish(&p->envelope);
	n->body_at = p->at;
	part->body_off = p->at.bytes;
	part->header_len = p->at.bytes - n->header_at.bytes;
	part->header_wire = part->header_len + p->at.lone - n->header_at.lone;
	part->header_lines = to_u32(p->at.lines - n->header_at.lines);
	settle_type(p, n);
	p->state = BODY;
	if (part->is_multipart && find_boundary(p, part, &boundary))
		open_boundary(p, n, boundary);
	if (part->is_message)
		begin_part(p, n);
}

/* ---- ends ----------------------------------------------------------------- */

/* A multipart has at least one part (RFC 3501: body-type-mpart). */
static void
add_missing_child(struct part_parser *p, struct node *n)
{
	struct part *all;
	struct node *child;

	if (p->n_parts >= p->limits.parts) {
		give_up_structure(p);
		return;
	}
	child = node_new(p, n);
	all = &child->part;
	all->header_off = all->body_off = n->part.body_off;
	all->body_len = n->part.body_len;
	all->body_wire = n->part.body_wire;
	all->body_lines = n->part.body_lines;
	all->has_nul = n->part.has_nul;
	all->type = STR("text");
	all->subtype = STR("plain");
	all->encoding = n->part.encoding;
	add_charset(p, all);
}

/*
 * `n` ends at `end`, or where its last child does: a header without blank line
 * keeps its last line end, which the boundary behind it would take.
 */
static void
close_node(struct part_parser *p, struct node *n, const struct count *end)
{
	struct count e = *end;

	if (e.bytes < n->body_at.bytes)
		e = n->body_at;
	n->part.body_len = e.bytes - n->body_at.bytes;
	n->part.body_wire = n->part.body_len + e.lone - n->body_at.lone;
	n->part.body_lines = to_u32(e.lines - n->body_at.lines);
	if (n->part.is_multipart && n->part.child == NULL)
		add_missing_child(p, n);
}

/* Ends all parts inside of `outer` at `end`; NULL: the root too. */
static void
close_inside(struct part_parser *p, const struct node *outer, struct count end)
{
	struct node *n;

	while (p->cur != outer && !p->is_opaque) {
		if (p->state == HEADER) {
			/* This may begin the header of a message in it. */
			finish_header(p);
			continue;
		}
		n = p->cur;
		if (end.bytes < n->body_at.bytes)
			end = n->body_at;
		close_node(p, n, &end);
		if (p->is_opaque)
			return;
		p->cur = (struct node *)n->part.parent;
	}
}

/* ---- lines ---------------------------------------------------------------- */

/* The present line, of `bytes` with a line end of `eol` bytes, is done with. */
static void
pass_line(struct part_parser *p, uint64_t bytes, int eol)
{
	p->at.bytes += bytes;
	p->at.lone += eol == 1;
	p->at.lines += eol > 0;
	p->prev_eol = eol;
}

/* Where a part ends whose boundary is the present line. */
static struct count
before_line(const struct part_parser *p)
{
	struct count c = p->at;

	c.bytes -= (uint64_t)p->prev_eol;
	c.lone -= p->prev_eol == 1;
	c.lines -= p->prev_eol > 0;
	return c;
}

/*
 * Finds the boundary that `line` (which begins with "--") is; false: none.
 * *is_last: it ends its multipart.
 */
static bool
match_boundary(
    const struct part_parser *p, struct str line, size_t *found, bool *is_last)
{
	struct str rest = str_skip(trim_end(line), 2), tail;
	size_t best = 0, score, i = p->open.n;
	uint64_t first = 0;

	memcpy(&first, rest.p, rest.n < sizeof(first) ? rest.n : sizeof(first));
	while (i-- > 0) {
		const struct open_boundary *o = &p->open.v[i];

		if ((first & o->mask) != o->key || !str_starts(rest, o->text))
			continue;
		tail = str_skip(rest, o->text.n);
		score = o->text.n;
		if (tail.n == 0 || str_eq(tail, STR("--")))
			score += BOUNDARY_MAX;
		if (score <= best)
			continue;
		best = score;
		*found = i;
		*is_last = str_starts(tail, STR("--"));
	}
	return best > 0;
}

/* True when the line is a boundary; it has been passed then. */
static bool
try_boundary(struct part_parser *p, struct str line, uint64_t bytes, int eol)
{
	struct node *outer;
	bool is_last;
	size_t i;

	if (p->open.n == 0 || line.n < 3 || line.p[0] != '-' ||
	    line.p[1] != '-' || !match_boundary(p, line, &i, &is_last))
		return false;
	outer = p->open.v[i].node;
	close_inside(p, outer, before_line(p));
	pass_line(p, bytes, eol);
	if (p->is_opaque)
		return true;
	p->open.n = is_last ? i : i + 1;
	if (is_last)
		p->state = BODY;
	else
		begin_part(p, outer);
	return true;
}

/* The present line holds a NUL. */
static void
note_nul(struct part_parser *p)
{
	struct part *part = &p->cur->part;

	/* A header is in the body of the part around it. */
	if (p->state == HEADER)
		part = part->parent;
	/* Those around a part have the mark already when it has. */
	for (; part != NULL && !part->has_nul; part = part->parent)
		part->has_nul = true;
}

/*
 * One line: `line` is it, or its beginning when it is very long; `bytes` its
 * length with its end of `eol` bytes.
 */
static void
take_line(struct part_parser *p, struct str line, uint64_t bytes, int eol)
{
	bool is_boundary = try_boundary(p, line, bytes, eol);

	if (p->torn_nul)
		note_nul(p);
	p->torn_nul = false;
	if (is_boundary)
		return;
	if (p->state == HEADER && bytes > (uint64_t)eol)
		header_line(p, line);
	pass_line(p, bytes, eol);
	if (p->state == HEADER && bytes == (uint64_t)eol && eol > 0)
		finish_header(p);
}

/* Bytes of the line end: `lf` is an LF, `before` the byte before it. */
static int
eol_length(char before)
{
	return before == '\r' ? 2 : 1;
}

/* The torn line is whole. */
static void
end_torn(struct part_parser *p, uint64_t bytes, int eol)
{
	if (p->is_skipping && p->torn_nul)
		note_nul(p);
	if (p->is_skipping)
		pass_line(p, bytes, eol);
	else
		take_line(p, buf_str(&p->carry), bytes, eol);
	p->torn_nul = p->is_skipping = false;
	buf_clear(&p->carry);
}

/* What was torn becomes whole with *s, as far as the line goes. */
static void
feed_torn(struct part_parser *p, struct str *s)
{
	const char *lf = memchr(s->p, '\n', s->n);
	size_t n = lf == NULL ? s->n : (size_t)(lf - s->p) + 1;
	size_t room = p->carry.max_bytes - p->carry.n;
	char before = n > 1 ? s->p[n - 2] : p->torn_last;
	uint64_t bytes;

	if (!p->is_skipping)
		(void)buf_add_str(&p->carry, str_head(*s, n < room ? n : room));
	p->torn_bytes += n;
	p->torn_last = s->p[n - 1];
	*s = str_skip(*s, n);
	if (lf == NULL)
		return;
	bytes = p->torn_bytes;
	p->torn_bytes = 0;
	end_torn(p, bytes, eol_length(before));
}

/* The piece ends with the start of a line. */
static void
begin_torn(struct part_parser *p, struct str s)
{
	p->torn_bytes = s.n;
	p->torn_last = s.p[s.n - 1];
	p->is_skipping = p->state == BODY &&
	    (p->open.n == 0 || s.p[0] != '-' || (s.n > 1 && s.p[1] != '-'));
	if (!p->is_skipping)
		(void)buf_add_str(&p->carry, str_head(s, p->carry.max_bytes));
}

/* Lines of a body that are no boundary: they only count. */
static size_t
skip_body_lines(struct part_parser *p, struct str s)
{
	const char *at = s.p, *end = s.p + s.n, *lf;
	uint64_t lone = 0, lines = 0;
	bool can_end = p->open.n > 0;
	int eol = 0;

	while (at < end && !(can_end && at[0] == '-')) {
		lf = memchr(at, '\n', (size_t)(end - at));
		if (lf == NULL)
			break;
		eol = lf > at && lf[-1] == '\r' ? 2 : 1;
		lone += eol == 1;
		lines++;
		at = lf + 1;
	}
	if (lines > 0) {
		p->at.bytes += (size_t)(at - s.p);
		p->at.lone += lone;
		p->at.lines += lines;
		p->prev_eol = eol;
	}
	return (size_t)(at - s.p);
}

/* True when [from, to) holds a NUL; *nul is the first one behind `from`. */
static bool
has_nul(const char **nul, const char *from, const char *to, const char *end)
{
	if (*nul != NULL && *nul < from)
		*nul = memchr(from, '\0', (size_t)(end - from));
	return *nul != NULL && *nul < to;
}

void
part_parser_feed(struct part_parser *p, struct str s)
{
	const char *lf, *end = s.p + s.n, *nul;
	size_t n;

	if (s.n == 0)
		return;
	nul = memchr(s.p, '\0', s.n);
	if (p->torn_bytes > 0) {
		lf = memchr(s.p, '\n', s.n);
		p->torn_nul |= has_nul(&nul, s.p, lf == NULL ? end : lf, end);
		feed_torn(p, &s);
	}
	while (s.n > 0) {
		if (p->state == BODY) {
			n = skip_body_lines(p, s);
			if (has_nul(&nul, s.p, s.p + n, end))
				note_nul(p);
			s = str_skip(s, n);
			if (s.n == 0)
				break;
		}
		lf = memchr(s.p, '\n', s.n);
		n = lf == NULL ? s.n : (size_t)(lf - s.p) + 1;
		p->torn_nul = has_nul(&nul, s.p, s.p + n, end);
		if (lf == NULL) {
			begin_torn(p, s);
			break;
		}
		take_line(p, str_head(s, n), n,
		    eol_length(n > 1 ? s.p[n - 2] : '\n'));
		s = str_skip(s, n);
	}
}

/* ---- begin and end -------------------------------------------------------- */

static struct part_parser *
new_parser(struct arena *a, const struct mime_limits *limits, bool is_bare)
{
	struct part_parser *p = arena_new(a, 1, sizeof(*p));

	p->arena = a;
	p->is_bare = is_bare;
	p->limits = limits != NULL ? *limits : mime_limits_default;
	if (p->limits.depth < 1)
		p->limits.depth = 1;
	if (p->limits.parts < 1)
		p->limits.parts = 1;
	p->addresses = p->limits.addresses;
	p->params = PARAMS_OF_MESSAGE_MAX;
	p->header_left = p->limits.header_block_bytes;
	/* A line is never needed beyond what its field may have. */
	buf_init(&p->carry, p->limits.field_bytes + (size_t)BOUNDARY_MAX * 2);
	buf_init(&p->field, p->limits.field_bytes);
	begin_part(p, NULL);
	p->root = p->cur;
	return p;
}

struct part_parser *
part_parser_new(struct arena *a, const struct mime_limits *limits)
{
	return new_parser(a, limits, false);
}

struct part_parser *
part_parser_new_bare(struct arena *a, const struct mime_limits *limits)
{
	return new_parser(a, limits, true);
}

/* The whole message is the body of one part that nobody looks into. */
static void
finish_opaque(struct part_parser *p)
{
	struct node *root = p->root;

	make_opaque(&root->part);
	close_node(p, root, &p->at);
}

struct part *
part_parser_finish(struct part_parser *p)
{
	if (p->torn_bytes > 0)
		end_torn(p, p->torn_bytes, 0);
	p->torn_bytes = 0;
	close_inside(p, NULL, p->at);
	if (p->is_opaque)
		finish_opaque(p);
	buf_done(&p->carry);
	buf_done(&p->field);
	VEC_DONE(&p->open);
	return &p->root->part;
}

const struct part *
part_next(const struct part *p, const struct part *root)
{
	if (p->child != NULL)
		return p->child;
	while (p != root && p->next == NULL)
		p = p->parent;
	return p == root ? NULL : p->next;
}
