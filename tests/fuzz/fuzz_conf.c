/* SPDX-License-Identifier: ISC */
/*
 * fuzz_conf.c - the configuration file, and the plain lines made from it.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "conf/conf.h"
#include "ipc/child.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What libconfuse would open, or read from the environment, is not for us. */
static bool
reaches_out(struct str text)
{
	return str_find_str(text, STR("include")) < text.n ||
	    str_find(text, '$') < text.n || str_find(text, 0) < text.n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make(data, size);
	struct child_settings plain;
	struct conf *conf = NULL;
	struct buf problems, lines;
	struct err e;

	buf_init(&problems, 1024 * 1024);
	buf_init(&lines, 4 * 1024 * 1024);
	if (!reaches_out(text) && size < 4096 &&
	    conf_parse("f", text, &conf, &problems, &e) == 0) {
		conf_write_plain(conf, SCHEMA_ALL, SCHEMA_GLOBAL, &lines);
		/* What we write we can read. */
		if (child_settings_parse(buf_str(&lines), &plain, &e) == -1)
			abort();
		child_settings_done(&plain);
		conf_free(&conf);
	}
	buf_done(&problems);
	buf_done(&lines);
	return 0;
}
