/* SPDX-License-Identifier: ISC */
/*
 * chan_ctl.h - the control tool, or an imapd or pop3d from a shell, with
 * master over its local socket (SOCK_SEQPACKET, "control" in the run
 * directory). Who asks is what the kernel says (SO_PEERCRED).
 *
 * Master trusts nothing in a request; the tool believes master.
 */
#ifndef IPC_CHAN_CTL_H
#define IPC_CHAN_CTL_H

#include "base/buf.h"
#include "base/err.h"
#include "ipc/msg.h"

/* Types of messages. */
enum {
	CTL_REQUEST = 80,
	CTL_ROW = 81,
	CTL_END = 82,
	CTL_SETTINGS = 83,
};

#define CTL_FRAME_MAX 16384
#define CTL_ARGS_MAX 16
#define CTL_FIELDS_MAX 32
#define CTL_TEXT_MAX 4000
#define CTL_CONTROL_SOCKET "control"

/*
 * CTL_REQUEST  tool -> master, no descriptors, one at a time
 *   str verb     "who", "kick", "reload", "status", "stop", "settings"
 *   u8  n, then n times: str name, str value
 * `who`: optional user, service, ip. `kick`: the same, or session; at least
 * one. `settings`: service ("imap", "pop3"), user (which only a master without
 * root believes); answered for the asking uid.
 * Answered by any number of CTL_ROW (`settings`: CTL_SETTINGS), then CTL_END.
 */
struct ctl_field {
	struct str name, value;
};
struct ctl_request {
	struct str verb;
	struct ctl_field args[CTL_ARGS_MAX];
	size_t n_args;
};
void ctl_request_write(const struct ctl_request *m, struct buf *out);
int ctl_request_parse(struct msg_in *in, struct ctl_request *m, struct err *e);
/* The value of an argument, an empty slice when it is not there. */
struct str ctl_arg(const struct ctl_request *m, struct str name);

/*
 * CTL_ROW  master -> tool: one thing (a session, a process)
 *   u8 n, then n times: str name, bool is_number, str value
 * The names are stable; the tool prints them as JSON keys.
 */
struct ctl_value {
	struct str name, value;
	bool is_number;
};
struct ctl_row {
	struct ctl_value fields[CTL_FIELDS_MAX];
	size_t n_fields;
};
void ctl_row_write(const struct ctl_row *m, struct buf *out);
int ctl_row_parse(struct msg_in *in, struct ctl_row *m, struct err *e);

/*
 * CTL_END  master -> tool: bool ok, str text (what was done, or why not)
 */
struct ctl_end {
	bool ok;
	struct str text;
};
void ctl_end_write(const struct ctl_end *m, struct buf *out);
int ctl_end_parse(struct msg_in *in, struct ctl_end *m, struct err *e);

/*
 * CTL_SETTINGS  master -> imapd or pop3d from a shell, 2 descriptors: the
 * settings as child.h describes them, with index_dir and state_dir made; a
 * channel to spoold (chan_spool.h), closed already when there is none
 */
void ctl_settings_write(struct buf *out);
int ctl_settings_parse(struct msg_in *in, struct err *e);

#endif
