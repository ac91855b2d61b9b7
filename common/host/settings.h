/* SPDX-License-Identifier: ISC */
/* settings.h - plain names and values, with defaults, as a program has them. */
#ifndef HOST_SETTINGS_H
#define HOST_SETTINGS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"

/* Owns both of each, by settings_done(). */
struct settings {
	struct arena arena;
	struct map map;
};

/* Empty; settings_done() releases all values. */
void settings_init(struct settings *s);
void settings_done(struct settings *s);
/* Both are copied; a later value takes the place of an earlier one. */
void settings_put(struct settings *s, struct str name, struct str value);
/* "name=value". ERR_SYNTAX. */
int settings_put_line(struct settings *s, struct str line, struct err *e);
/* NULL when unknown. */
const char *settings_get(const struct settings *s, const char *name);

#endif
