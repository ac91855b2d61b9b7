/* SPDX-License-Identifier: ISC */
/*
 * schema.c - the table of settings, put together from its parts; look-ups.
 *
 * Owns:    the order of all settings.
 * Runs in: every process (the children only look up defaults).
 * Trusts:  the parts: they are tested.
 * Spec:    restante.conf(5), which is written from this table.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "conf/schema_impl.h"

#define SETTINGS_MAX 160

static const struct schema_part *const PARTS[] = {
    &schema_auth,
    &schema_imap,
    &schema_pop3,
    &schema_server,
    &schema_store,
};

static struct schema_setting table[SETTINGS_MAX];
static size_t n_settings;

static int
by_name(const void *a, const void *b)
{
	const struct schema_setting *x = a, *y = b;

	return strcmp(x->name, y->name);
}

const struct schema_setting *
schema_table(size_t *n)
{
	if (n_settings == 0) {
		for (size_t i = 0; i < ARRAY_LEN(PARTS); i++) {
			ASSERT(n_settings + PARTS[i]->n <= SETTINGS_MAX);
			memcpy(table + n_settings, PARTS[i]->settings,
			    PARTS[i]->n * sizeof(*table));
			n_settings += PARTS[i]->n;
		}
		qsort(table, n_settings, sizeof(*table), by_name);
	}
	*n = n_settings;
	return table;
}

const struct schema_setting *
schema_find(struct str name)
{
	size_t low = 0, high;
	const struct schema_setting *all = schema_table(&high);

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = str_cmp(name, str_of(all[middle].name));

		if (order == 0)
			return &all[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Names are short: a longer one is like none of ours. */
#define NAME_MAX_BYTES 40
#define FAR 99

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned
schema_edit_distance(struct str a, struct str b)
{
	unsigned rows[3][NAME_MAX_BYTES + 1];
	unsigned *before = rows[0], *last = rows[1], *now = rows[2], *spare;

	if (a.n > NAME_MAX_BYTES || b.n > NAME_MAX_BYTES)
		return FAR;
	for (size_t j = 0; j <= b.n; j++)
		before[j] = last[j] = (unsigned)j;
	for (size_t i = 1; i <= a.n; i++) {
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b.n; j++) {
			unsigned cost = a.p[i - 1] == b.p[j - 1] ? 0 : 1;

			now[j] = least(
			    least(last[j], now[j - 1]) + 1, last[j - 1] + cost);
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] &&
			    a.p[i - 2] == b.p[j - 1])
				now[j] = least(now[j], before[j - 2] + 1);
		}
		spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[b.n];
}

const struct schema_setting *
schema_nearest(struct str name)
{
	const struct schema_setting *best = NULL;
	unsigned best_distance = FAR;
	size_t n;
	const struct schema_setting *all = schema_table(&n);

	for (size_t i = 0; i < n; i++) {
		struct str have = str_of(all[i].name);
		unsigned d = schema_edit_distance(name, have);

		/* A third of the letters may differ: more is another word. */
		if (d < best_distance && d <= 1 + have.n / 3) {
			best = &all[i];
			best_distance = d;
		}
	}
	return best;
}

const char *
schema_scope_name(enum schema_scope scope)
{
	static const char *const NAMES[] = {"", "imap", "pop3"};

	return NAMES[scope];
}

const char *
schema_reader_name(enum schema_reader reader)
{
	switch (reader) {
	case SCHEMA_MASTER:
		return "restanted";
	case SCHEMA_LOGIN:
		return "login";
	case SCHEMA_KEYD:
		return "keyd";
	case SCHEMA_AUTHD:
		return "authd";
	case SCHEMA_SPOOLD:
		return "spoold";
	case SCHEMA_LOGD:
		return "logd";
	case SCHEMA_IMAPD:
		return "imapd";
	case SCHEMA_POP3D:
		return "pop3d";
	case SCHEMA_CTL:
		return "restantectl";
	case SCHEMA_ALL:
		break;
	}
	return "all";
}

const char *
schema_type_words(const struct schema_setting *s)
{
	switch (s->type) {
	case SCHEMA_BOOL:
		return "yes or no";
	case SCHEMA_NUMBER:
		return "number";
	case SCHEMA_SECONDS:
		return "time in seconds";
	case SCHEMA_BYTES:
		return "size in bytes";
	case SCHEMA_TEXT:
		return s->list ? "list of texts" : "text";
	case SCHEMA_PATH:
		return s->list ? "list of paths" : "path";
	case SCHEMA_WORD:
		return s->list ? "list of words" : "word";
	}
	return "";
}
