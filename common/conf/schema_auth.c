/* SPDX-License-Identifier: ISC */
/*
 * schema_auth.c - settings: who may log in, and how passwords are looked up.
 *
 * Owns:    their names, ranges and defaults.
 * Runs in: every process (the children only look up defaults).
 * Trusts:  nothing in a value; the table itself is tested.
 * Spec:    restante.conf(5), which is written from this table.
 */
#include "conf/schema_impl.h"

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
},
};
/* clang-format on */

const struct schema_part schema_auth = {TABLE, ARRAY_LEN(TABLE)};
