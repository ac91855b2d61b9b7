/* SPDX-License-Identifier: ISC */
/*
 * child.h - how every process that master starts finds what it was given.
 *
 *	0, 1, 2  /dev/null, or master's standard error with -F
 *	3        channel to master
 *	4        channel to logd (chan_log.h)
 *	5        settings: a sealed memory file of lines "name = value"; that of a
 *	         user's process may be one for many, and end with the line
 *	         CHILD_SETTINGS_FOLLOW: then the first message in 3 is no frame but
 *	         the rest of the lines
 *
 * Nothing else is open, arguments are the program's name alone, the environment
 * is PATH, LANG=C, TZ, a tunable of the C library, and what spares work at the
 * start (os/exec_env.h; for login LD_BIND_NOW). Further descriptors come by messages. When the
 * channel to master closes, master has gone.
 *
 * The settings are those of the configuration that this program reads
 * (conf/schema.h, plain form), then lines of master's own, of which the last one
 * counts:
 *	self_uid, self_gid   ids to take on; absent: no change (unprivileged)
 *	self_root            empty directory to chroot to; absent: none
 *	role                 for authd, which is started twice: broker or spawner
 *	pass_uid, pass_gid   for the spawner: of the child with the passwd-file
 *	salt_key             for the spawner: 32 hexadecimal digits
 *	tls_on               for login: yes when there are certificates
 * and for imapd and pop3d, which master starts as the user already:
 *	service              "imap" or "pop3"
 *	user, home           of the grant; home may be empty
 *	mail_location        of the grant, else that of the configuration
 *	index_dir, state_dir the user's own, made and owned by the user
 * and whatever the passwd-file's extra fields say.
 */
#ifndef IPC_CHILD_H
#define IPC_CHILD_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "os/sandbox.h"

struct chan;

#define CHILD_FD_MASTER 3
#define CHILD_FD_LOG 4
#define CHILD_FD_SETTINGS 5
#define CHILD_SETTINGS_MAX (1024 * 1024)
#define CHILD_SETTINGS_FOLLOW "own_settings = follow\n"
#define CHILD_SETTINGS_OWN_MAX 2048

/* The settings of this process, in the order of the file. */
struct child_settings {
	char *bytes;
	struct child_setting {
		const char *name, *value;
	} * v;
	size_t n;
};

/*
 * The first thing in a child's main(): sets the log's process name, sends log
 * lines to descriptor 4, loads and closes descriptor 5, applies log_level,
 * marks 3 and 4 close-on-exec. Fails when the descriptors are not
 * there: the program was not started by master.
 */
int child_start(const char *process, struct child_settings *s, struct err *e);
/*
 * Confines a service process: self_uid, self_gid, self_root and the profile.
 * What the kernel lacks is in *r, for the log.
 */
int child_confine(const struct child_settings *s, enum sandbox_profile profile,
    struct sandbox_report *r, struct err *e);
/*
 * For on_close of the channel to master: ends the process. In good order when
 * master has gone; otherwise master hears why, and so does the log.
 */
NORETURN void child_master_closed(
    struct chan *c, const struct err *why, const char *process);
/* True when descriptor 3 is a channel: started by master, not by a shell. */
bool child_is_masters(void);

/* Appends one line. False: the value has a line end or NUL, or no room. */
bool child_settings_add(struct buf *out, const char *name, struct str value);
/* Parses such lines. ERR_CORRUPT with the line's number. */
int child_settings_parse(
    struct str bytes, struct child_settings *s, struct err *e);
int child_settings_load(int fd, struct child_settings *s, struct err *e);
void child_settings_done(struct child_settings *s);

/* The last value of `name`, NULL when it is not there. */
const char *child_setting(const struct child_settings *s, const char *name);
/* The same, `other` when it is not there or empty. */
const char *child_setting_or(
    const struct child_settings *s, const char *name, const char *other);
/* True for "yes". */
bool child_setting_bool(
    const struct child_settings *s, const char *name, bool other);
uint64_t child_setting_u64(
    const struct child_settings *s, const char *name, uint64_t other);
/* Steps through all values of a list, which are never empty; start with *i = 0; NULL at the end. */
const char *child_setting_next(
    const struct child_settings *s, const char *name, size_t *i);

#endif
