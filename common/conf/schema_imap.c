/* SPDX-License-Identifier: ISC */
/*
 * schema_imap.c - settings: what IMAP sessions do.
 *
 * Owns:    their names, ranges and defaults.
 * Runs in: every process (the children only look up defaults).
 * Trusts:  nothing in a value; the table itself is tested.
 * Spec:    restante.conf(5), which is written from this table.
 */
#include "conf/schema_impl.h"

/* CAPABILITY, client=NAME:CAPABILITY, user=NAME:CAPABILITY */
static int
check_mask(struct str value, struct err *e)
{
	struct str who, name = value;
	bool is_for = str_starts(value, STR("client=")) ||
	    str_starts(value, STR("user="));

	if (is_for && str_find(value, ':') < value.n) {
		(void)str_cut(&name, ':', &who);
		(void)str_cut(&who, '=', &value);
		if (who.n > 0 && name.n > 0 && str_find(name, ' ') == name.n &&
		    str_find(who, ' ') == who.n)
			return 0;
	} else if (!is_for && name.n > 0 && str_find(name, ' ') == name.n) {
		return 0;
	}
	return err_set(e, ERR_SYNTAX,
	    "must be a capability, perhaps behind client=NAME: or user=NAME:");
}

/* clang-format off */
static const struct schema_setting TABLE[] = {
{
	.name = "append_8bit_headers", .type = SCHEMA_BOOL, .preset = "yes",
	.readers = SCHEMA_IMAPD,
	.help = "APPEND takes 8-bit in headers from every client",
	.detail =
	    "RFC 9755 wants such messages refused unless the client has said ENABLE\n"
	    "UTF8=ACCEPT or ENABLE IMAP4rev2; say no for that.\n"
	    "Old mail is full of such headers, and programs that move it here enable\n"
	    "nothing.",
}, {
	.name = "append_limit", .type = SCHEMA_BYTES,
	.min = 64 * KIB, .max = 4 * GIB - 1, .preset = "100M",
	.readers = SCHEMA_IMAPD,
	.help = "largest message that APPEND takes",
	.detail = "A larger one is refused before it is read.",
}, {
	.name = "background_load", .type = SCHEMA_NUMBER,
	.min = 0, .max = 1000000, .preset = "400", .readers = SCHEMA_IMAPD,
	.help = "load above which background sessions have to wait",
	.detail =
	    "The load of the last minute, in percent of a processor, for each\n"
	    "processor.\n"
	    "Sessions that a mail program calls indexing or filling up\n"
	    ".Pq Xr restante-imap 7\n"
	    "are told\n"
	    ".Li NO [UNAVAILABLE]\n"
	    "meanwhile.\n"
	    "0: the load does not count.",
}, {
	.name = "background_memory", .type = SCHEMA_BYTES,
	.min = 0, .max = 1024 * 1024 * GIB, .preset = "64M",
	.readers = SCHEMA_IMAPD,
	.help = "memory below which background sessions have to wait",
	.detail =
	    "What the kernel calls available.\n"
	    "0: it does not count.",
}, {
	.name = "imap_capability_mask", .type = SCHEMA_TEXT, .list = true,
	.preset = "", .readers = SCHEMA_LOGIN | SCHEMA_IMAPD,
	.check = check_mask,
	.help = "capabilities that are not announced",
	.detail =
	    "As\n"
	    ".Ql COMPRESS=DEFLATE\n"
	    "for all,\n"
	    ".Ql client=Thunderbird:QRESYNC\n"
	    "for mail programs whose name in ID begins so (blanks left out),\n"
	    ".Ql user=alice:NOTIFY\n"
	    "for one user.\n"
	    "What is not announced can not be enabled either.",
}, {
	.name = "imap_client_workarounds", .type = SCHEMA_WORD, .list = true,
	.words = "auto delay-newmail tb-lsub-flags tb-extra-mailbox-sep",
	.preset = "auto", .readers = SCHEMA_IMAPD,
	.help = "what is done another way for mail programs that need it",
	.detail =
	    ".Cm auto\n"
	    "does it for those that say in ID who they are;\n"
	    ".Cm delay-newmail\n"
	    "tells of new mail with the answer to NOOP and CHECK, and in IDLE,\n"
	    "alone;\n"
	    ".Cm tb-lsub-flags\n"
	    "has attributes in LSUB;\n"
	    ".Cm tb-extra-mailbox-sep ,\n"
	    "for those who come from Dovecot, is always so.",
}, {
	.name = "imap_idle_timeout", .type = SCHEMA_SECONDS,
	.min = 60, .max = 7 * DAY_S, .preset = "30m",
	.readers = SCHEMA_IMAPD,
	.help = "how long an IMAP session may be silent",
	.detail = "RFC 3501 section 5.4 asks for 30 minutes at least.",
}, {
	.name = "imap_notify_mailboxes", .type = SCHEMA_NUMBER,
	.min = 1, .max = 100000, .preset = "1000",
	.readers = SCHEMA_IMAPD,
	.help = "how many mailboxes a session may watch with NOTIFY",
	.detail = "Those that it wishes to hear of messages in.\n"
	    "Each takes two of the user's inotify watches in a Maildir, and\n"
	    "some hundred bytes; a request for more is refused.",
}, {
	.name = "inbox_alias", .type = SCHEMA_WORD,
	.words = "auto yes no", .preset = "auto", .readers = SCHEMA_IMAPD,
	.help = "let INBOX.NAME mean the mailbox NAME too",
	.detail =
	    "Clients of Courier know all mailboxes by names below INBOX.\n"
	    "They go on with them, while others, and LIST, see the plain names.\n"
	    "A folder that really lies below INBOX comes first.\n"
	    ".Cm auto\n"
	    "is\n"
	    ".Cm yes\n"
	    "where Courier's files are found.",
}, {
	.name = "mail_server_admin", .type = SCHEMA_TEXT, .preset = "",
	.readers = SCHEMA_IMAPD,
	.help = "how to reach the administrator, as a URI",
	.detail =
	    "As\n"
	    ".Ql mailto:postmaster@example.org .\n"
	    "Mail programs can show it: it is the entry\n"
	    ".Ql /shared/admin\n"
	    "of METADATA (RFC 5464).",
}, {
	.name = "mail_server_comment", .type = SCHEMA_TEXT, .preset = "",
	.readers = SCHEMA_IMAPD,
	.help = "a note on the server that mail programs can show",
	.detail =
	    "The entry\n"
	    ".Ql /shared/comment\n"
	    "of METADATA.",
}, {
	.name = "message_limit", .type = SCHEMA_NUMBER,
	.min = 0, .max = UINT32_MAX - 1, .preset = "0",
	.readers = SCHEMA_IMAPD,
	.help = "messages that one IMAP command may process; 0: any number",
	.detail =
	    "With a limit MESSAGELIMIT is announced: mail programs that do not\n"
	    "know of it then see no more than the newest messages of a large\n"
	    "mailbox.\nIt should not be below 1000.",
}, {
	.name = "nonsync_literals", .type = SCHEMA_WORD, .words = "all small",
	.preset = "all", .readers = SCHEMA_IMAPD | SCHEMA_LOGIN,
	.help = "literals that IMAP clients may send without waiting",
	.detail =
	    "all announces LITERAL+, small LITERAL-: those of up to 4096 bytes.",
}, {
	.name = "progress_interval", .type = SCHEMA_SECONDS,
	.min = 0, .max = 3600, .preset = "12", .readers = SCHEMA_IMAPD,
	.help = "how often IMAP clients hear of a command that takes long",
	.detail =
	    "With 0 they do each time that others have their turn, for tests.",
}, {
	.name = "save_limit", .type = SCHEMA_NUMBER,
	.min = 0, .max = UINT32_MAX - 1, .preset = "0",
	.readers = SCHEMA_IMAPD,
	.help = "messages that one COPY or APPEND may save; 0: any number",
	.detail =
	    "With a limit SAVELIMIT is announced, unless message_limit is set,\n"
	    "which holds for COPY and APPEND then.\nIt should not be below 1000.",
}, {
	.name = "search_filter_percent", .type = SCHEMA_NUMBER,
	.min = 0, .max = 50, .preset = "10", .readers = SCHEMA_IMAPD,
	.help = "how large search filters may be, in percent of the mail",
	.detail =
	    "While a session does nothing, each message of the mailbox that it\n"
	    "has selected gets a filter in the index, by which SEARCH knows of\n"
	    "most messages that a word is not in them, without reading them.\n"
	    "0: none are made.",
},
};
/* clang-format on */

const struct schema_part schema_imap = {TABLE, ARRAY_LEN(TABLE)};
