/* SPDX-License-Identifier: ISC */
/*
 * settings.c - plain names and values, with defaults.
 *
 * Owns:    copies of names and values.
 * Runs in: imapd and pop3d.
 * Trusts:  what master or the caller's command line say; whoever reads a
 *          value checks its form.
 */
#include "host/settings.h"

void
settings_init(struct settings *s)
{
	arena_init(&s->arena);
	map_init(&s->map);
}

void
settings_done(struct settings *s)
{
	map_done(&s->map);
	arena_done(&s->arena);
}

void
settings_put(struct settings *s, struct str name, struct str value)
{
	map_put(&s->map, arena_str(&s->arena, name), arena_c(&s->arena, value));
}

int
settings_put_line(struct settings *s, struct str line, struct err *e)
{
	struct str name;

	if (!str_cut(&line, '=', &name) || str_trim(name).n == 0)
		return err_set(
		    e, ERR_SYNTAX, "\"%.*s\" is not name=value", STR_ARG(name));
	settings_put(s, str_trim(name), str_trim(line));
	return 0;
}

const char *
settings_get(const struct settings *s, const char *name)
{
	return map_find(&s->map, str_of(name));
}
