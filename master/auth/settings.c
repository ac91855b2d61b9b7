/* SPDX-License-Identifier: ISC */
/*
 * settings.c - what authd, the spawner and its children are told.
 *
 * Owns:    nothing.
 * Runs in: authd in each of its roles, at start.
 * Trusts:  master.
 */
#include <stdio.h>
#include <string.h>

#include "auth/settings.h"
#include "base/num.h"
#include "os/rng.h"
#include "text/hex.h"

static uint32_t
get_u32(const struct child_settings *c, const char *name, uint32_t other)
{
	uint64_t v = child_setting_u64(c, name, other);
	uint32_t n;

	return num_to_u32(v, &n) ? n : other;
}

/* "imap:name", else "name". */
static const char *
of_service(const struct child_settings *c, enum chan_auth_service service,
    const char *name, const char *other)
{
	char scoped[64];
	const char *value;

	(void)snprintf(scoped, sizeof(scoped), "%s:%s",
	    auth_settings_service(service), name);
	value = child_setting(c, scoped);
	if (value == NULL)
		value = child_setting(c, name);
	return value == NULL ? other : value;
}

/*
 * A list has a line per value; words on one line are taken, too. False when
 * there is no such line.
 */
static bool
read_list(const struct child_settings *c, const char *name,
    void (*add)(struct auth_settings *s, struct str word, size_t where),
    struct auth_settings *s, size_t where)
{
	struct str line, word;
	const char *value;
	size_t i = 0;
	bool found = false;

	while ((value = child_setting_next(c, name, &i)) != NULL) {
		found = true;
		for (line = str_of(value); line.n > 0;) {
			(void)str_cut(&line, ' ', &word);
			if (word.n > 0)
				add(s, word, where);
		}
	}
	return found;
}

static void
add_source(struct auth_settings *s, struct str word, UNUSED size_t where)
{
	enum chan_try_kind kind;

	if (str_eq(word, STR("pam")))
		kind = CHAN_TRY_PAM;
	else if (str_eq(word, STR("passwd-file")))
		kind = CHAN_TRY_PASSWD_FILE;
	else
		return;
	/* Without root PAM could check nobody but ourselves. */
	if (kind == CHAN_TRY_PAM && s->unprivileged)
		return;
	if (s->n_sources < ARRAY_LEN(s->sources))
		s->sources[s->n_sources++] = kind;
}

static const char *const known_mechs[] = {
    "PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"};

static void
add_mech(struct auth_settings *s, struct str word, size_t service)
{
	for (size_t i = 0; i < ARRAY_LEN(known_mechs); i++)
		if (str_eq_nocase(word, str_of(known_mechs[i])))
			s->mechs[service] |= 1u << i;
}

static void
read_mechs(const struct child_settings *c, enum chan_auth_service service,
    struct auth_settings *s)
{
	char scoped[64];

	(void)snprintf(scoped, sizeof(scoped), "%s:auth_mechanisms",
	    auth_settings_service(service));
	if (read_list(c, scoped, add_mech, s, service) ||
	    read_list(c, "auth_mechanisms", add_mech, s, service))
		return;
	add_mech(s, STR("PLAIN"), service);
	add_mech(s, STR("LOGIN"), service);
}

static void
read_services(const struct child_settings *c, struct auth_settings *s)
{
	enum chan_auth_service i;

	for (i = CHAN_AUTH_IMAP; i <= CHAN_AUTH_POP3; i++) {
		read_mechs(c, i, s);
		s->pam_service[i] = of_service(c, i, "pam_service", "");
		s->allow_plaintext[i] =
		    strcmp(of_service(c, i, "allow_plaintext_auth", "no"),
			"yes") == 0;
	}
}

static void
read_salt_key(const struct child_settings *c, struct auth_settings *s)
{
	struct buf b;

	buf_init(&b, sizeof(s->salt_key));
	if (hex_decode(&b, str_of(child_setting_or(c, "salt_key", ""))) &&
	    b.n == sizeof(s->salt_key))
		memcpy(s->salt_key, b.p, sizeof(s->salt_key));
	else
		rng_bytes(s->salt_key, sizeof(s->salt_key));
	buf_wipe(&b);
	buf_done(&b);
}

int
auth_settings_read(
    const struct child_settings *c, struct auth_settings *out, struct err *e)
{
	struct auth_settings s = {0};

	/* Master starts the program twice. */
	s.is_spawner =
	    strcmp(child_setting_or(c, "role", "broker"), "spawner") == 0;
	s.unprivileged =
	    child_setting(c, s.is_spawner ? "pass_uid" : "self_uid") == NULL;
	s.pass_sysuid = get_u32(c, "pass_uid", 0);
	s.pass_sysgid = get_u32(c, "pass_gid", 0);
	if (s.is_spawner && !s.unprivileged &&
	    (s.pass_sysuid == 0 || s.pass_sysgid == 0))
		return err_set(
		    e, ERR_OTHER, "the passwd-file must not be read as root");
	if (!read_list(c, "auth", add_source, &s, 0))
		add_source(&s, STR("pam"), 0);
	if (s.n_sources == 0)
		return err_set(e, ERR_UNSUPPORTED,
		    s.unprivileged
			? "without root only auth = passwd-file can work"
			: "auth names no source of passwords");
	s.failure_delay_ms =
	    (int64_t)get_u32(c, "auth_failure_delay", 2) * 1000;
	s.penalties = child_setting_bool(c, "auth_penalty", true);
	s.keep_case = !child_setting_bool(c, "auth_username_lowercase", true);
	s.name_chars = child_setting_or(c, "auth_username_chars", "");
	s.folder_separator = child_setting_or(c, "pop3_folder_separator", "");
	read_services(c, &s);
	s.pam_session = child_setting_bool(c, "pam_session", false);
	s.passwd_file =
	    child_setting_or(c, "passwd_file", SYSCONFDIR "/restante/passwd");
	if (s.is_spawner)
		read_salt_key(c, &s);
	s.first_uid = get_u32(c, "first_valid_uid", 1000);
	s.last_uid = get_u32(c, "last_valid_uid", 0);
	s.first_gid = get_u32(c, "first_valid_gid", 1);
	s.last_gid = get_u32(c, "last_valid_gid", 0);
	*out = s;
	return 0;
}

bool
auth_settings_has_mech(const struct auth_settings *s,
    enum chan_auth_service service, struct str mech)
{
	for (size_t i = 0; i < ARRAY_LEN(known_mechs); i++)
		if (str_eq_nocase(mech, str_of(known_mechs[i])))
			return s->mechs[service] & (1u << i);
	return false;
}

const char *
auth_settings_service(enum chan_auth_service service)
{
	return service == CHAN_AUTH_POP3 ? "pop3" : "imap";
}
