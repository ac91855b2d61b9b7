/* SPDX-License-Identifier: ISC */
/*
 * conf_dump.c - shows settings: to an administrator, and in restante.conf(5).
 *
 * Owns:    nothing.
 * Runs in: restantectl, tests.
 * Trusts:  the table; values are quoted on the way out.
 */
#include "conf/conf_dump.h"

static void
add_quoted(struct buf *out, const char *text)
{
	buf_add_byte(out, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			buf_add_byte(out, '\\');
		buf_add_byte(out, *text);
	}
	buf_add_byte(out, '"');
}

/* Numbers and words of our own stand without quotes. */
static bool
is_bare(const struct schema_setting *s)
{
	return s->type != SCHEMA_TEXT && s->type != SCHEMA_PATH;
}

static void
dump_value(const struct conf *c, const struct schema_setting *s,
    enum schema_scope scope, bool json, struct buf *out)
{
	size_t n = conf_count(c, s, scope);
	bool number = s->type == SCHEMA_NUMBER || s->type == SCHEMA_SECONDS ||
	    s->type == SCHEMA_BYTES;

	if (s->list)
		buf_add_c(out, json ? "[" : "{");
	for (size_t i = 0; i < n; i++) {
		const char *text = conf_item(c, s, scope, i);

		if (i > 0)
			buf_add_c(out, ", ");
		if (json && s->type == SCHEMA_BOOL)
			buf_add_c(out, text[0] == 'y' ? "true" : "false");
		else if (json ? number : is_bare(s))
			buf_add_c(out, text);
		else
			add_quoted(out, text);
	}
	if (s->list)
		buf_add_c(out, json ? "]" : "}");
}

static void
dump_line(const struct conf *c, const struct schema_setting *s,
    enum schema_scope scope, const char *indent, struct buf *out)
{
	const char *where = conf_where(c, s, scope);

	buf_addf(out, "%s%s = ", indent, s->name);
	dump_value(c, s, scope, false, out);
	if (where == NULL)
		buf_add_c(out, "\n");
	else
		buf_addf(out, "\t# %s\n", where);
}

static void
dump_service(const struct conf *c, enum schema_scope scope, struct buf *out)
{
	size_t n;
	const struct schema_setting *s = schema_table(&n);
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (!conf_is_said(c, &s[i], scope))
			continue;
		if (!any)
			buf_addf(
			    out, "service %s {\n", schema_scope_name(scope));
		any = true;
		dump_line(c, &s[i], scope, "\t", out);
	}
	if (any)
		buf_add_c(out, "}\n");
}

void
conf_dump_text(const struct conf *c, bool only_said, struct buf *out)
{
	size_t n;
	const struct schema_setting *s = schema_table(&n);

	for (size_t i = 0; i < n; i++)
		if (!only_said || conf_is_said(c, &s[i], SCHEMA_GLOBAL))
			dump_line(c, &s[i], SCHEMA_GLOBAL, "", out);
	dump_service(c, SCHEMA_IMAP, out);
	dump_service(c, SCHEMA_POP3, out);
}

static void
dump_json_entry(const struct conf *c, const struct schema_setting *s,
    enum schema_scope scope, struct buf *out)
{
	const char *where = conf_where(c, s, scope);

	buf_add_c(out, "{\"value\": ");
	dump_value(c, s, scope, true, out);
	buf_add_c(out, ", \"where\": ");
	if (where == NULL)
		buf_add_c(out, "null");
	else
		add_quoted(out, where);
}

void
conf_dump_json(const struct conf *c, struct buf *out)
{
	size_t n;
	const struct schema_setting *s = schema_table(&n);

	buf_add_c(out, "{\n");
	for (size_t i = 0; i < n; i++) {
		buf_addf(out, "  \"%s\": ", s[i].name);
		dump_json_entry(c, &s[i], SCHEMA_GLOBAL, out);
		for (enum schema_scope j = SCHEMA_IMAP; j < SCHEMA_SCOPES;
		     j++) {
			if (!conf_is_said(c, &s[i], j))
				continue;
			buf_addf(out, ", \"%s\": ", schema_scope_name(j));
			dump_json_entry(c, &s[i], j, out);
			buf_add_c(out, "}");
		}
		buf_addf(out, "}%s\n", i + 1 < n ? "," : "");
	}
	buf_add_c(out, "}\n");
}

/* ---- the manual page -------------------------------------------------------- */

/* Paths as they are on Debian; `make install` puts in the configured ones. */
static void
add_preset(struct buf *out, struct str preset)
{
	static const struct {
		const char *configured, *shown;
	} PLACES[] = {{SYSCONFDIR "/", "/etc/"}, {LOCALSTATEDIR "/", "/var/"},
	    {PKGLIBEXECDIR, "/usr/libexec/restante"}};

	for (size_t i = 0; i < ARRAY_LEN(PLACES); i++) {
		struct str place = str_of(PLACES[i].configured);

		if (str_starts(preset, place)) {
			buf_add_c(out, PLACES[i].shown);
			preset = str_skip(preset, place.n);
			break;
		}
	}
	/* mdoc takes lone dots, bars and brackets as punctuation. */
	if (preset.n > 0 && strchr("*.,:;()[]?!|", preset.p[0]) != NULL)
		buf_add_c(out, "\\&");
	buf_add_str(out, preset);
	if (preset.n > 0 && strchr("*.,:;()[]?!|", preset.p[preset.n - 1]))
		buf_add_c(out, "\\&");
}

static void
mdoc_preset(const struct schema_setting *s, struct buf *out)
{
	struct str rest = str_of(s->preset), item;
	bool first = true;

	buf_add_c(out, "Default:\n");
	if (rest.n == 0) {
		buf_add_c(out, s->list ? "none.\n" : "empty.\n");
		return;
	}
	if (!s->list) {
		buf_add_c(out, ".Ql ");
		add_preset(out, rest);
		buf_add_c(out, " .\n");
		return;
	}
	while (str_next(&rest, ' ', &item)) {
		buf_add_c(out, first ? ".Ql " : " ,\n.Ql ");
		add_preset(out, item);
		first = false;
	}
	buf_add_c(out, " .\n");
}

static void
mdoc_range(const struct schema_setting *s, struct buf *out)
{
	struct str rest, word;

	if (s->type == SCHEMA_NUMBER || s->type == SCHEMA_SECONDS ||
	    s->type == SCHEMA_BYTES)
		buf_addf(out, "From %llu to %llu.\n",
		    (unsigned long long)s->min, (unsigned long long)s->max);
	if (s->type != SCHEMA_WORD)
		return;
	rest = str_of(s->words);
	buf_add_c(out, "Possible:\n");
	while (str_next(&rest, ' ', &word))
		buf_addf(out, ".Cm %.*s%s\n", STR_ARG(word),
		    rest.n > 0 ? " ," : " .");
}

static void
mdoc_readers(const struct schema_setting *s, struct buf *out)
{
	bool first = true;

	if (s->readers == SCHEMA_ALL) {
		buf_add_c(out, "Read by all processes.\n");
		return;
	}
	buf_add_c(out, "Read by");
	for (unsigned bit = 1; bit < SCHEMA_ALL; bit <<= 1) {
		if ((s->readers & bit) == 0)
			continue;
		buf_addf(out, "%s%s", first ? " " : ", ",
		    schema_reader_name((enum schema_reader)bit));
		first = false;
	}
	buf_add_c(out, ".\n");
}

void
conf_dump_mdoc(struct buf *out)
{
	size_t n;
	const struct schema_setting *s = schema_table(&n);

	buf_add_c(out, ".Bl -tag -width Ds\n");
	for (const struct schema_setting *end = s + n; s < end; s++) {
		buf_addf(out, ".It Ic %s Pq %s%s\n", s->name,
		    schema_type_words(s),
		    s->per_service ? "; also in a service section" : "");
		buf_addf(out, "%c%s.\n",
		    s->help[0] >= 'a' && s->help[0] <= 'z' ? s->help[0] - 32
							   : s->help[0],
		    s->help + 1);
		if (s->detail != NULL)
			buf_addf(out, "%s\n", s->detail);
		mdoc_range(s, out);
		mdoc_preset(s, out);
		mdoc_readers(s, out);
	}
	buf_add_c(out, ".El\n");
}
