/* SPDX-License-Identifier: ISC */
/* ctl.h - what the commands of restantectl share. */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include "base/err.h"
#include "base/str.h"
#include "conf/conf.h"

struct ctl_options {
	const char *config; /* -c, or the usual place */
	bool config_said; /* -c was given: the file must be there */
	bool json;
};

struct ctl_command {
	const char *name;
	const char *arguments; /* for the usage text */
	const char *help;
	/* argv[0] is the command; returns the exit status. */
	int (*run)(const struct ctl_options *o, int argc, char **argv);
};

/* cmd_master.c: what a running master answers. */
int ctl_who(const struct ctl_options *o, int argc, char **argv);
int ctl_kick(const struct ctl_options *o, int argc, char **argv);
int ctl_simple(const struct ctl_options *o, int argc, char **argv);
/* How many sessions of a user there are. -1: no server answers. */
int ctl_count_sessions(
    const struct ctl_options *o, const char *user, size_t *n);
/* cmd_config.c: the configuration. */
int ctl_check(const struct ctl_options *o, int argc, char **argv);
int ctl_config(const struct ctl_options *o, int argc, char **argv);

/* cmd_mail.c: the mail of a user. */
int ctl_check_mail(const struct ctl_options *o, const char *user);
int ctl_repair(const struct ctl_options *o, int argc, char **argv);
/* cmd_give_back.c */
int ctl_give_back(const struct ctl_options *o, int argc, char **argv);
/* cmd_share.c */
int ctl_share(const struct ctl_options *o, int argc, char **argv);
int ctl_unshare(const struct ctl_options *o, int argc, char **argv);
/* cmd_index.c */
int ctl_index(const struct ctl_options *o, int argc, char **argv);

/* Reads the configuration; prints every problem to standard error. */
int ctl_load(const struct ctl_options *o, struct conf **out);
/* "restantectl: text" on standard error; returns 1. */
int ctl_complain(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Says what is wrong with the command's arguments, and what they are; returns
 * 2, the exit status for it. */
int ctl_usage(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Adds a JSON string with its quotes. */
void ctl_json_string(struct buf *out, struct str s);
/* Writes to standard output; returns the exit status. */
int ctl_print(const struct buf *out);

#endif
