/* SPDX-License-Identifier: ISC */
/* conf_dump.h - settings for people: effective values, and the manual page. */
#ifndef CONF_CONF_DUMP_H
#define CONF_CONF_DUMP_H

#include "conf/conf.h"

/*
 * Every setting as it takes effect, in the syntax of the file, with a remark
 * where it comes from; service sections behind. `only_said`: no defaults.
 */
void conf_dump_text(const struct conf *c, bool only_said, struct buf *out);
/* The same as one JSON object: name to {value, where, service: {...}}. */
void conf_dump_json(const struct conf *c, struct buf *out);
/* The table as an mdoc list, for restante.conf(5). */
void conf_dump_mdoc(struct buf *out);

#endif
