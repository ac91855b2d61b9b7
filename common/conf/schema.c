/* SPDX-License-Identifier: ISC */
/*
 * schema.c - the table of settings; check and plain form of single values.
 *
 * Owns:    the names, ranges and defaults of all settings.
 * Runs in: every process (the children only look up defaults).
 * Trusts:  nothing in a value; the table itself is tested.
 * Spec:    restante.conf(5), which is written from this table.
 */
#include "base/bounds.h"
#include "base/num.h"
#include "base/vec.h"

#include "conf/schema.h"
#include "text/ascii.h"
#include "text/quota_limits.h"
#include "text/uidl_format.h"

#define MAIL_PROCESSES (SCHEMA_IMAPD | SCHEMA_POP3D)
#define PORT_MAX 65535
#define DAY_S (24 * 60 * 60)
#define KIB UINT64_C(1024)
#define GIB (KIB * KIB * KIB)

static int
check_uidl(struct str value, struct err *e)
{
	return uidl_format_check(value, NULL, e);
}

static int
check_quota(struct str value, struct err *e)
{
	return quota_limits_check(value, e);
}

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

static int
check_index_dir(struct str value, struct err *e)
{
	if (str_starts(value, STR("/")) || str_starts(value, STR("%h/")) ||
	    str_eq(value, STR("none")) || str_eq(value, STR("memory")))
		return 0;
	return err_set(e, ERR_SYNTAX, "must be an absolute path, or none");
}

/* clang-format off */
static const struct schema_setting TABLE[] = {
{
	.name = "allow_plaintext_auth", .type = SCHEMA_BOOL, .per_service = true,
	.preset = "no", .readers = SCHEMA_LOGIN | SCHEMA_AUTHD,
	.help = "accept passwords over connections without TLS",
	.detail =
	    "A peer on the loopback interface may always log in without TLS.\n"
	    "For others IMAP announces LOGINDISABLED and POP3 leaves out USER.",
}, {
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
	.name = "auth", .type = SCHEMA_WORD, .list = true,
	.words = "pam passwd-file", .preset = "pam",
	.readers = SCHEMA_MASTER | SCHEMA_LOGIN | SCHEMA_AUTHD,
	.help = "where users and passwords are looked up, in this order",
	.detail =
	    "One after the other is asked until one of them accepts the password.\n"
	    "When none does and one was out of order it is a temporary failure,\n"
	    "never a wrong password.",
}, {
	.name = "auth_failure_delay", .type = SCHEMA_SECONDS,
	.min = 0, .max = 60, .preset = "2", .readers = SCHEMA_AUTHD,
	.help = "time from the attempt to the answer that it failed",
	.detail =
	    "Every failure leaves at the same moment, whatever its reason.",
}, {
	.name = "auth_mechanisms", .type = SCHEMA_WORD, .list = true,
	.per_service = true,
	.words = "plain login scram-sha-256 scram-sha-256-plus",
	.preset = "plain login",
	.readers = SCHEMA_LOGIN | SCHEMA_AUTHD,
	.help = "SASL mechanisms on offer",
	.detail =
	    "The SCRAM mechanisms need a passwd-file with keys or readable\n"
	    "passwords, and are announced only if there is a passwd-file.\n"
	    "Many clients take the strongest mechanism on offer and no other:\n"
	    "switch SCRAM on when every user has keys.",
}, {
	.name = "auth_penalty", .type = SCHEMA_BOOL, .preset = "yes",
	.readers = SCHEMA_AUTHD,
	.help = "answer later and later where logins fail again and again",
	.detail =
	    "The delay grows from a second to a minute for an address\n"
	    "(IPv6: /64)\n"
	    "and for a user name, and halves each minute.\n"
	    "Nobody is ever locked out.",
}, {
	.name = "auth_user", .type = SCHEMA_TEXT, .preset = "_restante-auth",
	.readers = SCHEMA_MASTER,
	.help = "the account of the process that judges logins",
	.detail = "A name or a number, as for the other service accounts.",
}, {
	.name = "auth_username_chars", .type = SCHEMA_TEXT, .preset = "",
	.readers = SCHEMA_AUTHD,
	.help = "characters that user names may have",
	.detail =
	    "Empty: letters, digits and\n"
	    ".Ql . ,\n"
	    ".Ql - ,\n"
	    ".Ql _ ,\n"
	    "and\n"
	    ".Ql @ .",
}, {
	.name = "auth_username_lowercase", .type = SCHEMA_BOOL,
	.preset = "yes", .readers = SCHEMA_AUTHD,
	.help = "make the letters of user names small before anything else",
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
	.name = "courier_compat", .type = SCHEMA_WORD,
	.words = "auto yes no", .preset = "auto",
	.readers = MAIL_PROCESSES | SCHEMA_CTL,
	.help = "whether Courier's files in a Maildir are kept up to date",
	.detail =
	    "What Courier has left is taken over in any case.\n"
	    "With\n"
	    ".Cm yes\n"
	    "its files of UIDs, keywords, subscriptions and POP3 ids are also\n"
	    "written after each change, under its lock, so that it can be put\n"
	    "back without loss or run at the same time;\n"
	    ".Cm auto\n"
	    "does that where they are found.\n"
	    "New mail then gets POP3 ids as Courier makes them, where Courier has\n"
	    "a list of them.\n"
	    "Writing them takes time that grows with the mailbox:\n"
	    "say\n"
	    ".Cm no\n"
	    "when there is no way back.",
}, {
	.name = "first_valid_gid", .type = SCHEMA_NUMBER,
	.min = 1, .max = UINT32_MAX - 1, .preset = "1",
	.readers = SCHEMA_MASTER | SCHEMA_AUTHD,
	.help = "the lowest primary group of a user who may log in",
}, {
	.name = "first_valid_uid", .type = SCHEMA_NUMBER,
	.min = 1, .max = UINT32_MAX - 1, .preset = "1000",
	.readers = SCHEMA_MASTER | SCHEMA_AUTHD,
	.help = "the lowest uid of a user who may log in",
	.detail = "Root never may.",
}, {
	.name = "folder_names", .type = SCHEMA_WORD,
	.words = "auto mutf7 utf8", .preset = "auto",
	.readers = MAIL_PROCESSES | SCHEMA_CTL,
	.help = "how the names of Maildir folders are written on disk",
	.detail =
	    ".Cm mutf7\n"
	    "is modified UTF-7, as Dovecot has it,\n"
	    ".Cm utf8\n"
	    "is what newer Courier writes;\n"
	    ".Cm auto\n"
	    "looks which of the two wrote the mail.",
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
	.name = "imap_listen", .type = SCHEMA_TEXT, .list = true, .preset = "",
	.readers = SCHEMA_MASTER,
	.help = "addresses for IMAP with STARTTLS; none: those of listen",
}, {
	.name = "imap_notify_mailboxes", .type = SCHEMA_NUMBER,
	.min = 1, .max = 100000, .preset = "1000",
	.readers = SCHEMA_IMAPD,
	.help = "how many mailboxes a session may watch with NOTIFY",
	.detail = "Those that it wishes to hear of messages in.\n"
	    "Each takes two of the user's inotify watches in a Maildir, and\n"
	    "some hundred bytes; a request for more is refused.",
}, {
	.name = "imap_port", .type = SCHEMA_NUMBER,
	.min = 0, .max = PORT_MAX, .preset = "143", .readers = SCHEMA_MASTER,
	.help = "port for IMAP with STARTTLS; 0 switches it off",
}, {
	.name = "imaps_listen", .type = SCHEMA_TEXT, .list = true, .preset = "",
	.readers = SCHEMA_MASTER,
	.help = "addresses for IMAP over TLS; none: those of listen",
}, {
	.name = "imaps_port", .type = SCHEMA_NUMBER,
	.min = 0, .max = PORT_MAX, .preset = "993", .readers = SCHEMA_MASTER,
	.help = "port for IMAP over TLS; 0 switches it off",
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
	.name = "index_dir", .type = SCHEMA_TEXT,
	.preset = LOCALSTATEDIR "/lib/restante/index",
	.check = check_index_dir,
	.readers = SCHEMA_MASTER | MAIL_PROCESSES | SCHEMA_CTL,
	.help = "where each user's derived data lies",
	.detail =
	    "Each user has a folder of his name there.\n"
	    "With %u (his name) or %h (his home) in it, it is the path of that\n"
	    "folder.\n"
	    "It must be on a disk of this host and may be deleted at any time.\n"
	    "With \"none\" nothing is kept, and every mailbox is read anew.",
}, {
	.name = "key_processes", .type = SCHEMA_NUMBER,
	.min = 1, .max = 64, .preset = "1", .readers = SCHEMA_MASTER,
	.help = "how many processes sign TLS handshakes",
	.detail = "More than one helps only with RSA keys.",
}, {
	.name = "key_user", .type = SCHEMA_TEXT, .preset = "_restante-key",
	.readers = SCHEMA_MASTER,
	.help = "the account of the process that holds private keys",
}, {
	.name = "last_valid_gid", .type = SCHEMA_NUMBER,
	.min = 0, .max = UINT32_MAX - 1, .preset = "0",
	.readers = SCHEMA_MASTER | SCHEMA_AUTHD,
	.help = "the highest primary group of a user who may log in; 0: any",
}, {
	.name = "last_valid_uid", .type = SCHEMA_NUMBER,
	.min = 0, .max = UINT32_MAX - 1, .preset = "0",
	.readers = SCHEMA_MASTER | SCHEMA_AUTHD,
	.help = "the highest uid of a user who may log in; 0: any",
}, {
	.name = "libexec_dir", .type = SCHEMA_PATH, .preset = PKGLIBEXECDIR,
	.readers = SCHEMA_MASTER,
	.help = "where the programs are that restanted starts",
}, {
	.name = "listen", .type = SCHEMA_TEXT, .list = true, .preset = "* ::",
	.readers = SCHEMA_MASTER,
	.help = "addresses to bind",
	.detail =
	    ".Ql *\n"
	    "is every IPv4 address,\n"
	    ".Ql ::\n"
	    "every IPv6 address.\n"
	    "An IPv6 wildcard on a host without IPv6 is skipped.",
}, {
	.name = "log", .type = SCHEMA_TEXT, .preset = "syslog",
	.readers = SCHEMA_MASTER | SCHEMA_LOGD,
	.help = "where log lines go: syslog, stderr or an absolute path",
	.detail =
	    "Syslog lines have the facility mail.\n"
	    "A file is opened again on reload, for log rotation.",
}, {
	.name = "log_level", .type = SCHEMA_WORD, .per_service = true,
	.words = "debug info warning error", .preset = "info",
	.readers = SCHEMA_ALL,
	.help = "what is logged: lines of this level and above",
}, {
	.name = "log_user", .type = SCHEMA_TEXT, .preset = "_restante-log",
	.readers = SCHEMA_MASTER,
	.help = "the account of the process that writes the log",
}, {
	.name = "login_greeting", .type = SCHEMA_TEXT, .per_service = true,
	.preset = "Restante ready.", .readers = SCHEMA_LOGIN,
	.help = "words of the first line that a client gets",
}, {
	.name = "login_reuse", .type = SCHEMA_NUMBER,
	.min = 1, .max = 10000, .preset = "1",
	.readers = SCHEMA_MASTER | SCHEMA_LOGIN | SCHEMA_KEYD,
	.help = "how many connections a login worker serves, one by one",
	.detail =
	    "More than 1 saves a fork for each further connection and gives\n"
	    "up that no two strangers ever share an address space.",
}, {
	.name = "login_timeout", .type = SCHEMA_SECONDS,
	.min = 1, .max = 600, .preset = "60",
	.readers = SCHEMA_LOGIN,
	.help = "time from a connection's begin to its login",
	.detail =
	    "Absolute: also a client that keeps talking is cut.\n"
	    "The time that\n"
	    "the server itself takes for an answer does not count.",
}, {
	.name = "login_user", .type = SCHEMA_TEXT, .preset = "_restante-login",
	.readers = SCHEMA_MASTER,
	.help = "the account of the processes that speak to strangers",
}, {
	.name = "login_workers_max", .type = SCHEMA_NUMBER,
	.min = 4, .max = 100000, .preset = "1000",
	.readers = SCHEMA_MASTER | SCHEMA_LOGIN,
	.help = "how many connections may be in front of their login at once",
	.detail =
	    "Beyond it the oldest one of the busiest address is dropped.",
}, {
	.name = "login_workers_spare", .type = SCHEMA_NUMBER,
	.min = 1, .max = 1000, .preset = "4",
	.readers = SCHEMA_MASTER | SCHEMA_LOGIN,
	.help = "how many login workers wait, forked, for a connection",
}, {
	.name = "mail_location", .type = SCHEMA_TEXT, .per_service = true,
	.preset = "auto",
	.readers = SCHEMA_MASTER | SCHEMA_AUTHD | MAIL_PROCESSES | SCHEMA_CTL,
	.help = "where a user's mail lies",
	.detail =
	    "The syntax is Dovecot's:\n"
	    ".Ql maildir:~/Maildir\n"
	    "or\n"
	    ".Ql maildir:~/Maildir:LAYOUT=fs ,\n"
	    "with\n"
	    ".Cm CONTROL= ,\n"
	    ".Cm INDEX=\n"
	    "and\n"
	    ".Cm INBOX= .\n"
	    ".Ql %u ,\n"
	    ".Ql %n ,\n"
	    ".Ql %d\n"
	    "and\n"
	    ".Ql %h\n"
	    "stand for the user, the parts before and behind the @,\n"
	    "and the home directory.\n"
	    ".Cm auto\n"
	    "takes what is there.\n"
	    "A field in the passwd-file goes before this setting.",
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
	.name = "maildir_quota", .type = SCHEMA_TEXT, .preset = "",
	.readers = MAIL_PROCESSES, .check = check_quota,
	.help = "how much a user's Maildir may hold",
	.detail =
	    "As programs write it into the file\n"
	    ".Pa maildirsize :\n"
	    "a number of bytes with an S, a number of messages with a C, as\n"
	    ".Ql 1000000000S,20000C .\n"
	    "The mailbox Trash does not count.\n"
	    "Empty: what that file says, and no limit where there is none.\n"
	    "The passwd-file can set it for one user\n"
	    ".Pq Li userdb_maildir_quota .",
}, {
	.name = "max_connections", .type = SCHEMA_NUMBER,
	.min = 1, .max = 1000000, .preset = "10000",
	.readers = SCHEMA_MASTER,
	.help = "how many sessions there may be in all",
}, {
	.name = "max_mailboxes", .type = SCHEMA_NUMBER,
	.min = 0, .max = 1000000, .preset = "0",
	.readers = SCHEMA_IMAPD,
	.help = "how many mailboxes a user may have",
	.detail =
	    "INBOX counts, levels that are no mailboxes do not.\n"
	    "0: any number.",
}, {
	.name = "max_sessions_per_address", .type = SCHEMA_NUMBER,
	.min = 1, .max = 1000000, .preset = "200", .per_service = true,
	.readers = SCHEMA_MASTER,
	.help = "how many sessions one address (IPv6: /64) may have",
}, {
	.name = "max_sessions_per_user", .type = SCHEMA_NUMBER,
	.min = 1, .max = 100000, .preset = "50", .per_service = true,
	.readers = SCHEMA_MASTER | MAIL_PROCESSES,
	.help = "how many sessions of one protocol a user may have",
}, {
	.name = "mbox_dotlock_change_timeout", .type = SCHEMA_SECONDS,
	.min = 60, .max = DAY_S, .preset = "5m",
	.readers = MAIL_PROCESSES | SCHEMA_CTL,
	.help = "when the dotlock of an mbox file counts as left behind",
	.detail =
	    "It is broken when neither it nor the mailbox has changed for so long.\n"
	    "One that names a process of this host is broken as soon as there is no\n"
	    "such process, and not before.\n"
	    "What\n"
	    ".Nm spoold\n"
	    "locks in the spool has 5 minutes in any case.",
}, {
	.name = "mbox_lock_timeout", .type = SCHEMA_SECONDS,
	.min = 1, .max = 3600, .preset = "60",
	.readers = MAIL_PROCESSES | SCHEMA_CTL,
	.help = "how long a change of an mbox file waits for its locks",
	.detail =
	    "Then it is refused\n"
	    ".Pq Li NO [INUSE] ,\n"
	    "and the log says who had the lock.\n"
	    "Reading waits for 10 seconds at most.\n"
	    "No other session of the user has to wait meanwhile.",
}, {
	.name = "mbox_read_locks", .type = SCHEMA_WORD, .list = true,
	.words = "fcntl flock dotlock dotlock_try lockf", .preset = "fcntl",
	.readers = MAIL_PROCESSES | SCHEMA_CTL,
	.help = "how an mbox file is locked while it is read",
	.detail =
	    "In the words of Dovecot, as in\n"
	    ".Ic mbox_write_locks .\n"
	    "Alpine and UW-IMAP lock with\n"
	    ".Cm flock\n"
	    "and a dotlock, also for reading:\n"
	    "where they are in use say\n"
	    ".Ql {fcntl, dotlock_try} .",
}, {
	.name = "mbox_write_locks", .type = SCHEMA_WORD, .list = true,
	.words = "fcntl flock dotlock dotlock_try lockf",
	.preset = "fcntl dotlock",
	.readers = MAIL_PROCESSES | SCHEMA_CTL,
	.help = "how an mbox file is locked while it is written",
	.detail =
	    "All of them are taken, in this order, without waiting for one while\n"
	    "having another, so that programs with another order can not be\n"
	    "blocked.\n"
	    ".Cm dotlock\n"
	    "is a file beside the mailbox; where it can not be made for want of\n"
	    "permission the other locks have to do, with a line in the log, and\n"
	    "without others it is an error.\n"
	    ".Cm dotlock_try\n"
	    "says nothing about that.\n"
	    ".Cm lockf\n"
	    "is\n"
	    ".Cm fcntl .\n"
	    "The default is the order of Debian's policy: whatever delivers mail must\n"
	    "use one of the same locks.",
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
	.name = "namespace_prefix", .type = SCHEMA_TEXT, .preset = "",
	.readers = SCHEMA_IMAPD,
	.help = "what names of the user's own mailboxes begin with",
	.detail =
	    ".Ql INBOX\\&.\n"
	    "gives clients the names that they had from Courier.\n"
	    "INBOX itself has no prefix.",
}, {
	.name = "nonsync_literals", .type = SCHEMA_WORD, .words = "all small",
	.preset = "all", .readers = SCHEMA_IMAPD | SCHEMA_LOGIN,
	.help = "literals that IMAP clients may send without waiting",
	.detail =
	    "all announces LITERAL+, small LITERAL-: those of up to 4096 bytes.",
}, {
	.name = "other_users_location", .type = SCHEMA_TEXT, .preset = "",
	.readers = SCHEMA_IMAPD,
	.help = "where other users' mail lies, for those who may read it",
	.detail =
	    "In the syntax of\n"
	    ".Ic mail_location ,\n"
	    "an absolute path with\n"
	    ".Ql %u\n"
	    "for the owner, as in\n"
	    ".Ql maildir:/home/%u/Maildir .\n"
	    "The mailboxes appear as\n"
	    ".Ql #user/OWNER/NAME ;\n"
	    "what a user may read or change there is what the permissions of\n"
	    "the files let him.\n"
	    "A user's process then reaches all of the folder in front of\n"
	    ".Ql %u .\n"
	    "At most 64 owners' mail is open in one process.",
}, {
	.name = "pam_service", .type = SCHEMA_TEXT, .per_service = true,
	.preset = "", .readers = SCHEMA_AUTHD,
	.help = "the name of the PAM service",
	.detail =
	    "Empty: the name of the protocol,\n"
	    ".Ql imap\n"
	    "or\n"
	    ".Ql pop3 ,\n"
	    "and\n"
	    ".Ql restante\n"
	    "where\n"
	    ".Pa /etc/pam.d\n"
	    "has no such file.",
}, {
	.name = "pam_session", .type = SCHEMA_BOOL, .preset = "no",
	.readers = SCHEMA_MASTER | SCHEMA_AUTHD,
	.help = "open a PAM session for each user's process",
	.detail = "It costs one more process for each user who is logged in.",
}, {
	.name = "pass_user", .type = SCHEMA_TEXT, .preset = "_restante-pass",
	.readers = SCHEMA_MASTER | SCHEMA_AUTHD,
	.help = "the account that reads the passwd-file",
}, {
	.name = "passwd_file", .type = SCHEMA_PATH,
	.preset = SYSCONFDIR "/restante/passwd",
	.readers = SCHEMA_MASTER | SCHEMA_AUTHD,
	.help = "the file of users for passwd-file",
	.detail = "Its format is described below.",
}, {
	.name = "poll_interval", .type = SCHEMA_SECONDS,
	.min = 1, .max = 3600, .preset = "30", .readers = MAIL_PROCESSES,
	.help = "how often a mailbox is looked at where inotify can not help",
	.detail =
	    "That is so on network file systems and past the kernel's limits.",
}, {
	.name = "poll_only", .type = SCHEMA_BOOL, .preset = "no",
	.readers = MAIL_PROCESSES,
	.help = "never use inotify, look at mailboxes at each poll_interval",
}, {
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
	.name = "pop3_listen", .type = SCHEMA_TEXT, .list = true, .preset = "",
	.readers = SCHEMA_MASTER,
	.help = "addresses for POP3 with STLS; none: those of listen",
}, {
	.name = "pop3_login_delay", .type = SCHEMA_SECONDS,
	.min = 0, .max = DAY_S, .preset = "0",
	.readers = SCHEMA_LOGIN | SCHEMA_POP3D,
	.help = "the least time between two POP3 logins of a user",
	.detail =
	    "It is announced\n"
	    ".Pq Li LOGIN-DELAY ,\n"
	    "and who comes earlier is refused with that response code.\n"
	    "The time of the last login is in\n"
	    ".Ic state_dir .",
}, {
	.name = "pop3_no_flag_updates", .type = SCHEMA_BOOL, .preset = "no",
	.readers = SCHEMA_POP3D,
	.help = "whether RETR leaves a message unseen",
	.detail = "Otherwise QUIT marks what was retrieved as seen.",
}, {
	.name = "pop3_port", .type = SCHEMA_NUMBER,
	.min = 0, .max = PORT_MAX, .preset = "110", .readers = SCHEMA_MASTER,
	.help = "port for POP3 with STLS; 0 switches it off",
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
	.name = "pop3s_listen", .type = SCHEMA_TEXT, .list = true, .preset = "",
	.readers = SCHEMA_MASTER,
	.help = "addresses for POP3 over TLS; none: those of listen",
}, {
	.name = "pop3s_port", .type = SCHEMA_NUMBER,
	.min = 0, .max = PORT_MAX, .preset = "995", .readers = SCHEMA_MASTER,
	.help = "port for POP3 over TLS; 0 switches it off",
}, {
	.name = "process_linger", .type = SCHEMA_SECONDS,
	.min = 0, .max = DAY_S, .preset = "60",
	.readers = MAIL_PROCESSES,
	.help = "how long a user's process stays after the last session",
}, {
	.name = "progress_interval", .type = SCHEMA_SECONDS,
	.min = 0, .max = 3600, .preset = "12", .readers = SCHEMA_IMAPD,
	.help = "how often IMAP clients hear of a command that takes long",
	.detail =
	    "With 0 they do each time that others have their turn, for tests.",
}, {
	.name = "proxy_networks", .type = SCHEMA_TEXT, .list = true,
	.preset = "", .readers = SCHEMA_MASTER | SCHEMA_LOGIN,
	.help = "networks whose connections begin with a PROXY header",
	.detail =
	    "Addresses with a prefix length, as\n"
	    ".Ql 192.0.2.0/24 .\n"
	    "A connection from there without the header is closed;\n"
	    "a header from elsewhere is never believed.",
}, {
	.name = "public_location", .type = SCHEMA_TEXT, .preset = "",
	.readers = SCHEMA_IMAPD,
	.help = "where public mailboxes lie",
	.detail =
	    "In the syntax of\n"
	    ".Ic mail_location ,\n"
	    "as in\n"
	    ".Ql maildir:/srv/mail/public:LAYOUT=fs .\n"
	    "The mailboxes appear as\n"
	    ".Ql #public/NAME\n"
	    "to those who may read the files.",
}, {
	.name = "reuse_xuidl", .type = SCHEMA_BOOL, .preset = "no",
	.readers = SCHEMA_POP3D,
	.help = "take POP3's unique id from a message's X-UIDL field",
	.detail =
	    "As qpopper and cucipop did; Dovecot's pop3_reuse_xuidl.\n"
	    "A message without the field gets an id in the form of pop3_uidl.",
}, {
	.name = "run_dir", .type = SCHEMA_PATH, .preset = "/run/restante",
	.readers = SCHEMA_MASTER | MAIL_PROCESSES | SCHEMA_CTL,
	.help = "where the pid file and the control socket lie",
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
}, {
	.name = "spool_dir", .type = SCHEMA_PATH, .preset = "/var/mail",
	.readers = SCHEMA_MASTER | MAIL_PROCESSES,
	.help = "where each user's mail arrives as one file of his name",
	.detail =
	    "A user's process may not write to this directory (on Debian only\n"
	    "the group mail may), so\n"
	    ".Nm spoold\n"
	    "makes and removes the dotlock of the user's own file there, and\n"
	    "the file when there is none.\n"
	    "It runs in this directory's group.\n"
	    "Empty: there is no\n"
	    ".Nm spoold .\n"
	    "Where the mail of each user is, is set by\n"
	    ".Ic mail_location .",
}, {
	.name = "spool_user", .type = SCHEMA_TEXT, .preset = "_restante-spool",
	.readers = SCHEMA_MASTER,
	.help = "the account of the process that locks the mail spool",
}, {
	.name = "state_dir", .type = SCHEMA_PATH,
	.preset = LOCALSTATEDIR "/lib/restante/state",
	.readers = SCHEMA_MASTER | MAIL_PROCESSES | SCHEMA_CTL,
	.help = "where each user's data lies that is not derived",
	.detail =
	    "Journals of mbox files that are being changed; what he has read in\n"
	    "others' mail\n"
	    ".Pq Pa seen-* ;\n"
	    "his UIDs of others' mail that he may only read\n"
	    ".Pq Pa uids-* ;\n"
	    "the number that the next mod-sequences are above\n"
	    ".Pq Pa modseq .\n"
	    "Unlike\n"
	    ".Ic index_dir\n"
	    "it is not to be removed.",
}, {
	.name = "tls", .type = SCHEMA_WORD, .words = "auto no required",
	.preset = "auto", .readers = SCHEMA_MASTER | SCHEMA_LOGIN,
	.help = "whether TLS is offered",
	.detail =
	    ".Cm auto\n"
	    "offers it when a certificate is found and warns when none is;\n"
	    ".Cm required\n"
	    "refuses to start without one and refuses logins without TLS,\n"
	    "also from this host.",
}, {
	.name = "tls_cert", .type = SCHEMA_PATH, .list = true, .preset = "",
	.readers = SCHEMA_MASTER | SCHEMA_CTL,
	.help = "certificate files in PEM, each with its chain",
	.detail =
	    "Which one is used depends on the name that the client asks for\n"
	    "and on the kind of key it can check;\n"
	    "the first is for clients that name none.\n"
	    "None given:\n"
	    ".Pa /etc/restante/tls/cert.pem ,\n"
	    "then Debian's snakeoil certificate.\n"
	    "A change of the files is noticed within half a minute.\n"
	    "An expired certificate is used all the same, with an error in\n"
	    "the log; in its last week each day brings a warning.",
}, {
	.name = "tls_key", .type = SCHEMA_PATH, .list = true, .preset = "",
	.readers = SCHEMA_MASTER | SCHEMA_CTL,
	.help = "private keys in PEM, one for each tls_cert in its order",
	.detail = "Only the key process ever holds them.",
}, {
	.name = "tls_min_version", .type = SCHEMA_WORD,
	.words = "TLS1.2 TLS1.3", .preset = "TLS1.2",
	.readers = SCHEMA_MASTER | SCHEMA_LOGIN,
	.help = "the oldest version of TLS that is spoken",
}, {
	.name = "tls_ocsp", .type = SCHEMA_PATH, .list = true, .preset = "",
	.readers = SCHEMA_MASTER,
	.help = "OCSP responses to staple, one for each tls_cert in its order",
	.detail =
	    "An expired one, or one that belongs to another certificate, is\n"
	    "not sent, and the log says so.",
}, {
	.name = "tls_ticket_lifetime", .type = SCHEMA_SECONDS,
	.min = 0, .max = 7 * DAY_S, .preset = "1d",
	.readers = SCHEMA_MASTER | SCHEMA_LOGIN,
	.help = "how long session tickets can be used; 0: there are none",
},
};
/* clang-format on */

const struct schema_setting *
schema_table(size_t *n)
{
	*n = ARRAY_LEN(TABLE);
	return TABLE;
}

const struct schema_setting *
schema_find(struct str name)
{
	size_t low = 0, high = ARRAY_LEN(TABLE);

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = str_cmp(name, str_of(TABLE[middle].name));

		if (order == 0)
			return &TABLE[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Names are short: a longer one is like none of ours. */
#define NAME_MAX_BYTES 40
#define FAR 99

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned
schema_edit_distance(struct str a, struct str b)
{
	unsigned rows[3][NAME_MAX_BYTES + 1];
	unsigned *before = rows[0], *last = rows[1], *now = rows[2], *spare;

	if (a.n > NAME_MAX_BYTES || b.n > NAME_MAX_BYTES)
		return FAR;
	for (size_t j = 0; j <= b.n; j++)
		before[j] = last[j] = (unsigned)j;
	for (size_t i = 1; i <= a.n; i++) {
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b.n; j++) {
			unsigned cost = a.p[i - 1] == b.p[j - 1] ? 0 : 1;

			now[j] = least(
			    least(last[j], now[j - 1]) + 1, last[j - 1] + cost);
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] &&
			    a.p[i - 2] == b.p[j - 1])
				now[j] = least(now[j], before[j - 2] + 1);
		}
		spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[b.n];
}

const struct schema_setting *
schema_nearest(struct str name)
{
	const struct schema_setting *best = NULL;
	unsigned best_distance = FAR;

	for (size_t i = 0; i < ARRAY_LEN(TABLE); i++) {
		struct str have = str_of(TABLE[i].name);
		unsigned d = schema_edit_distance(name, have);

		/* A third of the letters may differ: more is another word. */
		if (d < best_distance && d <= 1 + have.n / 3) {
			best = &TABLE[i];
			best_distance = d;
		}
	}
	return best;
}

const char *
schema_scope_name(enum schema_scope scope)
{
	static const char *const NAMES[] = {"", "imap", "pop3"};

	return NAMES[scope];
}

const char *
schema_reader_name(enum schema_reader reader)
{
	switch (reader) {
	case SCHEMA_MASTER:
		return "restanted";
	case SCHEMA_LOGIN:
		return "login";
	case SCHEMA_KEYD:
		return "keyd";
	case SCHEMA_AUTHD:
		return "authd";
	case SCHEMA_SPOOLD:
		return "spoold";
	case SCHEMA_LOGD:
		return "logd";
	case SCHEMA_IMAPD:
		return "imapd";
	case SCHEMA_POP3D:
		return "pop3d";
	case SCHEMA_CTL:
		return "restantectl";
	case SCHEMA_ALL:
		break;
	}
	return "all";
}

const char *
schema_type_words(const struct schema_setting *s)
{
	switch (s->type) {
	case SCHEMA_BOOL:
		return "yes or no";
	case SCHEMA_NUMBER:
		return "number";
	case SCHEMA_SECONDS:
		return "time in seconds";
	case SCHEMA_BYTES:
		return "size in bytes";
	case SCHEMA_TEXT:
		return s->list ? "list of texts" : "text";
	case SCHEMA_PATH:
		return s->list ? "list of paths" : "path";
	case SCHEMA_WORD:
		return s->list ? "list of words" : "word";
	}
	return "";
}

static int
plain_bool(struct str value, struct buf *out, struct err *e)
{
	static const struct {
		const char *word, *plain;
	} WORDS[] = {{"yes", "yes"}, {"true", "yes"}, {"on", "yes"},
	    {"no", "no"}, {"false", "no"}, {"off", "no"}};

	for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
		if (str_eq_nocase(value, str_of(WORDS[i].word))) {
			buf_add_c(out, WORDS[i].plain);
			return 0;
		}
	return err_set(e, ERR_SYNTAX, "must be yes or no");
}

/* The factor of a unit letter; 0 when the type does not have it. */
static uint64_t
unit_factor(enum schema_type type, struct str unit)
{
	static const struct {
		enum schema_type type;
		const char *unit;
		uint64_t factor;
	} UNITS[] = {
	    {SCHEMA_SECONDS, "s", 1},
	    {SCHEMA_SECONDS, "m", 60},
	    {SCHEMA_SECONDS, "min", 60},
	    {SCHEMA_SECONDS, "h", 60 * 60},
	    {SCHEMA_SECONDS, "d", DAY_S},
	    {SCHEMA_BYTES, "K", KIB},
	    {SCHEMA_BYTES, "M", KIB * KIB},
	    {SCHEMA_BYTES, "G", GIB},
	};

	if (unit.n == 0)
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(UNITS); i++)
		if (UNITS[i].type == type &&
		    str_eq_nocase(unit, str_of(UNITS[i].unit)))
			return UNITS[i].factor;
	return 0;
}

static int
plain_number(const struct schema_setting *s, struct str value, struct buf *out,
    struct err *e)
{
	uint64_t n, factor;

	if (!num_cut_u64(&value, UINT64_MAX, &n))
		return err_set(
		    e, ERR_SYNTAX, "must be a %s", schema_type_words(s));
	factor = unit_factor(s->type, str_trim(value));
	if (factor == 0)
		return err_set(e, ERR_SYNTAX, "unknown unit '%.*s' (%s)",
		    STR_ARG(str_trim(value)),
		    s->type == SCHEMA_SECONDS     ? "s, m, h or d"
			: s->type == SCHEMA_BYTES ? "K, M or G"
						  : "there is none");
	if (!num_mul(n, factor, &n) || n < s->min || n > s->max)
		return err_set(e, ERR_SYNTAX,
		    "out of range: %llu to %llu is possible",
		    (unsigned long long)s->min, (unsigned long long)s->max);
	buf_addf(out, "%llu", (unsigned long long)n);
	return 0;
}

static int
plain_word(const struct schema_setting *s, struct str value, struct buf *out,
    struct err *e)
{
	struct str rest = str_of(s->words), word;

	while (str_next(&rest, ' ', &word))
		if (str_eq_nocase(word, value)) {
			buf_add_str(out, word);
			return 0;
		}
	return err_set(e, ERR_SYNTAX, "must be one of: %s", s->words);
}

static int
plain_text(const struct schema_setting *s, struct str value, struct buf *out,
    struct err *e)
{
	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] < 0x20 || value.p[i] == 0x7f)
			return err_set(
			    e, ERR_SYNTAX, "must not have control characters");
	if (s->type == SCHEMA_PATH && value.n > 0 && value.p[0] != '/')
		return err_set(e, ERR_SYNTAX, "must be an absolute path");
	if (s->check != NULL && s->check(value, e) == -1)
		return -1;
	buf_add_str(out, value);
	return 0;
}

int
schema_plain(const struct schema_setting *s, struct str value, struct buf *out,
    struct err *e)
{
	switch (s->type) {
	case SCHEMA_BOOL:
		return plain_bool(value, out, e);
	case SCHEMA_NUMBER:
	case SCHEMA_SECONDS:
	case SCHEMA_BYTES:
		return plain_number(s, value, out, e);
	case SCHEMA_WORD:
		return plain_word(s, value, out, e);
	case SCHEMA_TEXT:
	case SCHEMA_PATH:
		return plain_text(s, value, out, e);
	}
	return err_set(e, ERR_SYNTAX, "unknown type");
}
