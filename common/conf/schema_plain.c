/* SPDX-License-Identifier: ISC */
/*
 * schema_plain.c - checks one value against its setting and makes it plain.
 *
 * Owns:    nothing.
 * Runs in: restanted, restantectl.
 * Trusts:  nothing in a value.
 * Spec:    restante.conf(5).
 */
#include "conf/schema_impl.h"
#include "text/unit.h"

static int
plain_bool(struct str value, struct buf *out, struct err *e)
{
	static const struct {
		const char *word, *plain;
	} WORDS[] = {{"yes", "yes"}, {"true", "yes"}, {"on", "yes"},
	    {"no", "no"}, {"false", "no"}, {"off", "no"}};

	for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
		if (str_eq_nocase(value, str_of(WORDS[i].word))) {
			buf_add_c(out, WORDS[i].plain);
			return 0;
		}
	return err_set(e, ERR_SYNTAX, "must be yes or no");
}

static int
plain_number(const struct schema_setting *s, struct str value, struct buf *out,
    struct err *e)
{
	enum unit_kind kind = s->type == SCHEMA_SECONDS ? UNIT_SECONDS
	    : s->type == SCHEMA_BYTES                   ? UNIT_BYTES
							: UNIT_NONE;
	uint64_t n;

	if (unit_parse(value, kind, UINT64_MAX, &n, e) == -1)
		return -1;
	if (n < s->min || n > s->max)
		return err_set(e, ERR_SYNTAX,
		    "out of range: %llu to %llu is possible",
		    (unsigned long long)s->min, (unsigned long long)s->max);
	buf_addf(out, "%llu", (unsigned long long)n);
	return 0;
}

static int
plain_word(const struct schema_setting *s, struct str value, struct buf *out,
    struct err *e)
{
	struct str rest = str_of(s->words), word;

	while (str_next(&rest, ' ', &word))
		if (str_eq_nocase(word, value)) {
			buf_add_str(out, word);
			return 0;
		}
	return err_set(e, ERR_SYNTAX, "must be one of: %s", s->words);
}

static int
plain_text(const struct schema_setting *s, struct str value, struct buf *out,
    struct err *e)
{
	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] < 0x20 || value.p[i] == 0x7f)
			return err_set(
			    e, ERR_SYNTAX, "must not have control characters");
	if (s->type == SCHEMA_PATH && value.n > 0 && value.p[0] != '/')
		return err_set(e, ERR_SYNTAX, "must be an absolute path");
	if (s->check != NULL && s->check(value, e) == -1)
		return -1;
	buf_add_str(out, value);
	return 0;
}

int
schema_plain(const struct schema_setting *s, struct str value, struct buf *out,
    struct err *e)
{
	switch (s->type) {
	case SCHEMA_BOOL:
		return plain_bool(value, out, e);
	case SCHEMA_NUMBER:
	case SCHEMA_SECONDS:
	case SCHEMA_BYTES:
		return plain_number(s, value, out, e);
	case SCHEMA_WORD:
		return plain_word(s, value, out, e);
	case SCHEMA_TEXT:
	case SCHEMA_PATH:
		return plain_text(s, value, out, e);
	}
	return err_set(e, ERR_SYNTAX, "unknown type");
}
