/* SPDX-License-Identifier: ISC */
/*
 * schema_server.c - settings: sockets, processes and their accounts, TLS, the log.
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
	.name = "imap_listen", .type = SCHEMA_TEXT, .list = true, .preset = "",
	.readers = SCHEMA_MASTER,
	.help = "addresses for IMAP with STARTTLS; none: those of listen",
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
	.name = "key_processes", .type = SCHEMA_NUMBER,
	.min = 1, .max = 64, .preset = "1", .readers = SCHEMA_MASTER,
	.help = "how many processes sign TLS handshakes",
	.detail = "More than one helps only with RSA keys.",
}, {
	.name = "key_user", .type = SCHEMA_TEXT, .preset = "_restante-key",
	.readers = SCHEMA_MASTER,
	.help = "the account of the process that holds private keys",
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
	.name = "max_connections", .type = SCHEMA_NUMBER,
	.min = 1, .max = 1000000, .preset = "10000",
	.readers = SCHEMA_MASTER,
	.help = "how many sessions there may be in all",
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
	.name = "pop3_listen", .type = SCHEMA_TEXT, .list = true, .preset = "",
	.readers = SCHEMA_MASTER,
	.help = "addresses for POP3 with STLS; none: those of listen",
}, {
	.name = "pop3_port", .type = SCHEMA_NUMBER,
	.min = 0, .max = PORT_MAX, .preset = "110", .readers = SCHEMA_MASTER,
	.help = "port for POP3 with STLS; 0 switches it off",
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
	.name = "proxy_networks", .type = SCHEMA_TEXT, .list = true,
	.preset = "", .readers = SCHEMA_MASTER | SCHEMA_LOGIN,
	.help = "networks whose connections begin with a PROXY header",
	.detail =
	    "Addresses with a prefix length, as\n"
	    ".Ql 192.0.2.0/24 .\n"
	    "A connection from there without the header is closed;\n"
	    "a header from elsewhere is never believed.",
}, {
	.name = "run_dir", .type = SCHEMA_PATH, .preset = "/run/restante",
	.readers = SCHEMA_MASTER | MAIL_PROCESSES | SCHEMA_CTL,
	.help = "where the pid file and the control socket lie",
}, {
	.name = "spool_user", .type = SCHEMA_TEXT, .preset = "_restante-spool",
	.readers = SCHEMA_MASTER,
	.help = "the account of the process that locks the mail spool",
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

const struct schema_part schema_server = {TABLE, ARRAY_LEN(TABLE)};
