/* SPDX-License-Identifier: ISC */
/*
 * addr822.c - address lists of header fields.
 *
 * Runs in: imapd sessions.
 * Trusts:  nothing; see the header for what broken forms become.
 * Spec:    RFC 5322 sections 3.4 and 4.4, RFC 3501 section 7.4.2.
 *
 * An item of the list is looked over once for its end and its marks (scan),
 * then its tokens are copied out (copy_tokens). So every byte is read a fixed
 * number of times. All output goes to one piece of memory as large as the
 * input, because no byte is given out twice.
 */
#include "mime/addr822.h"

#include "text/ascii.h"

#define NONE SIZE_MAX

struct parser {
	struct arena *arena;
	struct str s; /* the whole value */
	size_t at; /* read so far */
	char *out; /* where the next string goes */
	size_t no_quote; /* no '"' closes one that lies here or behind */
	bool in_group;
	uint32_t *max;
	struct mime_addr **tail;
};

/* What scan() finds: offsets into the value. */
struct item {
	size_t start, end; /* `end` is at the byte that ends it */
	char why; /* that byte; 0 at the end of the value */
	size_t sign; /* the last "@" outside of quotes, or NONE */
	size_t domain_end; /* where the domain behind it ends */
	struct str comment; /* inside of the first one; p NULL: none */
};

/* Behind the comment that begins at `i`. */
static size_t
skip_comment(struct str s, size_t i)
{
	size_t depth = 0;

	for (; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '(')
			depth++;
		else if (s.p[i] == ')' && --depth == 0)
			return i + 1;
	}
	return s.n;
}

/* Behind the quoted string that begins at `i`; `i` when it never ends. */
static size_t
skip_quoted(struct parser *p, size_t i)
{
	size_t from = i;

	if (from >= p->no_quote)
		return from;
	for (i++; i < p->s.n; i++) {
		if (p->s.p[i] == '\\')
			i++;
		else if (p->s.p[i] == '"')
			return i + 1;
	}
	p->no_quote = from;
	return from;
}

/* What ends a word: RFC 5322 specials but "." and backslash, and blanks. */
static const bool specials[256] = {
    [' '] = true,
    ['\t'] = true,
    ['\r'] = true,
    ['\n'] = true,
    ['('] = true,
    [')'] = true,
    ['<'] = true,
    ['>'] = true,
    ['@'] = true,
    [','] = true,
    [';'] = true,
    [':'] = true,
    ['"'] = true,
    ['['] = true,
};

static inline bool
is_special(char c)
{
	return specials[(unsigned char)c];
}

enum token { WORD, QUOTED, COMMENT, BLANK, SPECIAL };

/* The kind of the token at `i`, and where it ends. */
static enum token
token_at(struct parser *p, size_t i, size_t end, size_t *next)
{
	const char *s = p->s.p;
	char c = s[i];

	*next = i + 1;
	if (ascii_is_space(c)) {
		while (*next < end && ascii_is_space(s[*next]))
			(*next)++;
		return BLANK;
	}
	if (c == '(') {
		*next = skip_comment(p->s, i);
		return COMMENT;
	}
	if (c == '"') {
		*next = skip_quoted(p, i);
		if (*next > i)
			return QUOTED;
		*next = i + 1;
		return WORD;
	}
	if (c == '[') {
		/* A domain literal, or a bracket in a name. */
		while (*next < end && s[*next] != ']' && !is_special(s[*next]))
			(*next)++;
		/* IPv6 literals hold colons. */
		while (*next < end && s[*next] == ':') {
			(*next)++;
			while (*next < end && s[*next] != ']' &&
			    !is_special(s[*next]))
				(*next)++;
		}
		if (*next < end && s[*next] == ']')
			(*next)++;
		else
			*next = i + 1;
		return WORD;
	}
	if (is_special(c))
		return SPECIAL;
	while (*next < end && !is_special(s[*next]))
		(*next)++;
	return WORD;
}

/*
 * Copies the tokens of [from, to) out, unquoted, comments left out. Blanks
 * between tokens become one space with `is_phrase`, else nothing.
 */
static struct str
copy_tokens(struct parser *p, size_t from, size_t to, bool is_phrase)
{
	const char *s = p->s.p;
	char *start = p->out;
	bool gap = false;
	size_t next, i;
	struct str text;
	enum token t;

	for (; from < to; from = next) {
		t = token_at(p, from, to, &next);
		if (t == BLANK || t == COMMENT) {
			gap = true;
			continue;
		}
		/* A ">" without its "<" is in nobody's domain. */
		if (t == SPECIAL && !is_phrase && s[from] == '>')
			continue;
		if (gap && is_phrase && p->out > start && p->out[-1] != ' ')
			*p->out++ = ' ';
		gap = false;
		if (next > to)
			next = to;
		for (i = from + (t == QUOTED); i < next - (t == QUOTED); i++) {
			if (t == QUOTED && s[i] == '\\' && i + 2 < next)
				i++;
			/* People see it: no tabs, no two blanks in a row. */
			if (!is_phrase || !ascii_is_space(s[i]))
				*p->out++ = s[i];
			else if (p->out > start && p->out[-1] != ' ')
				*p->out++ = ' ';
		}
	}
	text = str_make(start, (size_t)(p->out - start));
	return is_phrase ? str_trim(text) : text;
}

/* The inside of a comment, its quoting undone; p NULL when it is empty. */
static struct str
copy_comment(struct parser *p, struct str comment)
{
	struct str text;
	char *start = p->out;
	size_t i;

	for (i = 0; i < comment.n; i++) {
		if (comment.p[i] == '\\' && i + 1 < comment.n)
			i++;
		*p->out++ = comment.p[i];
	}
	text = str_trim(str_make(start, (size_t)(p->out - start)));
	return text.n > 0 ? text : (struct str){0};
}

static void
note_comment(struct parser *p, struct item *it, size_t from, size_t next)
{
	size_t end = next;

	if (end > from + 1 && p->s.p[end - 1] == ')')
		end--;
	it->comment = str_make(p->s.p + from + 1, end - from - 1);
}

/*
 * Looks over one item, up to one of `stops` (outside of quotes) or the end.
 * A gap inside local part or domain counts only where no "." or "@" is next to
 * it (RFC 5322: obs-local-part).
 */
static void
scan(struct parser *p, const char *stops, struct item *it)
{
	const char *s = p->s.p;
	size_t i = p->at, next;
	bool gap = true, joined = false;
	enum token t;

	*it = (struct item){.start = i, .sign = NONE, .domain_end = NONE};
	for (; i < p->s.n; i = next) {
		t = token_at(p, i, p->s.n, &next);
		if (t == SPECIAL && strchr(stops, s[i]) != NULL) {
			it->why = s[i];
			break;
		}
		if (t == COMMENT && it->comment.p == NULL)
			note_comment(p, it, i, next);
		if (t == BLANK || t == COMMENT) {
			gap = true;
			continue;
		}
		if (t == SPECIAL && s[i] == '@') {
			it->sign = i;
			it->domain_end = NONE;
			joined = true;
		} else {
			if (gap && !joined && s[i] != '.' && it->sign != NONE &&
			    it->domain_end == NONE)
				it->domain_end = i;
			joined = s[next - 1] == '.';
		}
		gap = false;
	}
	it->end = i;
	if (it->domain_end == NONE)
		it->domain_end = i;
}

static struct mime_addr *
add(struct parser *p)
{
	struct mime_addr *m;

	if (*p->max == 0)
		return NULL;
	(*p->max)--;
	m = arena_new(p->arena, 1, sizeof(*m));
	*p->tail = m;
	p->tail = &m->next;
	return m;
}

static void
begin_group(struct parser *p, const struct item *it)
{
	struct mime_addr *m = add(p);

	p->in_group = true;
	if (m != NULL)
		m->mailbox = copy_tokens(p, it->start, it->end, true);
}

/* The end of a group is told even when no more addresses are. */
static void
end_group(struct parser *p)
{
	if (p->in_group && *p->max == 0)
		*p->max = 1;
	if (p->in_group)
		(void)add(p);
	p->in_group = false;
}

static void
split_at_sign(
    struct parser *p, size_t from, const struct item *it, struct mime_addr *m)
{
	m->mailbox = copy_tokens(p, from, it->sign, false);
	m->host = copy_tokens(p, it->sign + 1, it->domain_end, false);
}

/* An item without "<": joe@x, joe@x (Joe), Joe joe@x, root, Joe Doe. */
static void
add_bare(struct parser *p, const struct item *it, size_t local)
{
	struct mime_addr *m;
	struct str text;

	if (it->sign != NONE) {
		m = add(p);
		if (m == NULL)
			return;
		text = copy_tokens(p, it->start, local, true);
		if (text.n > 0)
			m->name = text;
		split_at_sign(p, local, it, m);
	} else {
		text = copy_tokens(p, it->start, it->end, true);
		/* A comment alone is nobody. */
		if (text.n == 0)
			return;
		m = add(p);
		if (m == NULL)
			return;
		m->mailbox = m->host = STR("");
		if (it->comment.p == NULL && str_find(text, ' ') < text.n)
			m->name = text;
		else
			m->mailbox = text;
	}
	if (m->name.p == NULL && it->comment.p != NULL)
		m->name = copy_comment(p, it->comment);
}

/* RFC 5322: obs-route, "@a,@b:" behind "<". */
static struct str
copy_route(struct parser *p)
{
	const char *s = p->s.p;
	size_t i = p->at;
	struct str route;

	while (i < p->s.n && ascii_is_space(s[i]))
		i++;
	if (i == p->s.n || s[i] != '@')
		return (struct str){0};
	while (i < p->s.n && s[i] != ':' && s[i] != '>' && s[i] != '<')
		i++;
	if (i == p->s.n || s[i] != ':')
		return (struct str){0};
	route = copy_tokens(p, p->at, i, false);
	p->at = i + 1;
	return route;
}

/* Where the local part before the item's sign begins. */
static size_t
local_of(struct parser *p, const struct item *it)
{
	bool gap = true, joined = false;
	size_t i = it->start, next, local = it->start;
	enum token t;

	if (it->sign == NONE)
		return it->end;
	for (; i < it->sign; i = next) {
		t = token_at(p, i, it->sign, &next);
		if (t == BLANK || t == COMMENT) {
			gap = true;
			continue;
		}
		if (gap && !joined && p->s.p[i] != '.' && p->s.p[i] != '@')
			local = i;
		joined = p->s.p[next - 1] == '.' || p->s.p[i] == '@';
		gap = false;
	}
	return local;
}

/* Name and what stands in "<...>"; p->at is behind the "<". */
static void
add_angle(struct parser *p, const struct item *before)
{
	struct mime_addr *m, unused = {0};
	struct str name, adl;
	struct item it;

	name = copy_tokens(p, before->start, before->end, true);
	while (p->at < p->s.n && p->s.p[p->at] == '<')
		p->at++;
	adl = copy_route(p);
	scan(p, ">,;<", &it);
	m = add(p);
	if (m == NULL)
		m = &unused;
	m->adl = adl;
	if (it.sign != NONE) {
		split_at_sign(p, it.start, &it, m);
	} else {
		m->mailbox = copy_tokens(p, it.start, it.end, true);
		m->host = STR("");
	}
	p->at = it.end;
	if (it.why == '>') {
		/* Only comments should follow. */
		p->at++;
		scan(p, ",;", &it);
		p->at = it.end;
	}
	if (name.n > 0)
		m->name = name;
	else if (it.comment.p != NULL)
		m->name = copy_comment(p, it.comment);
	else if (before->comment.p != NULL)
		m->name = copy_comment(p, before->comment);
}

/* ---- the usual forms ----------------------------------------------------- */

/*
 * joe@x, <joe@x>, Joe Doe <joe@x>, "Joe Doe" <joe@x>, then a comma or the end:
 * nearly all there are. Where each part begins and ends.
 */
struct usual {
	size_t name, name_end, local, sign, end;
	size_t behind; /* at the comma, or the end */
};

static size_t
skip_word(struct str s, size_t i)
{
	while (i < s.n && !is_special(s.p[i]) && !ascii_is_space(s.p[i]))
		i++;
	return i;
}

/* The end of words with one space between them. */
static size_t
skip_words(struct str s, size_t i, bool is_quoted)
{
	size_t from = i, word;

	for (;; i++) {
		word = i;
		while (i < s.n && s.p[i] != '"' && !ascii_is_space(s.p[i]) &&
		    (is_quoted ? s.p[i] != '\\' : !is_special(s.p[i])))
			i++;
		if (i == word)
			return word > from ? word - 1 : from;
		if (i == s.n || s.p[i] != ' ')
			return i;
	}
}

static bool
is_at(struct str s, size_t i, char c)
{
	return i < s.n && s.p[i] == c;
}

static bool
find_usual(struct str s, size_t i, struct usual *u)
{
	bool is_angle;

	while (is_at(s, i, ' '))
		i++;
	*u = (struct usual){.name = i, .name_end = i, .local = i};
	u->sign = skip_word(s, i);
	is_angle = !is_at(s, u->sign, '@');
	if (is_angle) {
		if (is_at(s, i, '"')) {
			u->name = i + 1;
			u->name_end = skip_words(s, i + 1, true);
			if (!is_at(s, u->name_end, '"') ||
			    !is_at(s, u->name_end + 1, ' '))
				return false;
			i = u->name_end + 2;
		} else if (!is_at(s, i, '<')) {
			u->name_end = skip_words(s, i, false);
			if (!is_at(s, u->name_end, ' '))
				return false;
			i = u->name_end + 1;
		}
		if (!is_at(s, i, '<'))
			return false;
		u->local = i + 1;
		u->sign = skip_word(s, u->local);
		if (!is_at(s, u->sign, '@'))
			return false;
	}
	u->end = skip_word(s, u->sign + 1);
	if (u->sign == u->local || u->end == u->sign + 1 ||
	    (is_angle && !is_at(s, u->end, '>')))
		return false;
	u->behind = is_angle ? u->end + 1 : u->end;
	while (is_at(s, u->behind, ' '))
		u->behind++;
	return u->behind == s.n || s.p[u->behind] == ',';
}

static struct str
copy_plain(struct parser *p, size_t from, size_t to)
{
	struct str text = str_make(p->out, to - from);

	memcpy(p->out, p->s.p + from, to - from);
	p->out += to - from;
	return text;
}

/* False: something else, and nothing has happened. */
static bool
add_usual(struct parser *p)
{
	struct mime_addr *m;
	struct usual u;

	if (!find_usual(p->s, p->at, &u))
		return false;
	m = add(p);
	if (m == NULL)
		return false;
	if (u.name_end > u.name)
		m->name = copy_plain(p, u.name, u.name_end);
	m->mailbox = copy_plain(p, u.local, u.sign);
	m->host = copy_plain(p, u.sign + 1, u.end);
	p->at = u.behind + 1;
	return true;
}

struct mime_addr **
addr822_parse(
    struct arena *a, struct str value, uint32_t *max, struct mime_addr **tail)
{
	struct parser p = {
	    .arena = a, .s = value, .max = max, .tail = tail, .no_quote = NONE};
	struct item it;

	if (value.n == 0)
		return tail;
	p.out = arena_new(a, value.n + 1, 1);
	while (p.at<value.n && * max> 0) {
		if (add_usual(&p))
			continue;
		scan(&p, p.in_group ? "<,;" : "<,;:", &it);
		p.at = it.end + 1;
		if (it.why == ':' && it.sign == NONE) {
			begin_group(&p, &it);
			continue;
		}
		if (it.why == '<')
			add_angle(&p, &it);
		else
			add_bare(&p, &it, local_of(&p, &it));
		/* add_angle stops at the byte behind it. */
		if (it.why == '<' && p.at < value.n) {
			it.why = value.p[p.at];
			if (it.why == ',' || it.why == ';')
				p.at++;
		}
		if (it.why == ';')
			end_group(&p);
	}
	end_group(&p);
	return p.tail;
}
