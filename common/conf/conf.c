/* SPDX-License-Identifier: ISC */
/*
 * conf.c - reads the configuration file through libconfuse.
 *
 * Owns:    struct conf: for each scope and setting the plain values and the
 *          place in the file where they stand.
 * Runs in: master and restantectl.
 * Trusts:  the file's owner with the meaning, not with the form.
 *
 * libconfuse gives us tokens, lists, sections and strings; every value is a
 * string to it, so that types, ranges and units are checked in one place
 * (schema.c). Comments are blanked before it sees the file: its 3.3 counts
 * the lines of a comment twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <confuse.h>

#include "base/num.h"
#include "base/vec.h"
#include "conf/conf.h"

struct value {
	bool said;
	char *where;
	VEC(char *) items; /* plain form */
};

struct conf {
	struct value *values[SCHEMA_SCOPES]; /* one for each of the table */
};

/* libconfuse has no pointer for callers: the reading that is under way. */
static struct reading {
	struct conf *conf;
	struct buf *problems;
	struct err *e;
	unsigned depth;
	bool failed;
} * reading;

static void problem(const char *where, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
problem(const char *where, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	buf_addf(reading->problems, "%s: %s\n", where, text);
	if (!reading->failed)
		err_set(reading->e, ERR_SYNTAX, "%s: %s", where, text);
	reading->failed = true;
}

static void
place(const cfg_t *cfg, char *out, size_t out_size)
{
	(void)snprintf(out, out_size, "%s:%d",
	    cfg->filename == NULL ? "?" : cfg->filename, cfg->line);
}

static void
unknown_setting(const cfg_t *cfg, const char *where, struct str name)
{
	const struct schema_setting *near = schema_nearest(name);
	bool in_service = cfg->title != NULL;

	if (in_service && schema_find(name) != NULL)
		problem(where, "'%.*s' can not be set for one service alone",
		    STR_ARG(name));
	else if (near != NULL)
		problem(where, "unknown setting '%.*s' (did you mean '%s'?)",
		    STR_ARG(name), near->name);
	else
		problem(where, "unknown setting '%.*s'", STR_ARG(name));
}

static void on_confuse_error(cfg_t *cfg, const char *fmt, va_list ap)
    PRINTF_LIKE(2, 0);

static void
on_confuse_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	static const char UNKNOWN[] = "no such option '";
	char text[300], where[PATH_MAX + 16];
	struct str name, rest;

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	place(cfg, where, sizeof(where));
	rest = str_of(text);
	if (str_starts(rest, str_of(UNKNOWN))) {
		rest = str_skip(rest, strlen(UNKNOWN));
		name = str_head(rest, str_rfind(rest, '\''));
		unknown_setting(cfg, where, name);
	} else {
		problem(where, "%s", text);
	}
}

static struct value *
value_of(
    struct conf *c, enum schema_scope scope, const struct schema_setting *s)
{
	size_t n;

	return &c->values[scope][s - schema_table(&n)];
}

static bool
find_scope(const char *title, enum schema_scope *scope)
{
	for (*scope = SCHEMA_GLOBAL; *scope < SCHEMA_SCOPES; (*scope)++)
		if (str_eq(str_of(title), str_of(schema_scope_name(*scope))))
			return true;
	return false;
}

/* Remembers where a setting stands; libconfuse only knows while it parses. */
static int
on_value(cfg_t *cfg, cfg_opt_t *opt)
{
	const struct schema_setting *s = schema_find(str_of(opt->name));
	enum schema_scope scope;
	char where[PATH_MAX + 16];
	struct value *v;

	if (s == NULL ||
	    !find_scope(cfg->title == NULL ? "" : cfg->title, &scope))
		return 0;
	v = value_of(reading->conf, scope, s);
	place(cfg, where, sizeof(where));
	free(v->where);
	v->where = mem_strdup(where);
	v->said = true;
	return 0;
}

static int
on_section(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *section = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
	enum schema_scope scope;
	char where[PATH_MAX + 16];

	place(cfg, where, sizeof(where));
	if (!find_scope(cfg_title(section), &scope) || scope == SCHEMA_GLOBAL)
		problem(where, "unknown service '%s' (imap or pop3)",
		    cfg_title(section));
	return 0;
}

/* ---- reading files --------------------------------------------------------- */

/* True when a comment may begin here: not within a word. */
static bool
is_word_start(const struct buf *b, size_t i)
{
	return i == 0 || memchr(" \t\r\n{}(),=\"'", b->p[i - 1], 11) != NULL;
}

/* The end of the comment that begins at `i`, or `i` when none does. */
static size_t
comment_end(const struct buf *b, size_t i)
{
	struct str rest = str_skip(buf_str(b), i);
	size_t end;

	if (str_starts(rest, STR("#")) ||
	    (str_starts(rest, STR("//")) && is_word_start(b, i)))
		return i + str_find(rest, '\n');
	if (!str_starts(rest, STR("/*")) || !is_word_start(b, i))
		return i;
	rest = str_skip(rest, 2);
	end = str_find_str(rest, STR("*/"));
	return end == rest.n ? b->n : i + 2 + end + 2;
}

/* Overwrites comments with blanks, leaving the line ends. */
static void
blank_comments(struct buf *b)
{
	char quote = 0;

	for (size_t i = 0; i < b->n; i++) {
		size_t end;

		if (quote != 0) {
			if (b->p[i] == '\\' && i + 1 < b->n)
				i++;
			else if (b->p[i] == quote)
				quote = 0;
			continue;
		}
		if (b->p[i] == '"' || b->p[i] == '\'') {
			quote = b->p[i];
			continue;
		}
		end = comment_end(b, i);
		if (end == i)
			continue;
		for (; i < end; i++)
			if (b->p[i] != '\n')
				b->p[i] = ' ';
		i--;
	}
}

static int
parse_text(cfg_t *cfg, const char *name, struct buf *text)
{
	char *old_name = cfg->filename;
	int old_line = cfg->line, rc = CFG_PARSE_ERROR;
	FILE *f;

	blank_comments(text);
	/* fmemopen() takes no empty buffer; a line end changes nothing. */
	buf_add_byte(text, '\n');
	if (memchr(text->p, 0, text->n) != NULL) {
		problem(name, "the file has a byte 0");
		return CFG_PARSE_ERROR;
	}
	f = fmemopen(text->p, text->n, "r");
	if (f == NULL) {
		problem(name, "can not be read");
		return CFG_PARSE_ERROR;
	}
	cfg->filename = mem_strdup(name);
	rc = cfg_parse_fp(cfg, f);
	(void)fclose(f);
	free(cfg->filename);
	cfg->filename = old_name;
	cfg->line = old_line;
	return rc;
}

/* Reads a regular file whole; fails with ERR_NOT_FOUND and others. */
static int
read_file(const char *path, struct buf *text, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	ssize_t n = 0;
	char *room;
	int rc = -1;

	if (fd == -1)
		return err_sys(e, "open %s", path);
	if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
		err_set(e, ERR_OTHER, "%s: not a regular file", path);
		goto out;
	}
	do {
		room = buf_room(text, 8192);
		if (room == NULL) {
			err_set(e, ERR_LIMIT, "%s: too large", path);
			goto out;
		}
		n = read(fd, room, 8192);
		if (n > 0)
			text->n += (size_t)n;
	} while (n > 0 || (n == -1 && errno == EINTR));
	rc = n == 0 ? 0 : err_sys(e, "read %s", path);
out:
	close(fd);
	return rc;
}

/* include("x"): relative to the file in which it stands. */
static int
on_include(cfg_t *cfg, UNUSED cfg_opt_t *opt, int argc, const char **argv)
{
	char where[PATH_MAX + 16], here[PATH_MAX], path[2 * PATH_MAX];
	struct buf text;
	struct err e;
	int rc = 1;

	place(cfg, where, sizeof(where));
	if (argc != 1) {
		problem(where, "include takes one file");
		return 1;
	}
	if (reading->depth >= CONF_INCLUDES_MAX) {
		problem(where, "too many files include each other");
		return 1;
	}
	(void)snprintf(here, sizeof(here), "%s", cfg->filename);
	if (argv[0][0] == '/')
		(void)snprintf(path, sizeof(path), "%s", argv[0]);
	else
		(void)snprintf(
		    path, sizeof(path), "%s/%s", dirname(here), argv[0]);
	buf_init(&text, CONF_FILE_MAX_BYTES);
	reading->depth++;
	if (read_file(path, &text, &e) == -1)
		problem(where, "%s", e.text);
	else if (parse_text(cfg, path, &text) == CFG_SUCCESS)
		rc = 0;
	reading->depth--;
	buf_done(&text);
	return rc;
}

/* ---- from libconfuse's values to ours -------------------------------------- */

/* libconfuse's table, made from ours. */
static cfg_opt_t *
make_options(bool in_service, cfg_opt_t *service_options)
{
	size_t n, at = 0;
	const struct schema_setting *table = schema_table(&n);
	cfg_opt_t *o = mem_new(n + 3, sizeof(*o));
	const cfg_opt_t service =
	    CFG_SEC("service", service_options, CFGF_TITLE | CFGF_MULTI);
	const cfg_opt_t include = CFG_FUNC("include", on_include);
	const cfg_opt_t end = CFG_END();

	for (size_t i = 0; i < n; i++) {
		const cfg_opt_t one =
		    CFG_STR(table[i].name, NULL, CFGF_NODEFAULT);
		const cfg_opt_t list =
		    CFG_STR_LIST(table[i].name, NULL, CFGF_NODEFAULT);

		if (in_service && !table[i].per_service)
			continue;
		o[at] = table[i].list ? list : one;
		o[at++].validcb = on_value;
	}
	if (!in_service) {
		o[at] = service;
		o[at++].validcb = on_section;
		o[at++] = include;
	}
	o[at] = end;
	return o;
}

/* Checks and keeps the values of one scope. */
static void
take_values(
    struct conf *c, const char *name, cfg_t *cfg, enum schema_scope scope)
{
	size_t n;
	const struct schema_setting *s = schema_table(&n), *end = s + n;
	struct buf plain;
	struct err e;

	buf_init(&plain, CONF_FILE_MAX_BYTES);
	for (; s < end; s++) {
		struct value *v = value_of(c, scope, s);
		const cfg_opt_t *o;

		if (scope != SCHEMA_GLOBAL && !s->per_service)
			continue;
		o = cfg_getopt(cfg, s->name);
		/* For an empty list libconfuse calls nobody. */
		if (!v->said && o != NULL && (o->flags & CFGF_MODIFIED)) {
			v->said = true;
			v->where = mem_strdup(name);
		}
		if (!v->said)
			continue;
		VEC_EACH(&v->items, item)
			free(*item);
		v->items.n = 0;
		for (unsigned i = 0; i < cfg_size(cfg, s->name); i++) {
			const char *text = cfg_getnstr(cfg, s->name, i);

			buf_clear(&plain);
			if (schema_plain(s, str_of(text), &plain, &e) == -1)
				problem(v->where, "%s = %.60s: %s", s->name,
				    text, e.text);
			else
				*VEC_ADD(&v->items) = mem_dup(plain.p, plain.n);
		}
	}
	buf_done(&plain);
}

/* ---- what settings must say together --------------------------------------- */

static uint64_t
number_of(const struct conf *c, const char *name)
{
	const struct schema_setting *s = schema_find(str_of(name));
	const char *text = conf_item(c, s, SCHEMA_GLOBAL, 0);
	uint64_t n = 0;

	(void)num_parse_u64(str_of(text), 0, UINT64_MAX, &n);
	return n;
}

static const char *
where_of(const struct conf *c, const char *name, const char *otherwise)
{
	const char *where =
	    conf_where(c, schema_find(str_of(name)), SCHEMA_GLOBAL);

	return where == NULL ? otherwise : where;
}

static void
check_order(
    const struct conf *c, const char *name, const char *first, const char *last)
{
	uint64_t high = number_of(c, last);

	if (high != 0 && high < number_of(c, first))
		problem(where_of(c, last, name), "%s is below %s", last, first);
}

static void
check_pairs(const struct conf *c, const char *name, const char *with)
{
	size_t certs =
	    conf_count(c, schema_find(STR("tls_cert")), SCHEMA_GLOBAL);
	size_t others = conf_count(c, schema_find(str_of(with)), SCHEMA_GLOBAL);

	if (others != 0 && others != certs)
		problem(where_of(c, with, name),
		    "%s has %zu files, tls_cert has %zu: they go in pairs",
		    with, others, certs);
}

static void
check_together(const struct conf *c, const char *name)
{
	check_order(c, name, "first_valid_uid", "last_valid_uid");
	check_order(c, name, "first_valid_gid", "last_valid_gid");
	check_pairs(c, name, "tls_key");
	check_pairs(c, name, "tls_ocsp");
	if (conf_count(c, schema_find(STR("auth")), SCHEMA_GLOBAL) == 0)
		problem(where_of(c, "auth", name),
		    "auth is empty: nobody could log in");
}

int
conf_parse(const char *name, struct str text, struct conf **out,
    struct buf *problems, struct err *e)
{
	struct conf *c = mem_new(1, sizeof(*c));
	struct reading r = {.conf = c, .problems = problems, .e = e};
	cfg_opt_t *inner, *outer;
	struct buf copy;
	size_t n;
	cfg_t *cfg;

	(void)schema_table(&n);
	for (size_t i = 0; i < SCHEMA_SCOPES; i++)
		c->values[i] = mem_new(n, sizeof(struct value));
	inner = make_options(true, NULL);
	outer = make_options(false, inner);
	cfg = cfg_init(outer, CFGF_NONE);
	(void)cfg_set_error_function(cfg, on_confuse_error);
	buf_init(&copy, CONF_FILE_MAX_BYTES + 1);
	reading = &r;
	if (!buf_add_str(&copy, text))
		problem(name, "too large");
	else if (parse_text(cfg, name, &copy) != CFG_SUCCESS && !r.failed)
		problem(name, "can not be read");
	if (!r.failed) {
		take_values(c, name, cfg, SCHEMA_GLOBAL);
		for (unsigned i = 0; i < cfg_size(cfg, "service"); i++) {
			cfg_t *section = cfg_getnsec(cfg, "service", i);
			enum schema_scope scope;

			if (find_scope(cfg_title(section), &scope))
				take_values(c, name, section, scope);
		}
		if (!r.failed)
			check_together(c, name);
	}
	reading = NULL;
	cfg_free(cfg);
	buf_done(&copy);
	free(inner);
	free(outer);
	if (r.failed)
		conf_free(&c);
	else
		*out = c;
	return r.failed ? -1 : 0;
}

int
conf_load(const char *path, bool optional, struct conf **out,
    struct buf *problems, struct err *e)
{
	struct buf text;
	int rc;

	buf_init(&text, CONF_FILE_MAX_BYTES);
	rc = read_file(path, &text, e);
	if (rc == -1 && optional && e->code == ERR_NOT_FOUND)
		rc = 0;
	else if (rc == -1)
		buf_addf(problems, "%s\n", e->text);
	if (rc == 0)
		rc = conf_parse(path, buf_str(&text), out, problems, e);
	buf_done(&text);
	return rc;
}

void
conf_free(struct conf **c)
{
	size_t n;

	if (*c == NULL)
		return;
	(void)schema_table(&n);
	for (size_t scope = 0; scope < SCHEMA_SCOPES; scope++) {
		for (size_t i = 0; i < n; i++) {
			struct value *v = &(*c)->values[scope][i];

			VEC_EACH(&v->items, item)
				free(*item);
			VEC_DONE(&v->items);
			free(v->where);
		}
		free((*c)->values[scope]);
	}
	free(*c);
	*c = NULL;
}

/* ---- values as they take effect -------------------------------------------- */

bool
conf_is_said(const struct conf *c, const struct schema_setting *s,
    enum schema_scope scope)
{
	size_t n;

	return c->values[scope][s - schema_table(&n)].said;
}

/* The value that is said for this scope, or NULL for the default. */
static const struct value *
effective(const struct conf *c, const struct schema_setting *s,
    enum schema_scope scope)
{
	size_t n, at = (size_t)(s - schema_table(&n));

	if (c->values[scope][at].said)
		return &c->values[scope][at];
	if (c->values[SCHEMA_GLOBAL][at].said)
		return &c->values[SCHEMA_GLOBAL][at];
	return NULL;
}

const char *
conf_where(const struct conf *c, const struct schema_setting *s,
    enum schema_scope scope)
{
	const struct value *v = effective(c, s, scope);

	return v == NULL ? NULL : v->where;
}

/* Default values are kept in plain form once somebody asks. */
static const struct value *
preset_of(const struct schema_setting *s)
{
	static struct value *presets;
	size_t n, at;
	const struct schema_setting *table = schema_table(&n);
	struct str rest = str_of(s->preset), item;
	struct value *v;
	struct buf plain;
	struct err e;

	if (presets == NULL)
		presets = mem_new(n, sizeof(*presets));
	at = (size_t)(s - table);
	v = &presets[at];
	if (v->said)
		return v;
	v->said = true;
	buf_init(&plain, CONF_FILE_MAX_BYTES);
	if (!s->list) {
		(void)schema_plain(s, rest, &plain, &e);
		*VEC_ADD(&v->items) = mem_dup(plain.p, plain.n);
	}
	while (s->list && rest.n > 0 && str_next(&rest, ' ', &item))
		*VEC_ADD(&v->items) = mem_dup(item.p, item.n);
	buf_done(&plain);
	return v;
}

size_t
conf_count(const struct conf *c, const struct schema_setting *s,
    enum schema_scope scope)
{
	const struct value *v = effective(c, s, scope);

	return (v == NULL ? preset_of(s) : v)->items.n;
}

const char *
conf_item(const struct conf *c, const struct schema_setting *s,
    enum schema_scope scope, size_t i)
{
	const struct value *v = effective(c, s, scope);

	if (v == NULL)
		v = preset_of(s);
	return i < v->items.n ? v->items.v[i] : NULL;
}

static void
write_setting(const struct conf *c, const struct schema_setting *s,
    enum schema_scope scope, const char *prefix, struct buf *out)
{
	size_t n = conf_count(c, s, scope);

	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%s%s = %s\n", prefix, s->name,
		    conf_item(c, s, scope, i));
	if (n == 0)
		buf_addf(out, "%s%s =\n", prefix, s->name);
}

void
conf_write_plain(const struct conf *c, enum schema_reader reader,
    enum schema_scope scope, struct buf *out)
{
	size_t n;
	const struct schema_setting *s = schema_table(&n);

	for (const struct schema_setting *end = s + n; s < end; s++) {
		if ((s->readers & reader) == 0)
			continue;
		write_setting(c, s, scope, "", out);
		if (scope != SCHEMA_GLOBAL)
			continue;
		if (conf_is_said(c, s, SCHEMA_IMAP))
			write_setting(c, s, SCHEMA_IMAP, "imap:", out);
		if (conf_is_said(c, s, SCHEMA_POP3))
			write_setting(c, s, SCHEMA_POP3, "pop3:", out);
	}
}
