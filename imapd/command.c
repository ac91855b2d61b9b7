/* SPDX-License-Identifier: ISC */
/*
 * command.c - the table of commands.
 *
 * Owns:    the table.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 3501 section 6 and the extensions' RFCs.
 *
 * Commands of a session run one after the other, in the order in which they
 * came. So none can see another half done, and what RFC 3501 section 5.5 calls
 * an ambiguity can not arise; a pipelined command waits for its turn.
 */
#include "imapd/command.h"

#include "imap/imap_tag.h"
#include "imapd/commands.h"

#define SET (CMD_UID | CMD_LONG)

/* In ASCII order, for imap_tag_find(). */
static const struct command table[] = {
    {"APPEND", cmd_append, IN_ANY, CMD_STREAM | CMD_PROGRESS},
    {"AUTHENTICATE", cmd_logged_in, IN_ANY, CMD_NO_SYNC},
    {"CANCELUPDATE", cmd_cancelupdate, IN_SELECTED, 0},
    {"CAPABILITY", cmd_capability, IN_ANY, 0},
    {"CHECK", cmd_noop, IN_SELECTED, 0},
    {"CLOSE", cmd_close, IN_SELECTED, CMD_NO_SYNC},
    {"COMPRESS", cmd_compress, IN_ANY, CMD_NO_SYNC},
    {"COPY", cmd_copy, IN_SELECTED, SET | CMD_PROGRESS},
    {"CREATE", cmd_create, IN_ANY, 0},
    {"DELETE", cmd_delete, IN_ANY, 0},
    {"DELETEACL", cmd_deleteacl, IN_ANY, 0},
    {"ENABLE", cmd_enable, IN_ANY, 0},
    {"ESEARCH", cmd_esearch, IN_ANY,
	SET | CMD_8BIT | CMD_SECTION | CMD_NO_NUMBERS | CMD_PROGRESS},
    {"EXAMINE", cmd_examine, IN_ANY, CMD_NO_SYNC | CMD_PROGRESS},
    {"EXPUNGE", cmd_expunge, IN_SELECTED, SET | CMD_NO_NUMBERS | CMD_PROGRESS},
    {"FETCH", cmd_fetch, IN_SELECTED,
	SET | CMD_NO_EXPUNGE | CMD_SECTION | CMD_PROGRESS},
    {"GETACL", cmd_getacl, IN_ANY, 0},
    {"GETMETADATA", cmd_getmetadata, IN_ANY, 0},
    {"GETQUOTA", cmd_getquota, IN_ANY, 0},
    {"GETQUOTAROOT", cmd_getquotaroot, IN_ANY, 0},
    {"ID", cmd_id, IN_ANY, 0},
    {"IDLE", cmd_idle, IN_ANY, 0},
    {"LIST", cmd_list, IN_ANY, CMD_PROGRESS},
    {"LISTRIGHTS", cmd_listrights, IN_ANY, 0},
    {"LOGIN", cmd_logged_in, IN_ANY, CMD_NO_SYNC},
    {"LOGOUT", cmd_logout, IN_ANY, CMD_NO_SYNC},
    {"LSUB", cmd_lsub, IN_ANY, 0},
    {"MOVE", cmd_move, IN_SELECTED, SET | CMD_PROGRESS},
    {"MYRIGHTS", cmd_myrights, IN_ANY, 0},
    {"NAMESPACE", cmd_namespace, IN_ANY, 0},
    {"NOOP", cmd_noop, IN_ANY, 0},
    {"NOTIFY", cmd_notify, IN_ANY, CMD_SECTION},
    {"RENAME", cmd_rename, IN_ANY, 0},
    {"REPLACE", cmd_replace, IN_SELECTED,
	CMD_UID | CMD_STREAM_2 | CMD_PROGRESS},
    {"SEARCH", cmd_search, IN_SELECTED,
	SET | CMD_NO_EXPUNGE | CMD_8BIT | CMD_SECTION | CMD_PROGRESS},
    {"SELECT", cmd_select, IN_ANY, CMD_NO_SYNC | CMD_PROGRESS},
    {"SETACL", cmd_setacl, IN_ANY, 0},
    {"SETMETADATA", cmd_setmetadata, IN_ANY, CMD_8BIT},
    {"SETQUOTA", cmd_setquota, IN_ANY, 0},
    {"SORT", cmd_sort, IN_SELECTED,
	SET | CMD_NO_EXPUNGE | CMD_8BIT | CMD_SECTION | CMD_PROGRESS},
    {"STARTTLS", cmd_logged_in, IN_ANY, CMD_NO_SYNC},
    {"STATUS", cmd_status, IN_ANY, CMD_PROGRESS},
    {"STORE", cmd_store, IN_SELECTED, SET | CMD_NO_EXPUNGE | CMD_PROGRESS},
    {"SUBSCRIBE", cmd_subscribe, IN_ANY, 0},
    {"THREAD", cmd_thread, IN_SELECTED,
	SET | CMD_NO_EXPUNGE | CMD_8BIT | CMD_PROGRESS},
    {"UNSELECT", cmd_unselect, IN_SELECTED, CMD_NO_SYNC},
    {"UNSUBSCRIBE", cmd_unsubscribe, IN_ANY, 0},
};

const struct command *
command_find(struct str word)
{
	return imap_tag_find(table, ARRAY_LEN(table), sizeof(*table), word);
}
