/* SPDX-License-Identifier: ISC */
/* commands.h - the handlers of all commands, one line each. */
#ifndef IMAPD_COMMANDS_H
#define IMAPD_COMMANDS_H

#include "imapd/command.h"

/* cmd_any.c */
command_fn cmd_capability;
command_fn cmd_noop; /* and CHECK */
command_fn cmd_logout;
command_fn cmd_id;
command_fn cmd_enable;
command_fn cmd_logged_in; /* LOGIN, AUTHENTICATE, STARTTLS: too late */
/* cmd_select.c */
command_fn cmd_select;
command_fn cmd_examine;
command_fn cmd_close;
command_fn cmd_unselect;
/* cmd_list.c */
command_fn cmd_list;
/* cmd_lsub.c */
command_fn cmd_lsub;
/* cmd_namespace.c */
command_fn cmd_namespace;
/* cmd_status.c */
command_fn cmd_status;
/* cmd_mailbox.c */
command_fn cmd_create;
command_fn cmd_delete;
command_fn cmd_rename;
command_fn cmd_subscribe;
command_fn cmd_unsubscribe;
/* cmd_append.c */
command_fn cmd_append;
/* cmd_fetch.c */
command_fn cmd_fetch;
/* cmd_search.c */
command_fn cmd_search;
/* cmd_esearch.c */
command_fn cmd_esearch;
/* cmd_notify.c */
command_fn cmd_notify;
/* context.c */
command_fn cmd_cancelupdate;
/* cmd_sort.c */
command_fn cmd_sort;
/* cmd_thread.c */
command_fn cmd_thread;
/* cmd_store.c */
command_fn cmd_store;
/* cmd_replace.c */
command_fn cmd_replace;
/* cmd_copy.c */
command_fn cmd_copy;
command_fn cmd_move;
/* cmd_expunge.c */
command_fn cmd_expunge;
/* cmd_idle.c */
command_fn cmd_idle;
/* cmd_quota.c */
command_fn cmd_getquota;
command_fn cmd_getquotaroot;
command_fn cmd_setquota;
/* cmd_acl.c */
command_fn cmd_setacl;
command_fn cmd_deleteacl;
command_fn cmd_getacl;
command_fn cmd_listrights;
command_fn cmd_myrights;
/* cmd_metadata.c */
command_fn cmd_getmetadata;
command_fn cmd_setmetadata;
/* cmd_compress.c */
command_fn cmd_compress;

#endif
