/* SPDX-License-Identifier: ISC */
/*
 * schema_store.c - settings: where mail lies, and how it is read and locked.
 *
 * Owns:    their names, ranges and defaults.
 * Runs in: every process (the children only look up defaults).
 * Trusts:  nothing in a value; the table itself is tested.
 * Spec:    restante.conf(5), which is written from this table.
 */
#include "conf/schema_impl.h"
#include "text/quota_limits.h"

/* A slip is told here, with its line, rather than to each user at his login.
 * The store knows the rest. */
static int
check_location(struct str value, struct err *e)
{
	static const char *const keys[] = {"INBOX", "CONTROL", "LAYOUT",
	    "INDEX", "INDEXPVT", "INDEXCACHE", "VOLATILEDIR", "LISTINDEX",
	    "ITERINDEX", "UTF-8"};
	struct str rest = value, driver, option, key;

	if (str_eq(value, STR("auto")))
		return 0;
	if (!str_cut(&rest, ':', &driver) ||
	    (!str_eq_nocase(driver, STR("maildir")) &&
		!str_eq_nocase(driver, STR("mbox"))))
		return err_set(e, ERR_SYNTAX,
		    "must be auto, or begin with maildir: or mbox:");
	(void)str_cut(&rest, ':', &key); /* the path */
	while (str_next(&rest, ':', &option)) {
		bool known = option.n == 0;

		(void)str_cut(&option, '=', &key);
		for (size_t i = 0; i < ARRAY_LEN(keys); i++)
			known = known || str_eq_nocase(key, str_of(keys[i]));
		if (!known)
			return err_set(e, ERR_SYNTAX,
			    "\"%.*s\" is none of INBOX, CONTROL, LAYOUT, INDEX",
			    STR_ARG(key));
	}
	return 0;
}

static int
check_quota(struct str value, struct err *e)
{
	return quota_limits_check(value, e);
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
	.name = "mail_location", .type = SCHEMA_TEXT, .per_service = true,
	.preset = "auto",
	.readers = SCHEMA_MASTER | SCHEMA_AUTHD | MAIL_PROCESSES | SCHEMA_CTL,
	.check = check_location,
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
	.name = "max_mailboxes", .type = SCHEMA_NUMBER,
	.min = 0, .max = 1000000, .preset = "0",
	.readers = SCHEMA_IMAPD,
	.help = "how many mailboxes a user may have",
	.detail =
	    "INBOX counts, levels that are no mailboxes do not.\n"
	    "0: any number.",
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
	.name = "namespace_prefix", .type = SCHEMA_TEXT, .preset = "",
	.readers = SCHEMA_IMAPD,
	.help = "what names of the user's own mailboxes begin with",
	.detail =
	    ".Ql INBOX\\&.\n"
	    "gives clients the names that they had from Courier.\n"
	    "INBOX itself has no prefix.",
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
	    "Without this setting a user finds there what others have shared\n"
	    "with him by SETACL or\n"
	    ".Xr restantectl 8 .\n"
	    "With it, also what is readable for him by other means; his\n"
	    "process then reaches all of the folder in front of\n"
	    ".Ql %u .\n"
	    "At most 64 owners' mail is open in one process.",
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
},
};
/* clang-format on */

const struct schema_part schema_store = {TABLE, ARRAY_LEN(TABLE)};
