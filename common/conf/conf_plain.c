/* SPDX-License-Identifier: ISC */
/*
 * conf_plain.c - settings as lines of "name = value", for every process.
 *
 * Owns:    struct conf_plain.
 * Runs in: all processes; no libconfuse here.
 * Trusts:  nothing: the lines are checked again, although master wrote them.
 */
#include <errno.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/num.h"
#include "base/vec.h"
#include "conf/conf_plain.h"
#include "conf/schema.h"

struct plain_value {
	const struct schema_setting *setting;
	enum schema_scope scope;
	char *text; /* NULL: says that the list is empty */
};

struct conf_plain {
	VEC(struct plain_value) values;
};

/* Takes "imap:" or "pop3:" off the front of a name. */
static enum schema_scope
cut_scope(struct str *name)
{
	for (enum schema_scope i = SCHEMA_IMAP; i < SCHEMA_SCOPES; i++) {
		struct str scope = str_of(schema_scope_name(i));

		if (str_starts(*name, scope) && name->n > scope.n &&
		    name->p[scope.n] == ':') {
			*name = str_skip(*name, scope.n + 1);
			return i;
		}
	}
	return SCHEMA_GLOBAL;
}

static void
add_value(struct conf_plain *c, const struct schema_setting *s,
    enum schema_scope scope, struct str text, bool empty)
{
	struct plain_value *v = VEC_ADD(&c->values);

	v->setting = s;
	v->scope = scope;
	v->text = empty ? NULL : mem_dup(text.p, text.n);
}

static int
parse_line(struct conf_plain *c, struct str line, struct err *e)
{
	const struct schema_setting *s;
	struct str name, checked;
	struct buf plain;
	enum schema_scope scope;
	int rc;

	if (!str_cut(&line, '=', &name))
		return err_set(e, ERR_SYNTAX, "setting without =");
	name = str_trim(name);
	line = str_trim(line);
	scope = cut_scope(&name);
	s = schema_find(name);
	if (s == NULL || (scope != SCHEMA_GLOBAL && !s->per_service))
		return err_set(e, ERR_SYNTAX, "unknown setting %.*s",
		    STR_ARG(str_head(name, 40)));
	if (s->list && line.n == 0) {
		add_value(c, s, scope, line, true);
		return 0;
	}
	buf_init(&plain, CONF_PLAIN_MAX_BYTES);
	rc = schema_plain(s, line, &plain, e);
	checked = buf_str(&plain);
	if (rc == -1)
		err_in(e, "%s", s->name);
	else
		add_value(c, s, scope, checked, false);
	buf_done(&plain);
	return rc;
}

/* Lists that were not mentioned get their default values. */
static void
add_default_lists(struct conf_plain *c)
{
	size_t n, said = c->values.n;
	const struct schema_setting *table = schema_table(&n);

	for (size_t i = 0; i < n; i++) {
		struct str rest = str_of(table[i].preset), item;
		bool is_said = !table[i].list;

		for (size_t j = 0; j < said && !is_said; j++)
			is_said = c->values.v[j].setting == &table[i] &&
			    c->values.v[j].scope == SCHEMA_GLOBAL;
		while (!is_said && rest.n > 0 && str_next(&rest, ' ', &item))
			add_value(c, &table[i], SCHEMA_GLOBAL, item, false);
	}
}

int
conf_plain_parse(struct str text, struct conf_plain **out, struct err *e)
{
	struct conf_plain *c = mem_new(1, sizeof(*c));
	struct str line;

	while (str_next(&text, '\n', &line)) {
		if (str_trim(line).n == 0)
			continue;
		if (parse_line(c, line, e) == -1) {
			conf_plain_free(&c);
			return -1;
		}
	}
	add_default_lists(c);
	*out = c;
	return 0;
}

int
conf_plain_load(int fd, struct conf_plain **out, struct err *e)
{
	struct buf text;
	ssize_t n;
	char *room;
	int rc = -1;

	buf_init(&text, CONF_PLAIN_MAX_BYTES);
	do {
		room = buf_room(&text, 4096);
		if (room == NULL) {
			err_set(e, ERR_LIMIT, "settings: too many bytes");
			goto out;
		}
		n = read(fd, room, 4096);
		if (n > 0)
			text.n += (size_t)n;
	} while (n > 0 || (n == -1 && errno == EINTR));
	if (n == -1)
		err_sys(e, "read settings");
	else
		rc = conf_plain_parse(buf_str(&text), out, e);
out:
	buf_done(&text);
	return rc;
}

void
conf_plain_free(struct conf_plain **c)
{
	if (*c == NULL)
		return;
	VEC_EACH(&(*c)->values, v)
		free(v->text);
	VEC_DONE(&(*c)->values);
	free(*c);
	*c = NULL;
}

/* Value `at` of a setting in exactly this scope; *said: it has any lines. */
static const char *
value_at(const struct conf_plain *c, const struct schema_setting *s,
    enum schema_scope scope, size_t at, bool *said)
{
	size_t seen = 0;
	const char *last = NULL;

	for (size_t i = 0; i < c->values.n; i++) {
		const struct plain_value *v = &c->values.v[i];

		if (v->setting != s || v->scope != scope)
			continue;
		*said = true;
		last = v->text;
		if (s->list && v->text != NULL && seen++ == at)
			return v->text;
	}
	return s->list ? NULL : last;
}

static const char *
find_value(const struct conf_plain *c, struct str name, size_t at,
    const struct schema_setting **setting)
{
	enum schema_scope scope = cut_scope(&name);
	const struct schema_setting *s = schema_find(name);
	const char *text;
	bool said = false;

	*setting = s;
	if (s == NULL)
		return NULL;
	text = value_at(c, s, scope, at, &said);
	if (!said && scope != SCHEMA_GLOBAL)
		text = value_at(c, s, SCHEMA_GLOBAL, at, &said);
	if (!said && !s->list)
		text = s->preset;
	return text;
}

const char *
conf_plain_find(const struct conf_plain *c, const char *name)
{
	const struct schema_setting *s;
	const char *text = find_value(c, str_of(name), 0, &s);

	return s != NULL && text == NULL ? "" : text;
}

const char *
conf_plain_text(const struct conf_plain *c, const char *name)
{
	const char *text = conf_plain_find(c, name);

	ASSERT(text != NULL);
	return text;
}

uint64_t
conf_plain_number(const struct conf_plain *c, const char *name)
{
	const struct schema_setting *s;
	const char *text = find_value(c, str_of(name), 0, &s);
	struct buf plain;
	struct err e;
	uint64_t n = 0;

	/* A default may still have its unit. */
	ASSERT(s != NULL && text != NULL);
	buf_init(&plain, CONF_PLAIN_MAX_BYTES);
	if (schema_plain(s, str_of(text), &plain, &e) == 0)
		(void)num_parse_u64(buf_str(&plain), 0, UINT64_MAX, &n);
	buf_done(&plain);
	return n;
}

bool
conf_plain_bool(const struct conf_plain *c, const char *name)
{
	return str_eq(str_of(conf_plain_text(c, name)), STR("yes"));
}

const char *
conf_plain_item(const struct conf_plain *c, const char *name, size_t i)
{
	const struct schema_setting *s;

	return find_value(c, str_of(name), i, &s);
}

size_t
conf_plain_count(const struct conf_plain *c, const char *name)
{
	size_t n = 0;

	while (conf_plain_item(c, name, n) != NULL)
		n++;
	return n;
}

bool
conf_plain_has(const struct conf_plain *c, const char *name, const char *value)
{
	const char *item;

	for (size_t i = 0; (item = conf_plain_item(c, name, i)) != NULL; i++)
		if (str_eq(str_of(item), str_of(value)))
			return true;
	return false;
}
