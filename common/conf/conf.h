/* SPDX-License-Identifier: ISC */
/*
 * conf.h - the configuration file: read through libconfuse, checked against
 * the table of settings. Only master and restantectl read it.
 *
 *	# comment
 *	listen = {"127.0.0.1", "::1"}
 *	service imap { max_sessions_per_user = 100 }
 *	include("conf.d/local.conf")
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "base/buf.h"
#include "base/err.h"
#include "conf/schema.h"

#define CONF_FILE_MAX_BYTES ((size_t)1024 * 1024)
#define CONF_INCLUDES_MAX 8 /* deep */

struct conf;

/*
 * Reads `path` and what it includes; `optional`: a file that is not there is
 * an empty one. When anything is wrong: -1, a line "file:line: what" for each
 * problem in `problems`, and the first of them in `e`. The caller frees *out.
 */
int conf_load(const char *path, bool optional, struct conf **out,
    struct buf *problems, struct err *e);
/* The same of text in memory, called `name` in messages (tests, fuzzing). */
int conf_parse(const char *name, struct str text, struct conf **out,
    struct buf *problems, struct err *e);
void conf_free(struct conf **c);

/*
 * What `reader` reads, as plain lines for ipc/child.h. SCHEMA_GLOBAL
 * adds the differing values of each service as "imap:name = value"; another
 * scope writes one set with that service's values in place.
 */
void conf_write_plain(const struct conf *c, enum schema_reader reader,
    enum schema_scope scope, struct buf *out);

/* How many values the setting has in this scope as it takes effect. */
size_t conf_count(const struct conf *c, const struct schema_setting *s,
    enum schema_scope scope);
/* One of them, in plain form; borrowed. */
const char *conf_item(const struct conf *c, const struct schema_setting *s,
    enum schema_scope scope, size_t i);
/* "file:line" of it, NULL where it is the default. */
const char *conf_where(const struct conf *c, const struct schema_setting *s,
    enum schema_scope scope);
/* Is it said in this very scope (not inherited, not the default)? */
bool conf_is_said(const struct conf *c, const struct schema_setting *s,
    enum schema_scope scope);

#endif
