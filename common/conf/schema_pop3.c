/* SPDX-License-Identifier: ISC */
/*
 * schema_pop3.c - settings: what POP3 sessions do.
 *
 * Owns:    their names, ranges and defaults.
 * Runs in: every process (the children only look up defaults).
 * Trusts:  nothing in a value; the table itself is tested.
 * Spec:    restante.conf(5), which is written from this table.
 */
#include "base/num.h"
#include "conf/schema_impl.h"
#include "text/ascii.h"
#include "text/uidl_format.h"

static int
check_uidl(struct str value, struct err *e)
{
	return uidl_format_check(value, NULL, e);
}

static int
check_expire(struct str value, struct err *e)
{
	uint32_t days;

	if (str_eq_nocase(value, STR("never")) ||
	    num_parse_u32(value, 0, 36500, &days))
		return 0;
	return err_set(e, ERR_SYNTAX, "must be never, or days from 0 to 36500");
}

static int
check_separator(struct str value, struct err *e)
{
	if (value.n == 0 ||
	    (value.n == 1 && value.p[0] > ' ' && !ascii_is_alnum(value.p[0])))
		return 0;
	return err_set(
	    e, ERR_SYNTAX, "must be one character, no letter or digit");
}

/* clang-format off */
static const struct schema_setting TABLE[] = {
{
	.name = "pop3_client_workarounds", .type = SCHEMA_WORD, .list = true,
	.words = "outlook-no-nuls oe-ns-eoh", .preset = "outlook-no-nuls",
	.readers = SCHEMA_POP3D,
	.help = "what is changed in messages for clients that need it",
	.detail =
	    ".Cm outlook-no-nuls\n"
	    "sends the byte 0x80 instead of NUL, on which Outlook hangs;\n"
	    ".Cm oe-ns-eoh\n"
	    "adds the blank line behind a header that has none,\n"
	    "although the size in LIST does not count it.",
}, {
	.name = "pop3_deleted_flag", .type = SCHEMA_TEXT, .preset = "",
	.readers = SCHEMA_POP3D,
	.help = "mark what POP3 deletes instead of removing it",
	.detail =
	    "A keyword, as\n"
	    ".Ql $POP3Deleted ,\n"
	    "or\n"
	    ".Ql \\eDeleted :\n"
	    "QUIT gives it to what DELE has marked, and later POP3 sessions do\n"
	    "not see messages that have it.\n"
	    "IMAP goes on showing them.\n"
	    "For those who use both, and whose POP3 client leaves no mail on the\n"
	    "server.",
}, {
	.name = "pop3_enable_last", .type = SCHEMA_BOOL, .preset = "no",
	.readers = SCHEMA_POP3D,
	.help = "whether there is the command LAST, of RFC 1460",
	.detail = "Only clients of before 1994 need it.",
}, {
	.name = "pop3_expire", .type = SCHEMA_TEXT, .preset = "never",
	.readers = SCHEMA_LOGIN | SCHEMA_POP3D, .check = check_expire,
	.help = "days after which POP3 removes what has been read",
	.detail =
	    "A number is announced\n"
	    ".Pq Li EXPIRE\n"
	    "and holds: QUIT removes messages that have been read and have been\n"
	    "in the mailbox for so many days; with 0 those which RETR has sent.\n"
	    "What nobody has read stays.\n"
	    "The passwd-file can grant a user more days\n"
	    ".Pq Li userdb_pop3_expire ;\n"
	    "where there is one, USER is announced behind the number before\n"
	    "the login.\n"
	    "A session that ends without QUIT removes nothing.",
}, {
	.name = "pop3_folder_separator", .type = SCHEMA_TEXT, .preset = "+",
	.readers = SCHEMA_AUTHD, .check = check_separator,
	.help = "stands between a user and a folder in POP3's user names",
	.detail =
	    "Who logs in as\n"
	    ".Ql alice+lists\n"
	    "has the mailbox lists of the user alice before him.\n"
	    "The folder must be there; in\n"
	    ".Ql alice+a/b\n"
	    "the levels are parted as in IMAP.\n"
	    "Empty, or a character of\n"
	    ".Ic auth_username_chars :\n"
	    "there is no such thing.\n"
	    "IMAP takes no such names.",
}, {
	.name = "pop3_idle_timeout", .type = SCHEMA_SECONDS,
	.min = 60, .max = DAY_S, .preset = "10m",
	.readers = SCHEMA_POP3D,
	.help = "how long a POP3 session may be silent",
	.detail = "RFC 1939 section 3 asks for 10 minutes at least.",
}, {
	.name = "pop3_language", .type = SCHEMA_WORD, .words = "en de es fr",
	.preset = "en", .readers = SCHEMA_LOGIN | SCHEMA_POP3D,
	.help = "the language that POP3's command LANG * stands for",
	.detail = "A client that says nothing of languages gets English.",
}, {
	.name = "pop3_login_delay", .type = SCHEMA_SECONDS,
	.min = 0, .max = DAY_S, .preset = "0",
	.readers = SCHEMA_LOGIN | SCHEMA_POP3D,
	.help = "the least time between two POP3 logins of a user",
	.detail =
	    "It is announced\n"
	    ".Pq Li LOGIN-DELAY ,\n"
	    "and who comes earlier is refused with that response code.\n"
	    "The passwd-file can grant a user a shorter one\n"
	    ".Pq Li userdb_pop3_login_delay .\n"
	    "The time of the last login is in\n"
	    ".Ic state_dir .",
}, {
	.name = "pop3_no_flag_updates", .type = SCHEMA_BOOL, .preset = "no",
	.readers = SCHEMA_POP3D,
	.help = "whether RETR leaves a message unseen",
	.detail = "Otherwise QUIT marks what was retrieved as seen.",
}, {
	.name = "pop3_uidl", .type = SCHEMA_TEXT, .preset = "%08Xu%08Xv",
	.readers = SCHEMA_POP3D, .check = check_uidl,
	.help = "the form of POP3's unique ids",
	.detail =
	    "The syntax is Dovecot's, that of 2.3 or of 2.4:\n"
	    ".Ql %u\n"
	    "or\n"
	    ".Ql %{uid}\n"
	    "is the UID,\n"
	    ".Ql %v\n"
	    "or\n"
	    ".Ql %{uidvalidity}\n"
	    "the UIDVALIDITY,\n"
	    ".Ql %f\n"
	    "or\n"
	    ".Ql %{filename}\n"
	    "the base name of the Maildir file,\n"
	    ".Ql %g\n"
	    "or\n"
	    ".Ql %{guid}\n"
	    "the message's GUID,\n"
	    ".Ql %m\n"
	    "or\n"
	    ".Ql %{md5}\n"
	    "the MD5 of some header fields,\n"
	    "with a width and\n"
	    ".Ql X ,\n"
	    ".Ql L\n"
	    "or\n"
	    ".Ql U\n"
	    "between, or the filters\n"
	    ".Cm hex ,\n"
	    ".Cm lower ,\n"
	    ".Cm upper ,\n"
	    ".Cm reverse\n"
	    "and\n"
	    ".Cm truncate\n"
	    "behind.\n"
	    "Instead of a form it may name what a former server had:\n"
	    ".Cm uid8hex,v8hex\n"
	    "(Dovecot),\n"
	    ".Cm v-uid\n"
	    "(Dovecot 1),\n"
	    ".Cm uid\n"
	    "and\n"
	    ".Cm v.uid\n"
	    "(Cyrus),\n"
	    ".Cm v8hex,uid8hex\n"
	    "(UW),\n"
	    ".Cm base ,\n"
	    ".Cm base-courier\n"
	    "(Courier without its list) or\n"
	    ".Cm md5 .\n"
	    ".Pp\n"
	    "An id that is in dovecot-uidlist goes before it.\n"
	    "Ids of another form than the default are written there when they\n"
	    "are first given out: they stay when this setting is changed, and\n"
	    "Dovecot gives the same ones.",
}, {
	.name = "reuse_xuidl", .type = SCHEMA_BOOL, .preset = "no",
	.readers = SCHEMA_POP3D,
	.help = "take POP3's unique id from a message's X-UIDL field",
	.detail =
	    "As qpopper and cucipop did; Dovecot's pop3_reuse_xuidl.\n"
	    "A message without the field gets an id in the form of pop3_uidl.",
},
};
/* clang-format on */

const struct schema_part schema_pop3 = {TABLE, ARRAY_LEN(TABLE)};
