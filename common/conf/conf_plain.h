/* SPDX-License-Identifier: ISC */
/*
 * conf_plain.h - settings as master hands them to the processes it starts:
 * lines of "name = value", already checked, without libconfuse. What is not
 * said has its default.
 */
#ifndef CONF_CONF_PLAIN_H
#define CONF_CONF_PLAIN_H

#include "base/err.h"
#include "base/str.h"

/* More than this is not read. */
#define CONF_PLAIN_MAX_BYTES ((size_t)256 * 1024)

struct conf_plain;

/*
 * Reads lines. A list has one line for each value, or one with none. Names may
 * begin with "imap:" or "pop3:" (a value of that service alone). Unknown names
 * and values out of range are ERR_SYNTAX: our master does not write them.
 */
int conf_plain_parse(struct str text, struct conf_plain **out, struct err *e);
/* The same from a descriptor, up to its end; it is not closed. */
int conf_plain_load(int fd, struct conf_plain **out, struct err *e);
void conf_plain_free(struct conf_plain **c);

/*
 * The value of `name`, which must be a setting of the table; "imap:name" takes
 * the one of the service and, where there is none, the general one. Borrowed
 * for the life of `c`. Lists give their first value or "".
 */
const char *conf_plain_text(const struct conf_plain *c, const char *name);
/* As conf_plain_text, but NULL when there is no such setting. */
const char *conf_plain_find(const struct conf_plain *c, const char *name);
uint64_t conf_plain_number(const struct conf_plain *c, const char *name);
bool conf_plain_bool(const struct conf_plain *c, const char *name);
/* How many values a list has, and the one at `i`. */
size_t conf_plain_count(const struct conf_plain *c, const char *name);
const char *conf_plain_item(
    const struct conf_plain *c, const char *name, size_t i);
/* Is `value` one of the list's values? */
bool conf_plain_has(
    const struct conf_plain *c, const char *name, const char *value);

#endif
