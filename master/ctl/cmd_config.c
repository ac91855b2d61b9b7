/* SPDX-License-Identifier: ISC */
/*
 * cmd_config.c - check and config: the configuration as master reads it.
 *
 * Owns:    nothing.
 * Runs in: restantectl.
 * Trusts:  the file, as far as its owner may write it.
 */
#include <stdio.h>

#include "conf/conf_dump.h"
#include "ctl.h"

#define OUTPUT_MAX_BYTES ((size_t)4 * 1024 * 1024)

int
ctl_load(const struct ctl_options *o, struct conf **out)
{
	struct buf problems;
	struct err e;
	int rc;

	buf_init(&problems, OUTPUT_MAX_BYTES);
	rc = conf_load(o->config, !o->config_said, out, &problems, &e);
	if (rc == -1)
		(void)fwrite(problems.p, 1, problems.n, stderr);
	buf_done(&problems);
	return rc;
}

/* The problems as a JSON list of {where, line, text}. */
static void
add_problems_json(struct buf *out, struct str problems)
{
	struct str line, file, number, whole;
	bool first = true;

	buf_add_c(out, "{\"ok\": false, \"problems\": [");
	while (str_next(&problems, '\n', &line)) {
		if (line.n == 0)
			continue;
		whole = line;
		buf_add_c(out, first ? "\n  {" : ",\n  {");
		first = false;
		if (str_cut(&line, ':', &file) &&
		    str_cut(&line, ':', &number) && number.n > 0 &&
		    number.p[0] >= '0' && number.p[0] <= '9') {
			buf_add_c(out, "\"file\": ");
			ctl_json_string(out, file);
			buf_addf(out, ", \"line\": %.*s, ", STR_ARG(number));
			whole = str_trim(line);
		}
		buf_add_c(out, "\"text\": ");
		ctl_json_string(out, whole);
		buf_add_c(out, "}");
	}
	buf_add_c(out, "]}\n");
}

int
ctl_check(const struct ctl_options *o, int argc, char **argv)
{
	struct conf *conf = NULL;
	struct buf problems, out;
	struct err e;
	int status;

	if (argc == 2 && argv[1][0] != '-')
		return ctl_check_mail(o, argv[1]);
	if (argc != 1)
		return ctl_usage("name one user, or none");
	buf_init(&problems, OUTPUT_MAX_BYTES);
	buf_init(&out, OUTPUT_MAX_BYTES);
	status =
	    conf_load(o->config, !o->config_said, &conf, &problems, &e) == 0
	    ? 0
	    : 1;
	if (status == 0)
		buf_add_c(&out,
		    o->json ? "{\"ok\": true, \"problems\": []}\n"
			    : "The configuration is good.\n");
	else if (o->json)
		add_problems_json(&out, buf_str(&problems));
	else
		buf_add_str(&out, buf_str(&problems));
	if (ctl_print(&out) != 0)
		status = 1;
	conf_free(&conf);
	buf_done(&problems);
	buf_done(&out);
	return status;
}

/* What an imapd or pop3d from a shell asks for when there is no master. */
static int
config_plain(const struct conf *conf, const char *service, struct buf *out)
{
	struct str name = str_of(service);

	if (str_eq(name, STR("imap")))
		conf_write_plain(conf, SCHEMA_IMAPD, SCHEMA_IMAP, out);
	else if (str_eq(name, STR("pop3")))
		conf_write_plain(conf, SCHEMA_POP3D, SCHEMA_POP3, out);
	else
		return ctl_complain("unknown service %s", service);
	return 0;
}

int
ctl_config(const struct ctl_options *o, int argc, char **argv)
{
	struct conf *conf = NULL;
	const char *plain = NULL;
	bool all = false;
	struct buf out;
	int status = 0;

	for (int i = 1; i < argc; i++) {
		if (str_eq(str_of(argv[i]), STR("--all")))
			all = true;
		else if (str_eq(str_of(argv[i]), STR("--plain")) &&
		    i + 1 < argc)
			plain = argv[++i];
		else
			return ctl_usage(
			    "%s: unknown, or without its value", argv[i]);
	}
	if (ctl_load(o, &conf) == -1)
		return 1;
	buf_init(&out, OUTPUT_MAX_BYTES);
	if (plain != NULL)
		status = config_plain(conf, plain, &out);
	else if (o->json)
		conf_dump_json(conf, &out);
	else
		conf_dump_text(conf, !all, &out);
	if (status == 0)
		status = ctl_print(&out);
	conf_free(&conf);
	buf_done(&out);
	return status;
}
