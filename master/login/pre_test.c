/* SPDX-License-Identifier: ISC */
/* pre_test.c - dialogues before login, fed whole and byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "login/pre.h"

enum {
	LOCAL = 1, /* passwords need no TLS */
	TLS = 2,
	REQUIRED = 4,
	NO_TLS = 8, /* none offered */
	FAIL = 16, /* authd says no */
	DELAY = 32, /* logins and mail have their time */
	ALLOWED = 32,
};

#define ALL_MECHS ((1u << PRE_MECHS) - 1)
#define IMAP_CAPS "IMAP4rev1 IMAP4rev2 SASL-IR ID ENABLE IDLE LITERAL+"
#define CAPS_PLAIN                                                             \
	"* CAPABILITY " IMAP_CAPS                                              \
	" STARTTLS AUTH=SCRAM-SHA-256 AUTH=PLAIN AUTH=LOGIN\r\n"

static struct pre_settings settings;
static struct pre pre;
static struct buf out;

static void
begin(enum login_service service, int flags)
{
	settings = (struct pre_settings){.service = service,
	    .offers_tls = (flags & NO_TLS) == 0,
	    .requires_tls = (flags & REQUIRED) != 0,
	    .allows_plain = (flags & ALLOWED) != 0,
	    .mechs = ALL_MECHS,
	    .greeting = "Ready.",
	    .language = POP3_LANG_FR,
	    .login_delay_s = (flags & DELAY) != 0 ? 900 : 0,
	    .expire_days = (flags & DELAY) != 0 ? 30 : -1};
	buf_done(&out);
	buf_init(&out, PRE_OUT_MAX);
	memset(&pre, 'x', sizeof(pre));
	pre_init(&pre, &settings, (flags & TLS) != 0, (flags & TLS) != 0,
	    (flags & LOCAL) != 0, &out);
}

/* What is done with a request: written down, so that it can be compared. */
static void
note(const char *what)
{
	buf_addf(&out, "<%s", what);
	if (pre.want == PRE_DO_START)
		buf_addf(&out, " %s%s", pre_mech_name(pre.mech),
		    pre.has_initial ? "" : " -");
	for (size_t i = 0; i < pre.n_sasl; i++)
		(void)buf_add_byte(
		    &out, pre.sasl[i] == '\0' ? '|' : pre.sasl[i]);
	buf_add_c(&out, ">");
}

static void
react(int flags, struct str rest)
{
	switch (pre.want) {
	case PRE_DO_TLS:
		note("tls");
		assert_int_equal(rest.n, 0);
		pre_tls_started(&pre, true);
		break;
	case PRE_DO_START:
		note("start ");
		if (!pre.has_initial)
			pre_auth_more(&pre, STR("more?"), &out);
		else if ((flags & FAIL) != 0)
			pre_auth_fail(&pre, CHAN_AUTH_BAD, &out);
		else
			pre_auth_ok(&pre);
		break;
	case PRE_DO_ANSWER:
		note("answer ");
		pre_auth_ok(&pre);
		break;
	case PRE_DO_CANCEL:
		note("cancel");
		pre_auth_fail(&pre, CHAN_AUTH_CANCELLED, &out);
		break;
	case PRE_DO_READ:
	case PRE_DO_HANDOFF:
	case PRE_DO_CLOSE:
		break;
	}
}

static void
talk(struct str in, size_t step, int flags)
{
	while (in.n > 0 && pre.want == PRE_DO_READ) {
		struct str piece = str_head(in, step);
		size_t used = pre_feed(&pre, piece, &out);

		in = str_skip(in, used);
		/* Byte by byte nothing is ever known to lie behind. */
		react(flags, str_skip(piece, used));
	}
	if (pre.want == PRE_DO_HANDOFF)
		buf_addf(&out, "<handoff %.*s %.*s>",
		    STR_ARG(str_make(pre.tag, pre.n_tag)), STR_ARG(in));
	else if (pre.want == PRE_DO_CLOSE)
		buf_addf(&out, "<close>");
}

struct dialogue {
	int flags;
	struct str in;
	const char *expected;
};

static const struct dialogue imap[] = {
    {LOCAL, STR_LIT("a CAPABILITY\r\n"),
	CAPS_PLAIN "a OK Capability completed.\r\n"},
    {0, STR_LIT("a capability \r\n"),
	"* CAPABILITY " IMAP_CAPS
	" STARTTLS LOGINDISABLED AUTH=SCRAM-SHA-256\r\n"
	"a OK Capability completed.\r\n"},
    {TLS, STR_LIT("a CAPABILITY\n"),
	"* CAPABILITY " IMAP_CAPS " AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256"
	" AUTH=PLAIN AUTH=LOGIN\r\n"
	"a OK Capability completed.\r\n"},
    {LOCAL | REQUIRED, STR_LIT("a CAPABILITY\r\n"),
	"* CAPABILITY " IMAP_CAPS " STARTTLS LOGINDISABLED\r\n"
	"a OK Capability completed.\r\n"},
    {NO_TLS, STR_LIT("a CAPABILITY\r\n"),
	"* CAPABILITY " IMAP_CAPS " LOGINDISABLED AUTH=SCRAM-SHA-256\r\n"
	"a OK Capability completed.\r\n"},
    {ALLOWED, STR_LIT("a CAPABILITY\r\n"),
	CAPS_PLAIN "a OK Capability completed.\r\n"},
    {0, STR_LIT("a NOOP\r\nb CAPABILITY x\r\nc NOOP\r\n"),
	"a OK Noop completed.\r\nb BAD Wrong number of arguments.\r\n"
	"c OK Noop completed.\r\n"},
    {0, STR_LIT("\x16\x03\x01\x02\x00\x01\x00"), "<close>"},
    {0, STR_LIT("a NOOP\r\n\x16\x03\x01\x02\x00\x01\x00"),
	"a OK Noop completed.\r\n<close>"},
    {0, STR_LIT("a \x16\x03\r\n"),
	"a BAD This is not possible before login.\r\n"},
    {0, STR_LIT("a LOGOUT\r\nb NOOP\r\n"),
	"* BYE Logging out.\r\na OK Logout completed.\r\n<close>"},
    {0, STR_LIT("a SELECT INBOX\r\n"),
	"a BAD This is not possible before login.\r\n"},
    {0, STR_LIT("\r\n"), "* BAD A command begins with a tag.\r\n"},
    {0, STR_LIT("a\r\n"), "a BAD This is not possible before login.\r\n"},
    {0, STR_LIT("+ NOOP\r\n"), "* BAD A command begins with a tag.\r\n"},
    {0, STR_LIT("a\0b NOOP\r\n"), "* BAD A command begins with a tag.\r\n"},
    /* ID */
    {0, STR_LIT("a ID NIL\r\n"),
	"* ID (\"name\" \"Restante\")\r\na OK ID completed.\r\n"},
    {0, STR_LIT("a ID (\"name\" \"x (1)\" \"v\" \"\\\")\" \"os\" NIL)\r\n"),
	"* ID (\"name\" \"Restante\")\r\na OK ID completed.\r\n"},
    {0, STR_LIT("a ID (\"x\r\n"),
	"a BAD ID takes a list of quoted strings or NIL.\r\n"},
    {0, STR_LIT("a ID\r\n"), "a BAD Wrong number of arguments.\r\n"},
    /* LOGIN in all forms */
    {LOCAL, STR_LIT("a LOGIN u p\r\nb SELECT INBOX\r\n"),
	"<start  PLAIN|u|p><handoff a b SELECT INBOX\r\n>"},
    {LOCAL, STR_LIT("a LOGIN \"u \\\"x\\\\\" \"\"\r\n"),
	"<start  PLAIN|u \"x\\|><handoff a >"},
    {LOCAL, STR_LIT("a LOGIN \"\xc3\xa4\" p]\r\n"),
	"<start  PLAIN|\xc3\xa4|p]><handoff a >"},
    {LOCAL, STR_LIT("a LOGIN {3}\r\na{b {5}\r\np w\r\n\r\nrest"),
	"+ OK\r\n+ OK\r\n<start  PLAIN|a{b|p w\r\n><handoff a rest>"},
    {LOCAL, STR_LIT("a LOGIN {3+}\r\n{3} {3+}\r\n{3}\r\n"),
	"<start  PLAIN|{3}|{3}><handoff a >"},
    {LOCAL, STR_LIT("a LOGIN {0+}\r\n \"\"\r\n"),
	"<start  PLAIN||><handoff a >"},
    {LOCAL, STR_LIT("a LOGIN {1+}\r\n\0 p\r\nb NOOP\r\n"),
	"a BAD LOGIN takes a user name and a password.\r\n"
	"b OK Noop completed.\r\n"},
    {LOCAL, STR_LIT("a LOGIN u\r\na LOGIN u p x\r\na LOGIN u (p)\r\n"),
	"a BAD LOGIN takes a user name and a password.\r\n"
	"a BAD LOGIN takes a user name and a password.\r\n"
	"a BAD LOGIN takes a user name and a password.\r\n"},
    {LOCAL, STR_LIT("a LOGIN \"u p\r\na LOGIN \"u\\x\" p\r\n"),
	"a BAD LOGIN takes a user name and a password.\r\n"
	"a BAD LOGIN takes a user name and a password.\r\n"},
    {LOCAL, STR_LIT("a LOGIN u {1025}\r\nb NOOP\r\n"),
	"a BAD Literal too large.\r\nb OK Noop completed.\r\n"},
    {LOCAL, STR_LIT("a LOGIN {9+}\r\nb LOGOUT\n {1025}\r\nb NOOP\r\n"),
	"a BAD Literal too large.\r\nb OK Noop completed.\r\n"},
    {LOCAL, STR_LIT("a LOGIN u {99999999999999999999999}\r\n"),
	"a BAD LOGIN takes a user name and a password.\r\n"},
    {LOCAL, STR_LIT("a LOGIN u {9999+}\r\n"),
	"* BYE Literal too large.\r\n<close>"},
    {LOCAL, STR_LIT("a SELECT {7+}\r\nLOGOUT\n x\r\nb NOOP\r\n"),
	"a BAD No literals like this before login.\r\n"
	"b OK Noop completed.\r\n"},
    {LOCAL, STR_LIT("a SELECT {5}\r\nb NOOP\r\n"),
	"a BAD No literals before login.\r\nb OK Noop completed.\r\n"},
    {0, STR_LIT("a LOGIN u p\r\nb NOOP\r\n"),
	"a NO [PRIVACYREQUIRED] Use TLS first.\r\nb OK Noop completed.\r\n"},
    {0, STR_LIT("a LOGIN {1}\r\nb NOOP\r\n"),
	"a NO [PRIVACYREQUIRED] Use TLS first.\r\nb OK Noop completed.\r\n"},
    {LOCAL | FAIL, STR_LIT("a LOGIN u p\r\nb NOOP\r\n"),
	"<start  PLAIN|u|p>a NO [AUTHENTICATIONFAILED] Authentication "
	"failed.\r\nb OK Noop completed.\r\n"},
    {LOCAL | FAIL,
	STR_LIT("a LOGIN u p\r\nb LOGIN u p\r\nc LOGIN u p\r\nd NOOP\r\n"),
	"<start  PLAIN|u|p>a NO [AUTHENTICATIONFAILED] Authentication "
	"failed.\r\n<start  PLAIN|u|p>b NO [AUTHENTICATIONFAILED] "
	"Authentication failed.\r\n<start  PLAIN|u|p>c NO "
	"[AUTHENTICATIONFAILED] Authentication failed.\r\n"
	"* BYE Too many failed logins.\r\n<close>"},
    /* AUTHENTICATE */
    {LOCAL, STR_LIT("a AUTHENTICATE PLAIN AHUAcA==\r\nb NOOP\r\n"),
	"<start  PLAIN|u|p><handoff a b NOOP\r\n>"},
    {LOCAL, STR_LIT("a authenticate plain\r\nAHUAcA==\r\nx"),
	"<start  PLAIN ->+ bW9yZT8=\r\n<answer |u|p><handoff a x>"},
    {LOCAL, STR_LIT("a AUTHENTICATE LOGIN =\r\n"),
	"<start  LOGIN><handoff a >"},
    {LOCAL, STR_LIT("a AUTHENTICATE PLAIN\r\n\r\n"),
	"<start  PLAIN ->+ bW9yZT8=\r\n<answer ><handoff a >"},
    {LOCAL, STR_LIT("a AUTHENTICATE PLAIN\r\n*\r\nb NOOP\r\n"),
	"<start  PLAIN ->+ bW9yZT8=\r\n<cancel>a BAD Authentication "
	"cancelled.\r\nb OK Noop completed.\r\n"},
    {LOCAL, STR_LIT("a AUTHENTICATE PLAIN\r\n!!!\r\nb NOOP\r\n"),
	"<start  PLAIN ->+ bW9yZT8=\r\n<cancel>a BAD Authentication "
	"cancelled.\r\nb OK Noop completed.\r\n"},
    {LOCAL, STR_LIT("a AUTHENTICATE PLAIN AHUAcA=\r\n"),
	"a BAD The initial response is not base64.\r\n"},
    {LOCAL, STR_LIT("a AUTHENTICATE GSSAPI\r\n"),
	"a NO [CANNOT] Unsupported authentication mechanism.\r\n"},
    {LOCAL, STR_LIT("a AUTHENTICATE\r\n"),
	"a BAD Wrong number of arguments.\r\n"},
    {0, STR_LIT("a AUTHENTICATE PLAIN AHUAcA==\r\n"),
	"a NO [PRIVACYREQUIRED] Use TLS first.\r\n"},
    {0, STR_LIT("a AUTHENTICATE SCRAM-SHA-256 bg==\r\n"),
	"<start  SCRAM-SHA-256n><handoff a >"},
    {LOCAL, STR_LIT("a AUTHENTICATE SCRAM-SHA-256-PLUS bg==\r\n"),
	"a NO [PRIVACYREQUIRED] Use TLS first.\r\n"},
    {TLS, STR_LIT("a AUTHENTICATE SCRAM-SHA-256-PLUS bg==\r\n"),
	"<start  SCRAM-SHA-256-PLUSn><handoff a >"},
    {LOCAL | REQUIRED, STR_LIT("a AUTHENTICATE SCRAM-SHA-256 bg==\r\n"),
	"a NO [PRIVACYREQUIRED] Use TLS first.\r\n"},
    /* STARTTLS */
    {0, STR_LIT("a STARTTLS\r\n"), "a OK Begin TLS negotiation now.\r\n<tls>"},
    {TLS, STR_LIT("a STARTTLS\r\n"), "a BAD TLS is already active.\r\n"},
    {NO_TLS, STR_LIT("a STARTTLS\r\n"), "a BAD TLS is not available.\r\n"},
    {0, STR_LIT("a STARTTLS x\r\n"), "a BAD Wrong number of arguments.\r\n"},
};

static const struct dialogue pop3[] = {
    {0, STR_LIT("\x16\x03\x01\x02\x00\x01\x00"), "<close>"},
    {LOCAL, STR_LIT("CAPA\r\n"),
	"+OK Capability list "
	"follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-"
	"CODE\r\nPIPELINING\r\n"
	"UTF8 USER\r\nLANG\r\nEXPIRE NEVER\r\nSTLS\r\nUSER\r\nSASL "
	"SCRAM-SHA-256 PLAIN LOGIN\r\n"
	"IMPLEMENTATION Restante\r\n.\r\n"},
    {0, STR_LIT("capa\r\n"),
	"+OK Capability list "
	"follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-"
	"CODE\r\nPIPELINING\r\n"
	"UTF8 USER\r\nLANG\r\nEXPIRE NEVER\r\nSTLS\r\nSASL SCRAM-SHA-256\r\n"
	"IMPLEMENTATION Restante\r\n.\r\n"},
    {REQUIRED, STR_LIT("CAPA\r\n"),
	"+OK Capability list "
	"follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-"
	"CODE\r\nPIPELINING\r\n"
	"UTF8 USER\r\nLANG\r\nEXPIRE NEVER\r\nSTLS\r\nIMPLEMENTATION "
	"Restante\r\n.\r\n"},
    {LOCAL, STR_LIT("USER u\r\nPASS p w \r\nSTAT\r\n"),
	"+OK Now the password.\r\n<start  PLAIN|u|p w ><handoff  STAT\r\n>"},
    {LOCAL, STR_LIT("PASS p\r\n"), "-ERR USER comes first.\r\n"},
    {LOCAL, STR_LIT("USER\r\n"), "-ERR Wrong number of arguments.\r\n"},
    {LOCAL | FAIL, STR_LIT("USER u\r\nPASS p\r\nPASS p\r\n"),
	"+OK Now the password.\r\n<start  PLAIN|u|p>-ERR [AUTH] Authentication "
	"failed.\r\n"
	"-ERR USER comes first.\r\n"},
    {0, STR_LIT("USER u\r\nPASS p\r\n"),
	"-ERR [AUTH] Use TLS first.\r\n-ERR [AUTH] Use TLS first.\r\n"},
    {LOCAL, STR_LIT("AUTH PLAIN AHUAcA==\r\nSTAT\r\n"),
	"<start  PLAIN|u|p><handoff  STAT\r\n>"},
    {LOCAL, STR_LIT("AUTH PLAIN\r\nAHUAcA==\r\n"),
	"<start  PLAIN ->+ bW9yZT8=\r\n<answer |u|p><handoff  >"},
    {LOCAL, STR_LIT("AUTH PLAIN\r\n*\r\nQUIT\r\n"),
	"<start  PLAIN ->+ bW9yZT8=\r\n<cancel>-ERR Authentication "
	"cancelled.\r\n+OK Bye\r\n<close>"},
    {LOCAL, STR_LIT("AUTH\r\n"),
	"+OK Mechanisms follow.\r\nSCRAM-SHA-256\r\nPLAIN\r\nLOGIN\r\n.\r\n"},
    {0, STR_LIT("AUTH PLAIN AHUAcA==\r\n"), "-ERR [AUTH] Use TLS first.\r\n"},
    {0, STR_LIT("STLS\r\n"), "+OK Begin TLS negotiation now.\r\n<tls>"},
    {TLS, STR_LIT("STLS\r\n"), "-ERR TLS is already active.\r\n"},
    {LOCAL, STR_LIT("STAT\r\nRETR 1\r\n"),
	"-ERR This is not possible before login.\r\n"
	"-ERR This is not possible before login.\r\n"},
    {LOCAL, STR_LIT("USER a\0b\r\n"), "-ERR Not a line of text.\r\n"},
    /* RFC 5034: "=" is an initial response of nothing; blanks at the end are
     * none at all. */
    {LOCAL, STR_LIT("AUTH LOGIN =\r\n\r\n"), "<start  LOGIN><handoff  \r\n>"},
    {LOCAL, STR_LIT("AUTH PLAIN \r\nAHUAcA==\r\n"),
	"<start  PLAIN ->+ bW9yZT8=\r\n<answer |u|p><handoff  >"},
    {LOCAL, STR_LIT("AUTH   \r\n"),
	"+OK Mechanisms follow.\r\nSCRAM-SHA-256\r\nPLAIN\r\nLOGIN\r\n"
	".\r\n"},
    /* RFC 2449 */
    {REQUIRED | DELAY, STR_LIT("CAPA\r\n"),
	"+OK Capability list follows\r\nTOP\r\nUIDL\r\nRESP-CODES\r\n"
	"AUTH-RESP-CODE\r\nPIPELINING\r\nUTF8 USER\r\nLANG\r\nEXPIRE 30\r\n"
	"LOGIN-DELAY 900\r\nSTLS\r\nIMPLEMENTATION Restante\r\n.\r\n"},
    /* RFC 6856 */
    {0, STR_LIT("LANG\r\n"),
	"+OK Language listing follows\r\nen English\r\nde Deutsch\r\n"
	"es Espa\xc3\xb1ol\r\nfr Fran\xc3\xa7"
	"ais\r\n.\r\n"},
    {0, STR_LIT("LANG de-AT\r\nLANG uga\r\nQUIT\r\n"),
	"+OK de Sprache ge\xc3\xa4ndert\r\n"
	"-ERR Diese Sprache gibt es hier nicht\r\n"
	"+OK Auf Wiedersehen\r\n<close>"},
    {0, STR_LIT("LANG *\r\nLANG en\r\nLANG MUL\r\n"),
	"+OK fr Langue chang\xc3\xa9"
	"e\r\n+OK en Language changed\r\n-ERR There is no such language "
	"here\r\n"},
    {0, STR_LIT("LANG de\r\nPASS x\r\n"),
	"+OK de Sprache ge\xc3\xa4ndert\r\n-ERR [AUTH] Zuerst TLS "
	"verwenden.\r\n"},
    {0, STR_LIT("UTF8 x\r\nUTF8\r\nSTLS\r\n"),
	"-ERR Wrong number of arguments.\r\n+OK UTF-8 from now on\r\n"
	"-ERR STLS comes before UTF8\r\n"},
    {LOCAL, STR_LIT("USER \xc3\xa4\r\nPASS \xe4\r\nPASS \xc3\xa4\r\n"),
	"+OK Now the password.\r\n-ERR This is not UTF-8.\r\n"
	"<start  PLAIN|\xc3\xa4|\xc3\xa4><handoff  >"},
    {LOCAL, STR_LIT("USER \xc0\xaf\r\n"), "-ERR This is not UTF-8.\r\n"},
};

static void
run(enum login_service service, const struct dialogue *d, size_t step)
{
	begin(service, d->flags);
	buf_clear(&out);
	talk(d->in, step, d->flags);
	(void)buf_add_byte(&out, '\0');
	assert_string_equal(out.p, d->expected);
	buf_done(&out);
}

static void
test_imap(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(imap); i++) {
		run(LOGIN_IMAP, &imap[i], SIZE_MAX);
		/* What follows is not known to lie behind: only the end
		 * differs then, where there is a rest. */
		if (strstr(imap[i].expected, "<handoff") == NULL)
			run(LOGIN_IMAP, &imap[i], 1);
	}
}

static void
test_pop3(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(pop3); i++) {
		run(LOGIN_POP3, &pop3[i], SIZE_MAX);
		if (strstr(pop3[i].expected, "<handoff") == NULL)
			run(LOGIN_POP3, &pop3[i], 1);
	}
}

static void
expect(const char *text)
{
	(void)buf_add_byte(&out, '\0');
	assert_string_equal(out.p, text);
	buf_clear(&out);
}

static void
test_greeting(UNUSED void **state)
{
	begin(LOGIN_IMAP, LOCAL);
	expect(
	    "* OK [CAPABILITY " IMAP_CAPS
	    " STARTTLS AUTH=SCRAM-SHA-256 AUTH=PLAIN AUTH=LOGIN] Ready.\r\n");
	buf_done(&out);
	begin(LOGIN_POP3, 0);
	expect("+OK Ready.\r\n");
	buf_done(&out);
}

/* The byte behind STARTTLS closes, without a word. */
static void
test_injection(UNUSED void **state)
{
	static const struct {
		enum login_service service;
		struct str in;
	} t[] = {
	    {LOGIN_IMAP, STR_LIT("a STARTTLS\r\nb LOGIN u p\r\n")},
	    {LOGIN_IMAP, STR_LIT("a STARTTLS\r\n\r")},
	    {LOGIN_POP3, STR_LIT("STLS\r\nUSER u\r\n")},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		begin(t[i].service, 0);
		buf_clear(&out);
		(void)pre_feed(&pre, t[i].in, &out);
		assert_int_equal(pre.want, PRE_DO_CLOSE);
		assert_int_equal(out.n, 0);
		buf_done(&out);
	}
}

/* What was said before TLS is forgotten, but for the failures. */
static void
test_tls_forgets(UNUSED void **state)
{
	begin(LOGIN_IMAP, LOCAL);
	talk(STR("a ID (\"x\" \"y\")\r\nb LOGIN u p\r\n"), SIZE_MAX, LOCAL);
	assert_int_not_equal(pre.n_id, 0);
	begin(LOGIN_IMAP, LOCAL | FAIL);
	talk(STR("a ID (\"x\" \"y\")\r\nb LOGIN u p\r\nx\r\nc STARTTLS\r\n"),
	    SIZE_MAX, LOCAL | FAIL);
	assert_true(pre.has_tls);
	assert_int_equal(pre.n_id, 0);
	assert_int_equal(pre.errors, 0);
	assert_int_equal(pre.failures, 1);
	begin(LOGIN_POP3, LOCAL);
	talk(STR("USER u\r\nSTLS\r\n"), SIZE_MAX, LOCAL);
	assert_int_equal(pre.n_user, 0);
	buf_done(&out);
}

static void
test_limits(UNUSED void **state)
{
	static char line[2 * PREAUTH_LINE_MAX];
	size_t n = 0;

	memset(line, 'x', sizeof(line));
	for (int service = LOGIN_IMAP; service <= LOGIN_POP3; service++) {
		begin((enum login_service)service, LOCAL);
		buf_clear(&out);
		assert_int_equal(
		    pre_feed(&pre, str_make(line, PREAUTH_LINE_MAX), &out),
		    PREAUTH_LINE_MAX);
		assert_int_equal(pre.want, PRE_DO_READ);
		(void)pre_feed(&pre, STR("x"), &out);
		assert_int_equal(pre.want, PRE_DO_CLOSE);
		expect(service == LOGIN_IMAP ? "* BYE Line too long.\r\n"
					     : "-ERR Line too long.\r\n");
		buf_done(&out);
	}
	/* Swallowed literals count too. */
	begin(LOGIN_IMAP, 0);
	buf_clear(&out);
	while (pre.want == PRE_DO_READ && n < 100) {
		(void)pre_feed(&pre, STR("a X {1000+}\r\n"), &out);
		if (pre.want == PRE_DO_READ)
			(void)pre_feed(&pre, str_make(line, 1000), &out);
		n++;
	}
	assert_int_equal(n, 9);
	buf_done(&out);
	/* Errors. */
	begin(LOGIN_IMAP, LOCAL);
	for (n = 0; n < 100 && pre.want == PRE_DO_READ; n++) {
		buf_clear(&out);
		(void)pre_feed(&pre, STR("a FETCH\r\n"), &out);
	}
	assert_int_equal(n, PRE_ERRORS_MAX);
	expect("a BAD This is not possible before login.\r\n"
	       "* BYE Too many errors.\r\n");
	/* POP3 has one answer for a command (RFC 1939 section 3). */
	begin(LOGIN_POP3, LOCAL);
	for (n = 0; n < 100 && pre.want == PRE_DO_READ; n++) {
		buf_clear(&out);
		(void)pre_feed(&pre, STR("STAT\r\n"), &out);
	}
	assert_int_equal(n, PRE_ERRORS_MAX);
	expect("-ERR This is not possible before login.\r\n");
	begin(LOGIN_POP3, LOCAL);
	for (n = 0; n < 100 && pre.want == PRE_DO_READ; n++) {
		buf_clear(&out);
		(void)pre_feed(&pre, STR("USER u\r\n"), &out);
		buf_clear(&out);
		(void)pre_feed(&pre, STR("PASS p\r\n"), &out);
		pre_auth_fail(&pre, CHAN_AUTH_BAD, &out);
	}
	assert_int_equal(n, PREAUTH_LOGIN_FAILURES_MAX);
	expect("-ERR [AUTH] Authentication failed.\r\n");
	buf_done(&out);
}

/* Many commands at once: answers go out before more is taken. */
static void
test_pipelining(UNUSED void **state)
{
	struct buf in;
	size_t answers = 0;

	buf_init(&in, 100000);
	for (int i = 0; i < 1000; i++)
		buf_add_c(&in, "a CAPABILITY\r\n");
	begin(LOGIN_IMAP, LOCAL);
	while (in.n > 0) {
		buf_clear(&out);
		buf_drop(&in, pre_feed(&pre, buf_str(&in), &out));
		assert_false(buf_is_over(&out));
		assert_true(out.n < 4096);
		for (size_t i = 0; i < out.n; i++)
			answers += out.p[i] == '\n';
	}
	assert_int_equal(answers, 2000);
	buf_done(&in);
	buf_done(&out);
}

static void
test_endings(UNUSED void **state)
{
	begin(LOGIN_IMAP, LOCAL);
	talk(STR("a LOGIN u p\r\n"), SIZE_MAX, LOCAL);
	buf_clear(&out);
	pre_refused(&pre, HANDOFF_LIMIT_USER, &out);
	expect("a NO [LIMIT] Too many connections of this user.\r\n"
	       "* BYE Try again later.\r\n");
	assert_int_equal(pre.want, PRE_DO_CLOSE);
	begin(LOGIN_IMAP, LOCAL);
	buf_clear(&out);
	pre_timeout(&pre, &out);
	expect("* BYE No login in time.\r\n");
	begin(LOGIN_IMAP, LOCAL);
	buf_clear(&out);
	pre_shutdown(&pre, &out);
	expect("* BYE The server is shutting down.\r\n");
	assert_int_equal(pre.want, PRE_DO_CLOSE);
	begin(LOGIN_POP3, LOCAL);
	buf_clear(&out);
	pre_shutdown(&pre, &out);
	expect("");
	assert_int_equal(pre.want, PRE_DO_CLOSE);
	begin(LOGIN_POP3, LOCAL);
	buf_clear(&out);
	pre_timeout(&pre, &out);
	expect("");
	assert_int_equal(pre.want, PRE_DO_CLOSE);
	begin(LOGIN_POP3, LOCAL);
	talk(STR("USER u\r\nPASS p\r\n"), SIZE_MAX, LOCAL);
	buf_clear(&out);
	pre_refused(&pre, HANDOFF_FAILED, &out);
	expect("-ERR [SYS/TEMP] Temporarily unavailable.\r\n");
	/* No password stays behind. */
	assert_int_equal(pre.n_line, 0);
	assert_int_equal(pre.n_sasl, 0);
	assert_null(memmem(pre.line, sizeof(pre.line), "PASS p", 6));
	assert_null(memmem(pre.sasl, sizeof(pre.sasl), "\0u\0p", 4));
	buf_done(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_imap),
	    cmocka_unit_test(test_pop3),
	    cmocka_unit_test(test_greeting),
	    cmocka_unit_test(test_injection),
	    cmocka_unit_test(test_tls_forgets),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_pipelining),
	    cmocka_unit_test(test_endings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
