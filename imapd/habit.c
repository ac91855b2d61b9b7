/* SPDX-License-Identifier: ISC */
/*
 * habit.c - habits of mail programs.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; a program that lies in ID gets another program's answers.
 * Spec:    RFC 2971 (ID); Apple's TN3189; restante-imap(7) tells all of it to
 *          administrators.
 *
 * What needs no knowledge of the program is done for all: a delimiter behind a
 * name is dropped (Thunderbird, where "/" is the delimiter), blanks behind
 * AUTHENTICATE's mechanism too (Outlook), CHANGEDSINCE 0 asks for all (iOS).
 */
#include "imapd/habit.h"

#include "host/host.h"
#include "imapd/commands.h"
#include "os/pressure.h"

static const struct {
	const char *word; /* in imap_client_workarounds */
	unsigned habit;
	const char *field, *value; /* of ID: holds it; NULL: by setting alone */
	const char *reason;
} table[] = {
    {"tb-lsub-flags", HABIT_LSUB_FLAGS, "name", "Thunderbird",
	"it lists folders by LSUB alone, and would let its user open a level "
	"that can not be selected"},
    {"tb-lsub-flags", HABIT_LSUB_FLAGS, "name", "Betterbird", "as Thunderbird"},
    {"delay-newmail", HABIT_DELAY_NEWMAIL, NULL, NULL,
	"old Outlook and Outlook Express lose track when EXISTS comes with the "
	"answer to another command than NOOP"},
    {NULL, HABIT_BACKGROUND, "event", "index",
	"iOS reads mail ahead for its search; nobody waits for that"},
    {NULL, HABIT_BACKGROUND, "event", "back",
	"iOS fills up what it has of old mail; nobody waits for that"},
};

/* ---- settings -------------------------------------------------------------- */

static struct str
setting(const struct session *s, const char *name)
{
	const char *value = host_setting(s->host, name);

	return value == NULL ? STR("") : str_of(value);
}

static bool
has_word(struct str list, const char *word)
{
	struct str one;

	while (str_next(&list, ' ', &one))
		if (str_eq_nocase(one, str_of(word)))
			return true;
	return false;
}

void
habit_id_begin(struct session *s)
{
	struct str list = setting(s, "imap_client_workarounds");

	s->habits = 0;
	s->client_name.n = 0;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].word != NULL && has_word(list, table[i].word))
			s->habits |= table[i].habit;
	s->knows_clients = list.n == 0 || has_word(list, "auto");
}

/* ---- ID -------------------------------------------------------------------- */

/* The name without blanks, as settings have it. */
static void
note_name(struct session *s, struct str value)
{
	size_t n = 0;

	for (size_t i = 0; i < value.n && n < sizeof(s->client_room); i++)
		if (value.p[i] > ' ' && value.p[i] != '\x7f')
			s->client_room[n++] = value.p[i];
	s->client_name = str_make(s->client_room, n);
}

static bool
holds(struct str text, struct str word)
{
	for (; text.n >= word.n; text = str_skip(text, 1))
		if (str_starts_nocase(text, word))
			return true;
	return false;
}

void
habit_id(struct session *s, struct str field, struct str value)
{
	if (str_eq_nocase(field, STR("name")))
		note_name(s, value);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		bool is_on = table[i].word == NULL || s->knows_clients;

		if (is_on && table[i].field != NULL &&
		    str_eq_nocase(field, str_of(table[i].field)) &&
		    holds(value, str_of(table[i].value)))
			s->habits |= table[i].habit;
	}
}

/* The next quoted string, or NIL, of what the login worker has let pass. */
static bool
next_string(struct arena *a, struct str *rest, struct str *out)
{
	char *p;
	size_t n = 0, i;

	*rest = str_trim(*rest);
	if (str_starts_nocase(*rest, STR("NIL"))) {
		*out = STR("");
		*rest = str_skip(*rest, 3);
		return true;
	}
	if (rest->n == 0 || rest->p[0] != '"')
		return false;
	p = arena_new(a, rest->n, 1);
	for (i = 1; i < rest->n && rest->p[i] != '"'; i++) {
		if (rest->p[i] == '\\' && i + 1 < rest->n)
			i++;
		p[n++] = rest->p[i];
	}
	*rest = str_skip(*rest, i + 1);
	*out = str_make(p, n);
	return true;
}

void
habit_init(struct session *s, struct str client_id)
{
	struct str field, value;
	struct arena a;

	habit_id_begin(s);
	if (!str_starts(client_id, STR("(")))
		return;
	client_id = str_skip(client_id, 1);
	arena_init(&a);
	while (next_string(&a, &client_id, &field) &&
	    next_string(&a, &client_id, &value))
		habit_id(s, field, value);
	arena_done(&a);
}

/* ---- background work -------------------------------------------------------- */

/* Commands that read mail. What they do can be done later. */
static bool
is_work(const struct command *def)
{
	static command_fn *const work[] = {cmd_select, cmd_examine, cmd_status,
	    cmd_fetch, cmd_search, cmd_esearch, cmd_sort, cmd_thread};

	for (size_t i = 0; i < ARRAY_LEN(work); i++)
		if (def->fn == work[i])
			return true;
	return false;
}

bool
habit_must_wait(const struct session *s, const struct command *def)
{
	return habit_has(s, HABIT_BACKGROUND) && is_work(def) &&
	    habit_is_pressed(s);
}

bool
habit_is_pressed(const struct session *s)
{
	return habit_has(s, HABIT_BACKGROUND) &&
	    pressure_is_high(host_setting_number(s->host, "background_load", 0),
		host_setting_bytes(s->host, "background_memory", 0));
}

/* ---- capabilities ----------------------------------------------------------- */

/* Is a word of the setting about this client and user? *name: of what. */
static bool
is_about(const struct session *s, struct str word, struct str *name)
{
	struct str who;

	if (str_starts(word, STR("client=")) && str_find(word, ':') < word.n) {
		word = str_skip(word, 7);
		(void)str_cut(&word, ':', &who);
		*name = word;
		return who.n > 0 && str_starts_nocase(s->client_name, who);
	}
	if (str_starts(word, STR("user=")) && str_find(word, ':') < word.n) {
		word = str_skip(word, 5);
		(void)str_cut(&word, ':', &who);
		*name = word;
		return str_eq(str_of(s->user), who);
	}
	*name = word;
	return true;
}

bool
habit_is_masked(const struct session *s, struct str capability)
{
	struct str list = setting(s, "imap_capability_mask"), word, name;

	while (str_next(&list, ' ', &word))
		if (word.n > 0 && is_about(s, word, &name) &&
		    str_eq_nocase(name, capability))
			return true;
	return false;
}

void
habit_mask(const struct session *s, struct buf *b, size_t from)
{
	struct str rest, word;
	struct buf kept;

	if (setting(s, "imap_capability_mask").n == 0)
		return;
	buf_init(&kept, b->n - from + 1);
	rest = str_make(b->p + from, b->n - from);
	while (str_next(&rest, ' ', &word)) {
		if (habit_is_masked(s, word))
			continue;
		if (kept.n > 0)
			buf_add_byte(&kept, ' ');
		buf_add_str(&kept, word);
	}
	b->n = from;
	buf_add_str(b, buf_str(&kept));
	buf_done(&kept);
}
