/* SPDX-License-Identifier: ISC */
/*
 * schema.h - the one table of all settings: what each is called, what values
 * it may have, which processes read it, and what the manual page says of it.
 */
#ifndef CONF_SCHEMA_H
#define CONF_SCHEMA_H

#include "base/buf.h"
#include "base/err.h"

enum schema_type {
	SCHEMA_BOOL, /* yes, no */
	SCHEMA_NUMBER, /* digits */
	SCHEMA_SECONDS, /* digits and s, m, h or d */
	SCHEMA_BYTES, /* digits and K, M or G */
	SCHEMA_TEXT, /* anything without control characters */
	SCHEMA_PATH, /* an absolute path, or empty where the default is */
	SCHEMA_WORD, /* one of `words` */
};

/* The processes that read a setting, as bits. */
enum schema_reader {
	SCHEMA_MASTER = 1 << 0,
	SCHEMA_LOGIN = 1 << 1,
	SCHEMA_KEYD = 1 << 2,
	SCHEMA_AUTHD = 1 << 3, /* also the spawner and its children */
	SCHEMA_SPOOLD = 1 << 4,
	SCHEMA_LOGD = 1 << 5,
	SCHEMA_IMAPD = 1 << 6,
	SCHEMA_POP3D = 1 << 7,
	SCHEMA_CTL = 1 << 8,
	SCHEMA_ALL = (1 << 9) - 1,
};

/* Whose value is meant: the global one, or that of a `service` section. */
enum schema_scope {
	SCHEMA_GLOBAL,
	SCHEMA_IMAP,
	SCHEMA_POP3,
	SCHEMA_SCOPES,
};

struct schema_setting {
	const char *name;
	enum schema_type type;
	bool list; /* any number of values */
	bool per_service; /* may stand in `service imap { }` */
	uint64_t min, max; /* of numbers, in seconds or bytes */
	const char *words; /* SCHEMA_WORD: "a b c" */
	const char
	    *preset; /* default, as in a file; of a list: "a b", "" is none */
	unsigned readers; /* enum schema_reader */
	/* SCHEMA_TEXT: more that a value must be; may be NULL */
	int (*check)(struct str value, struct err *e);
	const char *help; /* one line */
	const char *detail; /* mdoc sentences, a line each; may be NULL */
};

/* The table in alphabetical order; *n is how many. */
const struct schema_setting *schema_table(size_t *n);
/* NULL when there is no such setting. */
const struct schema_setting *schema_find(struct str name);
/* The setting whose name is most like `name`, or NULL when none is near. */
const struct schema_setting *schema_nearest(struct str name);
/* How many single-letter edits (swaps too) lead from a to b; at most 99. */
unsigned schema_edit_distance(struct str a, struct str b);
/* "imap" and "pop3", "" of SCHEMA_GLOBAL. */
const char *schema_scope_name(enum schema_scope scope);
/* "imapd" for a single reader bit. */
const char *schema_reader_name(enum schema_reader reader);
/* "number of seconds", for people. */
const char *schema_type_words(const struct schema_setting *s);

/*
 * Checks one value and adds its plain form to `out`: yes or no, bare numbers in
 * seconds or bytes, everything else as it is. ERR_SYNTAX says what was wrong.
 */
int schema_plain(const struct schema_setting *s, struct str value,
    struct buf *out, struct err *e);

#endif
