/* SPDX-License-Identifier: ISC */
/*
 * settings.c - what login is told by its settings file.
 *
 * Runs in: login parent, at start.
 * Trusts:  master.
 */
#include <stdio.h>

#include "base/bounds.h"
#include "base/num.h"
#include "login/settings.h"

static const char *
of_service(const struct child_settings *c, const char *service,
    const char *name, const char *other)
{
	char scoped[64];
	const char *value;

	(void)snprintf(scoped, sizeof(scoped), "%s:%s", service, name);
	value = child_setting(c, scoped);
	return value != NULL ? value : child_setting_or(c, name, other);
}

static uint32_t
read_mechs(const struct child_settings *c, const char *service)
{
	char scoped[64];
	const char *name = "auth_mechanisms", *value;
	uint32_t mechs = 0;
	size_t i = 0, n = 0;

	(void)snprintf(scoped, sizeof(scoped), "%s:%s", service, name);
	if (child_setting(c, scoped) != NULL)
		name = scoped;
	while ((value = child_setting_next(c, name, &i)) != NULL) {
		struct str line = str_of(value), word;

		while (str_next(&line, ' ', &word)) {
			for (int m = 0; m < PRE_MECHS; m++) {
				if (str_eq_nocase(word,
					str_of(
					    pre_mech_name((enum pre_mech)m))))
					mechs |= 1u << m;
			}
			n += word.n;
		}
	}
	return n > 0 ? mechs : (1u << PRE_MECHS) - 1;
}

/* SCRAM needs keys, and users are told apart, only there. */
static bool
has_passwd_file(const struct child_settings *c)
{
	const char *value;
	size_t i = 0;

	if (child_setting(c, "auth") == NULL)
		return true;
	while ((value = child_setting_next(c, "auth", &i)) != NULL) {
		struct str line = str_of(value);

		if (str_find_str(line, STR("passwd-file")) != line.n)
			return true;
	}
	return false;
}

static void
read_service(const struct child_settings *c, enum login_service which,
    const char *service, struct login_settings *s)
{
	struct pre_settings *p = &s->pre[which];

	(void)snprintf(s->greeting[which], LOGIN_GREETING_MAX, "%s",
	    of_service(c, service, "login_greeting", "Restante ready."));
	p->service = which;
	p->greeting = s->greeting[which];
	p->offers_tls = s->tls;
	p->literal_minus =
	    strcmp(child_setting_or(c, "nonsync_literals", "all"), "small") ==
	    0;
	p->requires_tls =
	    strcmp(child_setting_or(c, "tls", "auto"), "required") == 0;
	p->allows_plain =
	    strcmp(of_service(c, service, "allow_plaintext_auth", "no"),
		"yes") == 0;
	p->mechs = read_mechs(c, service);
	if (!has_passwd_file(c))
		p->mechs &= ~(1u << PRE_MECH_SCRAM_SHA_256 |
		    1u << PRE_MECH_SCRAM_SHA_256_PLUS);
}

static void
read_pop3(const struct child_settings *c, struct pre_settings *p)
{
	uint32_t days;

	if (!pop3_lang_find(str_of(child_setting_or(c, "pop3_language", "en")),
		POP3_LANG_EN, &p->language))
		p->language = POP3_LANG_EN;
	p->login_delay_s =
	    (uint32_t)child_setting_u64(c, "pop3_login_delay", 0);
	p->by_user = has_passwd_file(c);
	p->expire_days = -1;
	if (num_parse_u32(str_of(child_setting_or(c, "pop3_expire", "never")),
		0, INT32_MAX, &days))
		p->expire_days = (int32_t)days;
}

/* What is masked for all: before the login nobody is known. */
static void
read_mask(const struct child_settings *c, struct login_settings *s)
{
	const char *name = "imap_capability_mask", *value;
	size_t i = 0, n = 0;

	while ((value = child_setting_next(c, name, &i)) != NULL) {
		int more =
		    snprintf(s->mask + n, sizeof(s->mask) - n, "%s ", value);

		if (more < 0 || (size_t)more >= sizeof(s->mask) - n)
			break;
		n += (size_t)more;
	}
	s->mask[n] = '\0';
	s->pre[LOGIN_IMAP].mask = s->mask;
}

static int
read_proxies(
    const struct child_settings *c, struct login_settings *s, struct err *e)
{
	const char *value;
	size_t i = 0;

	while ((value = child_setting_next(c, "proxy_networks", &i)) != NULL) {
		struct str line = str_of(value), word;

		while (str_next(&line, ' ', &word)) {
			if (word.n == 0)
				continue;
			if (s->n_proxies == LOGIN_PROXIES_MAX)
				return err_set(e, ERR_LIMIT,
				    "more than %d proxy_networks",
				    LOGIN_PROXIES_MAX);
			if (!addr_prefix_parse(word, &s->proxies[s->n_proxies]))
				return err_set(e, ERR_SYNTAX,
				    "proxy_networks: %.*s is not a network",
				    STR_ARG(word));
			s->n_proxies++;
		}
	}
	return 0;
}

static uint32_t
number(const struct child_settings *c, const char *name, uint32_t min,
    uint32_t max, uint32_t other)
{
	uint64_t v = child_setting_u64(c, name, other);

	return v < min ? min : v > max ? max : (uint32_t)v;
}

int
login_settings_read(
    const struct child_settings *c, struct login_settings *s, struct err *e)
{
	*s = (struct login_settings){0};
	s->tls = child_setting_bool(c, "tls_on", false);
	s->only_tls13 = strcmp(child_setting_or(c, "tls_min_version", "TLS1.2"),
			    "TLS1.3") == 0;
	s->ticket_life_s =
	    number(c, "tls_ticket_lifetime", 0, 7 * 86400, 86400);
	s->time_ms =
	    (int64_t)number(c, "login_timeout", 1, 600, PREAUTH_TIME_S) * 1000;
	s->workers_max = number(c, "login_workers_max", 4, 100000, 1000);
	s->workers_spare = number(c, "login_workers_spare", 1, 1000, 4);
	s->reuse = number(c, "login_reuse", 1, 10000, 1);
	read_service(c, LOGIN_IMAP, "imap", s);
	read_service(c, LOGIN_POP3, "pop3", s);
	read_pop3(c, &s->pre[LOGIN_POP3]);
	read_mask(c, s);
	return read_proxies(c, s, e);
}
