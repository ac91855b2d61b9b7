/* SPDX-License-Identifier: ISC */
/*
 * tls_test.c - handshakes with a GnuTLS client in a process of its own, with
 * the keys in a signer that checks what it is asked; export of the state.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "net/tls.h"

enum { EC, RSA, ED, EC_OTHER_NAME, N_KEYS };

static struct material {
	gnutls_privkey_t key;
	gnutls_datum_t pem;
} made[N_KEYS];
static unsigned signatures;
static bool seen_verify, seen_params;

#define OK(x) assert_int_equal((x), 0)

static void
make(struct material *m, gnutls_pk_algorithm_t pk, unsigned bits,
    const char *name, time_t from, time_t to)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	unsigned char serial = 7;

	OK(gnutls_x509_privkey_init(&key));
	OK(gnutls_x509_privkey_generate(key, pk, bits, 0));
	OK(gnutls_x509_crt_init(&crt));
	OK(gnutls_x509_crt_set_version(crt, 3));
	OK(gnutls_x509_crt_set_serial(crt, &serial, 1));
	OK(gnutls_x509_crt_set_activation_time(crt, from));
	OK(gnutls_x509_crt_set_expiration_time(crt, to));
	OK(gnutls_x509_crt_set_dn_by_oid(
	    crt, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name)));
	OK(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name,
	    (unsigned)strlen(name), GNUTLS_FSAN_SET));
	OK(gnutls_x509_crt_set_key(crt, key));
	OK(gnutls_x509_crt_sign2(crt, crt, key,
	    pk == GNUTLS_PK_EDDSA_ED25519 ? GNUTLS_DIG_SHA512
					  : GNUTLS_DIG_SHA256,
	    0));
	OK(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &m->pem));
	OK(gnutls_privkey_init(&m->key));
	OK(gnutls_privkey_import_x509(m->key, key, GNUTLS_PRIVKEY_IMPORT_COPY));
	gnutls_x509_privkey_deinit(key);
	gnutls_x509_crt_deinit(crt);
}

static int
set_up(UNUSED void **state)
{
	time_t now = time(NULL);

	make(&made[EC], GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), "one.example",
	    now - 60, now + 86400);
	make(&made[RSA], GNUTLS_PK_RSA, 2048, "one.example", now - 60,
	    now + 86400);
	make(&made[ED], GNUTLS_PK_EDDSA_ED25519, 256, "ed.example", now - 60,
	    now + 86400);
	make(&made[EC_OTHER_NAME], GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1), "two.example",
	    now - 60, now + 86400);
	return 0;
}

static gnutls_sign_algorithm_t
algorithm_of(uint16_t scheme)
{
	switch (scheme) {
	case 0x0403:
		return GNUTLS_SIGN_ECDSA_SHA256;
	case 0x0503:
		return GNUTLS_SIGN_ECDSA_SHA384;
	case 0x0804:
		return GNUTLS_SIGN_RSA_PSS_RSAE_SHA256;
	case 0x0805:
		return GNUTLS_SIGN_RSA_PSS_RSAE_SHA384;
	case 0x0806:
		return GNUTLS_SIGN_RSA_PSS_RSAE_SHA512;
	case 0x0401:
		return GNUTLS_SIGN_RSA_SHA256;
	case 0x0807:
		return GNUTLS_SIGN_EDDSA_ED25519;
	default:
		return GNUTLS_SIGN_UNKNOWN;
	}
}

/* Stands for keyd; `arg` maps certificate numbers to `made`. */
static int
sign(void *arg, unsigned cert, uint16_t scheme, struct str input,
    struct buf *signature, struct err *e)
{
	const int *keys = arg;
	gnutls_datum_t data = {
	    (unsigned char *)(uintptr_t)input.p, (unsigned)input.n};
	gnutls_datum_t sig;

	if (str_starts(input, STR("                ")))
		seen_verify = true;
	else if (input.n > 68 && input.p[64] == 3)
		seen_params = true;
	else
		return err_set(e, ERR_VIOLATION, "not a handshake");
	if (gnutls_privkey_sign_data2(
		made[keys[cert]].key, algorithm_of(scheme), 0, &data, &sig) < 0)
		return err_set(e, ERR_OTHER, "scheme %04x", scheme);
	(void)buf_add(signature, sig.data, sig.size);
	gnutls_free(sig.data);
	signatures++;
	return 0;
}

static struct tls_server *
new_server(const int *keys, size_t n)
{
	static char ticket_key[TLS_TICKET_KEY_BYTES];
	struct tls_cert_bytes certs[N_KEYS];
	struct tls_server_settings settings = {.certs = certs,
	    .n_certs = n,
	    .ticket_key = str_make(ticket_key, sizeof(ticket_key)),
	    .ticket_life_s = 3600};
	struct tls_server *ts;
	struct err e = {0};

	memset(ticket_key, 'k', sizeof(ticket_key));
	for (size_t i = 0; i < n; i++)
		certs[i] = (struct tls_cert_bytes){
		    .chain_pem = str_make(
			made[keys[i]].pem.data, made[keys[i]].pem.size),
		    .name = "test.pem"};
	if (tls_server_new(&settings, &ts, &e) == -1)
		fail_msg("%s", e.text);
	tls_server_set_signer(ts, sign, (void *)(uintptr_t)keys);
	return ts;
}

/* ---- a client in a process of its own ------------------------------------- */

struct client {
	const char *priorities, *name, *alpn;
	const char *say; /* one record each, separated by '|' */
	size_t max_record;
	bool update; /* a KeyUpdate before the last record */
	int resume_fd; /* session data of an earlier client, or -1 */
	int save_fd; /* where to leave session data, or -1 */
};

static void
client_run(const struct client *c, int fd)
{
	gnutls_certificate_credentials_t cred;
	gnutls_session_t s;
	char line[200];
	struct str say = str_of(c->say), part;
	ssize_t n;
	int r;

	(void)gnutls_certificate_allocate_credentials(&cred);
	(void)gnutls_init(&s, GNUTLS_CLIENT);
	(void)gnutls_priority_set_direct(s, c->priorities, NULL);
	(void)gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, cred);
	if (c->name != NULL)
		(void)gnutls_server_name_set(
		    s, GNUTLS_NAME_DNS, c->name, strlen(c->name));
	if (c->alpn != NULL) {
		gnutls_datum_t d = {(unsigned char *)(uintptr_t)c->alpn,
		    (unsigned)strlen(c->alpn)};

		(void)gnutls_alpn_set_protocols(s, &d, 1, 0);
	}
	if (c->max_record != 0)
		(void)gnutls_record_set_max_recv_size(s, c->max_record);
	if (c->resume_fd != -1) {
		static char data[8192];

		n = pread(c->resume_fd, data, sizeof(data), 0);
		if (n <= 0 || gnutls_session_set_data(s, data, (size_t)n) < 0)
			_exit(9);
	}
	gnutls_transport_set_int(s, fd);
	do {
		r = gnutls_handshake(s);
	} while (r < 0 && !gnutls_error_is_fatal(r));
	if (r < 0)
		_exit(3);
	while (str_next(&say, '|', &part)) {
		if (c->update && say.n == 0 &&
		    gnutls_session_key_update(s, GNUTLS_KU_PEER) < 0)
			_exit(4);
		if (part.n > 0 && gnutls_record_send(s, part.p, part.n) < 0)
			_exit(5);
	}
	do {
		n = gnutls_record_recv(s, line, sizeof(line));
	} while (n == GNUTLS_E_AGAIN);
	if (n <= 0 || !str_eq(str_make(line, (size_t)n), STR("bye\r\n")))
		_exit(6);
	if (c->save_fd != -1) {
		gnutls_datum_t d;

		if (gnutls_session_get_data2(s, &d) < 0 ||
		    pwrite(c->save_fd, d.data, d.size, 0) != (ssize_t)d.size)
			_exit(8);
	}
	_exit(0);
}

struct pair {
	int fd;
	pid_t pid;
	struct tls *tls;
};

static void
start(struct pair *p, struct tls_server *ts, const struct client *c)
{
	struct err e = {0};
	int fds[2];

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	p->pid = fork();
	assert_int_not_equal(p->pid, -1);
	if (p->pid == 0) {
		close(fds[0]);
		client_run(c, fds[1]);
	}
	close(fds[1]);
	p->fd = fds[0];
	if (tls_new(ts, p->fd, "imap", &p->tls, &e) == -1)
		fail_msg("%s", e.text);
	tls_set_deadline(p->tls, clock_mono_ms() + 20000);
}

static int
finish(struct pair *p)
{
	char rest[1000];
	int status;

	tls_free(&p->tls);
	(void)shutdown(p->fd, SHUT_WR);
	while (read(p->fd, rest, sizeof(rest)) > 0)
		;
	close(p->fd);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

static void
handshake_ok(struct pair *p)
{
	struct err e = {0};

	if (tls_handshake(p->tls, &e) == -1)
		fail_msg("%s", e.text);
}

static void
say_bye(struct pair *p)
{
	struct err e = {0};

	OK(tls_send(p->tls, STR("bye\r\n"), &e));
	OK(tls_flush(p->tls, &e));
}

#define NORMAL_13 "NORMAL:-VERS-ALL:+VERS-TLS1.3"
#define NORMAL_12 "NORMAL:-VERS-ALL:+VERS-TLS1.2"

/* Every version, kind of key and suite; the right certificate by name. */
static void
test_handshakes(UNUSED void **state)
{
	static const int keys[] = {EC, RSA, ED, EC_OTHER_NAME};
	static const struct {
		const char *priorities, *name, *text;
	} t[] = {
	    {NORMAL_13 ":-CIPHER-ALL:+AES-128-GCM", "one.example",
		"TLS1.3 AES-128-GCM"},
	    {NORMAL_13 ":-CIPHER-ALL:+AES-256-GCM", NULL, "TLS1.3 AES-256-GCM"},
	    {NORMAL_13 ":-CIPHER-ALL:+CHACHA20-POLY1305", "one.example",
		"TLS1.3 CHACHA20-POLY1305"},
	    {NORMAL_13 ":-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA256", "one.example",
		"TLS1.3 AES-128-GCM"},
	    {NORMAL_13 ":-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA512", "one.example",
		"TLS1.3 AES-128-GCM"},
	    {NORMAL_13 ":-SIGN-ALL:+SIGN-EDDSA-ED25519", "ed.example",
		"TLS1.3 AES-128-GCM"},
	    {NORMAL_13, "two.example", "TLS1.3 AES-128-GCM"},
	    {NORMAL_12 ":-KX-ALL:+ECDHE-ECDSA:-CIPHER-ALL:+AES-128-GCM",
		"one.example", "TLS1.2 AES-128-GCM"},
	    {NORMAL_12 ":-KX-ALL:+ECDHE-ECDSA:-CIPHER-ALL:+AES-256-GCM",
		"two.example", "TLS1.2 AES-256-GCM"},
	    {NORMAL_12 ":-KX-ALL:+ECDHE-RSA:-CIPHER-ALL:+CHACHA20-POLY1305",
		"one.example", "TLS1.2 CHACHA20-POLY1305"},
	    {NORMAL_12 ":-SIGN-ALL:+SIGN-EDDSA-ED25519", "ed.example",
		"TLS1.2 AES-128-GCM"},
	    {NORMAL_12 ":-GROUP-ALL:+GROUP-SECP384R1:-KX-ALL:+ECDHE-RSA",
		"one.example", "TLS1.2 AES-128-GCM"},
	};
	struct tls_server *ts = new_server(keys, ARRAY_LEN(keys));

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct client c = {.priorities = t[i].priorities,
		    .name = t[i].name,
		    .alpn = "imap",
		    .say = "hello\r\n",
		    .resume_fd = -1,
		    .save_fd = -1};
		struct pair p;
		char line[100];
		size_t n;
		struct err e = {0};

		start(&p, ts, &c);
		handshake_ok(&p);
		tls_text(p.tls, line, sizeof(line));
		/* GnuTLS's clients prefer AES-256 where they may choose. */
		if (strstr(t[i].priorities, "CIPHER") != NULL)
			assert_string_equal(line, t[i].text);
		else
			assert_memory_equal(line, t[i].text, 6);
		OK(tls_recv(p.tls, line, sizeof(line), &n, &e));
		assert_true(str_eq(str_make(line, n), STR("hello\r\n")));
		say_bye(&p);
		assert_int_equal(finish(&p), 0);
	}
	assert_true(seen_verify && seen_params);
	tls_server_free(&ts);
}

static void
test_refused(UNUSED void **state)
{
	static const int keys[] = {EC, RSA};
	static const struct {
		const char *priorities, *alpn;
	} t[] = {
	    {"NORMAL:-VERS-ALL:+VERS-TLS1.1", NULL},
	    {NORMAL_12 ":-KX-ALL:+RSA", NULL},
	    {NORMAL_12 ":-KX-ALL:+DHE-RSA", NULL},
	    {NORMAL_12 ":-CIPHER-ALL:+AES-128-CBC", NULL},
	    {NORMAL_13 ":-CIPHER-ALL:+AES-128-CCM", NULL},
	    {NORMAL_13, "http/1.1"},
	    {NORMAL_12, "pop3"},
	};
	struct tls_server *ts = new_server(keys, ARRAY_LEN(keys));

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct client c = {.priorities = t[i].priorities,
		    .alpn = t[i].alpn,
		    .say = "",
		    .resume_fd = -1,
		    .save_fd = -1};
		struct pair p;
		struct err e = {0};

		start(&p, ts, &c);
		assert_int_equal(tls_handshake(p.tls, &e), -1);
		assert_int_equal(e.code, ERR_VIOLATION);
		assert_int_equal(finish(&p), 3);
	}
	tls_server_free(&ts);
}

static void
test_not_tls(UNUSED void **state)
{
	static const struct str t[] = {STR_LIT("GET / HTTP/1.0\r\n\r\n"),
	    STR_LIT("\x16\x03\x01\xff\xff"), STR_LIT("\x80\x2e\x01\x00\x02"),
	    STR_LIT("\x16\x03\x01\0\x05"), STR_LIT("")};
	static const int keys[] = {EC};
	struct tls_server *ts = new_server(keys, 1);

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct tls *tls;
		struct err e = {0};
		int fds[2];

		OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
		assert_int_equal(write(fds[1], t[i].p, t[i].n), t[i].n);
		OK(tls_new(ts, fds[0], "imap", &tls, &e));
		tls_set_deadline(tls, clock_mono_ms() + 50);
		if (i == 4)
			OK(shutdown(fds[1], SHUT_WR));
		assert_int_equal(tls_handshake(tls, &e), -1);
		assert_int_equal(e.code,
		    i == 4       ? ERR_CLOSED
			: i == 3 ? ERR_TIMEOUT
				 : ERR_VIOLATION);
		tls_free(&tls);
		close(fds[0]);
		close(fds[1]);
	}
	tls_server_free(&ts);
}

static int
temporary_file(void)
{
	char path[] = "/tmp/tls_test.XXXXXX";
	int fd = mkstemp(path);

	assert_int_not_equal(fd, -1);
	(void)unlink(path);
	return fd;
}

static void
test_resumption(UNUSED void **state)
{
	static const char *const versions[] = {NORMAL_13, NORMAL_12};
	static const int keys[] = {EC};

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct client c = {
		    .priorities = versions[i], .say = "x", .resume_fd = -1};
		struct pair p;
		char line[10];
		size_t n;
		struct err e;

		/* Another process, started later with the same master key. */
		for (int again = 0; again < 2; again++) {
			struct tls_server *ts = new_server(keys, 1);
			unsigned before = signatures;

			if (again == 0)
				c.save_fd = temporary_file();
			else {
				c.resume_fd = c.save_fd;
				c.save_fd = -1;
			}
			start(&p, ts, &c);
			handshake_ok(&p);
			assert_int_equal(tls_is_resumed(p.tls), again == 1);
			OK(tls_recv(p.tls, line, sizeof(line), &n, &e));
			say_bye(&p);
			assert_int_equal(finish(&p), 0);
			assert_int_equal(signatures, before + (again == 0));
			tls_server_free(&ts);
		}
		close(c.resume_fd);
	}
}

/* What the export says, with input left over in both places. */
static void
test_export(UNUSED void **state)
{
	static const struct {
		const char *priorities;
		uint16_t version, suite;
		uint8_t key_len, secret_len;
	} t[] = {
	    {NORMAL_13 ":-CIPHER-ALL:+AES-128-GCM", 0x0304, 0x1301, 16, 32},
	    {NORMAL_13 ":-CIPHER-ALL:+AES-256-GCM", 0x0304, 0x1302, 32, 48},
	    {NORMAL_13 ":-CIPHER-ALL:+CHACHA20-POLY1305", 0x0304, 0x1303, 32,
		32},
	    {NORMAL_12 ":-KX-ALL:+ECDHE-ECDSA:-CIPHER-ALL:+AES-128-GCM", 0x0303,
		0xc02b, 16, 0},
	    {NORMAL_12 ":-KX-ALL:+ECDHE-RSA:-CIPHER-ALL:+AES-256-GCM", 0x0303,
		0xc030, 32, 0},
	    {NORMAL_12 ":-KX-ALL:+ECDHE-RSA:-CIPHER-ALL:+CHACHA20-POLY1305",
		0x0303, 0xcca8, 32, 0},
	};
	static const int keys[] = {EC, RSA};
	struct tls_server *ts = new_server(keys, 2);

	for (size_t i = 0; i < ARRAY_LEN(t) * 2; i++) {
		bool update = i >= ARRAY_LEN(t);
		size_t k = i % ARRAY_LEN(t), n;
		struct client c = {.priorities = t[k].priorities,
		    .say = "abcdef|second|third",
		    .resume_fd = -1,
		    .save_fd = -1,
		    .update = update};
		struct tls_state st;
		struct tls_bindings bindings;
		struct buf plain;
		struct str raw;
		struct pair p;
		char line[3];
		struct err e = {0};

		if (update && t[k].version != 0x0304)
			continue;
		start(&p, ts, &c);
		handshake_ok(&p);
		OK(tls_recv(p.tls, line, sizeof(line), &n, &e));
		assert_int_equal(n, 3);
		buf_init(&plain, 16384);
		/* With an update: past it, so that the keys have changed. */
		for (int more = 0; update && more < 3; more++) {
			OK(tls_recv(p.tls, line, sizeof(line), &n, &e));
			if (n == 3 && memcmp(line, "thi", 3) == 0)
				break;
		}
		while (update && memcmp(line, "thi", 3) != 0)
			OK(tls_recv(p.tls, line, sizeof(line), &n, &e));
		if (tls_export(p.tls, &st, &plain, &raw, &e) == -1)
			fail_msg("%s", e.text);
		assert_int_equal(st.version, t[k].version);
		assert_int_equal(st.suite, t[k].suite);
		assert_int_equal(st.read.key_len, t[k].key_len);
		assert_int_equal(st.read.secret_len, t[k].secret_len);
		assert_int_equal(st.write.secret_len, t[k].secret_len);
		assert_int_equal(st.max_plain, 0);
		assert_memory_not_equal(st.read.key, st.write.key, 16);
		assert_true(
		    str_eq(buf_str(&plain), update ? STR("rd") : STR("def")));
		tls_get_bindings(p.tls, &bindings);
		assert_int_equal(bindings.n_exporter, 32);
		assert_int_equal(
		    bindings.n_unique, t[k].version == 0x0303 ? 12 : 0);
		if (!update) {
			assert_true(raw.n == 0 || (uint8_t)raw.p[0] == 0x17);
		}
		/* Somebody else may have it: no record of ours beside his. */
		tls_close(p.tls);
		/* Refused: it goes on as if nothing had been. */
		tls_resume(p.tls);
		if (!update) {
			char more[20];

			OK(tls_recv(p.tls, more, sizeof(more), &n, &e));
			assert_true(str_eq(str_make(more, n), STR("second")));
		}
		say_bye(&p);
		assert_int_equal(finish(&p), 0);
		buf_done(&plain);
	}
	tls_server_free(&ts);
}

static void
small_records(const char *priorities)
{
	static const int keys[] = {EC};
	struct tls_server *ts = new_server(keys, 1);
	struct client c = {.priorities = priorities,
	    .say = "x",
	    .max_record = 1024,
	    .resume_fd = -1,
	    .save_fd = -1};
	struct tls_state st;
	struct buf plain;
	struct str raw;
	struct pair p;
	char line[10];
	size_t n;
	struct err e;

	start(&p, ts, &c);
	handshake_ok(&p);
	OK(tls_recv(p.tls, line, sizeof(line), &n, &e));
	buf_init(&plain, 100);
	OK(tls_export(p.tls, &st, &plain, &raw, &e));
	assert_int_equal(st.max_plain, 1024);
	tls_resume(p.tls);
	say_bye(&p);
	assert_int_equal(finish(&p), 0);
	tls_server_free(&ts);
}

static void
test_small_records(UNUSED void **state)
{
	small_records(NORMAL_13);
	small_records(NORMAL_12);
}

static void
test_check(UNUSED void **state)
{
	static const int keys[] = {EC, RSA, ED, EC_OTHER_NAME};
	static const int wrong[] = {RSA, EC};
	struct tls_server *ts = new_server(keys, ARRAY_LEN(keys));
	struct tls_cert_info info;
	struct err e = {0};
	int64_t now = clock_wall_s();

	OK(tls_server_check(ts, &e));
	if (tls_server_warm(ts, &e) == -1)
		fail_msg("%s", e.text);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		assert_true(tls_server_cert(ts, i, &info));
		assert_string_equal(info.name, "test.pem");
		assert_string_equal(info.ocsp_problem, "");
		assert_in_range(info.not_before_s, now - 86400, now);
		assert_in_range(info.not_after_s, now, now + 2 * 86400);
	}
	assert_false(tls_server_cert(ts, ARRAY_LEN(keys), &info));
	/* A key that belongs to another certificate. */
	tls_server_set_signer(ts, sign, (void *)(uintptr_t)wrong);
	assert_int_equal(tls_server_check(ts, &e), -1);
	tls_server_free(&ts);

	/* Same type, so that only the check can find it. */
	{
		static const int ec[] = {EC};
		static const int other[] = {EC_OTHER_NAME};

		ts = new_server(ec, 1);
		tls_server_set_signer(ts, sign, (void *)(uintptr_t)other);
		assert_int_equal(tls_server_check(ts, &e), -1);
		assert_int_equal(tls_server_warm(ts, &e), -1);
		tls_server_free(&ts);
	}
}

static void
test_bad_files(UNUSED void **state)
{
	static const char *const pems[] = {"", "nonsense\n",
	    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"};

	for (size_t i = 0; i < ARRAY_LEN(pems); i++) {
		struct tls_cert_bytes cert = {
		    .chain_pem = str_of(pems[i]), .name = "x.pem"};
		struct tls_server_settings settings = {
		    .certs = &cert, .n_certs = 1};
		struct tls_server *ts;
		struct err e = {0};

		assert_int_equal(tls_server_new(&settings, &ts, &e), -1);
		assert_int_equal(e.code, ERR_CORRUPT);
		assert_non_null(strstr(e.text, "x.pem: "));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_handshakes),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_not_tls),
	    cmocka_unit_test(test_resumption),
	    cmocka_unit_test(test_export),
	    cmocka_unit_test(test_small_records),
	    cmocka_unit_test(test_check),
	    cmocka_unit_test(test_bad_files),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
