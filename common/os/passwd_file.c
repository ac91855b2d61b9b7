/* SPDX-License-Identifier: ISC */
/*
 * passwd_file.c - a file of users, read anew for each attempt.
 *
 * Owns:    nothing; the descriptor belongs to the caller.
 * Runs in: the passwd-file child of authd, as the pass user; restantectl.
 * Trusts:  the administrator, but not that every line is well formed: a bad
 *          line costs its own user the login and nobody else.
 * Spec:    Dovecot's passwd-file, as restante.conf(5) describes it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <unistd.h>

#include "os/passwd_file.h"
#include "base/num.h"

#define CHUNK_BYTES (16 * 1024)

static int
parse_id(struct str s, bool *has, uint32_t *value, struct err *e)
{
	if (s.n == 0)
		return 0;
	if (!num_parse_u32(s, 0, UINT32_MAX - 1, value))
		return err_set(e, ERR_CORRUPT, "uid and gid must be numbers");
	*has = true;
	return 0;
}

static int
parse_number(struct str s, uint32_t max, struct str *out, struct err *e)
{
	uint32_t ignored;

	if (!num_parse_u32(s, 0, max, &ignored))
		return err_set(e, ERR_CORRUPT, "a number is expected: %.*s",
		    (int)(s.n > 40 ? 40 : s.n), s.p);
	*out = s;
	return 0;
}

/* One word of the last field, "key=value" or "key". */
static int
parse_extra(struct str word, struct passwd_file_user *u, struct err *e)
{
	struct str key, value = word;

	(void)str_cut(&value, '=', &key);
	if (str_eq(key, STR("userdb_mail")) || str_eq(key, STR("mail"))) {
		u->mail = value;
	} else if (str_eq(key, STR("userdb_home")) ||
	    str_eq(key, STR("home"))) {
		u->home = value;
	} else if (str_eq(key, STR("userdb_pop3_uidl_format"))) {
		u->uidl = value;
	} else if (str_eq(key, STR("userdb_maildir_quota"))) {
		u->quota = value;
	} else if (str_eq(key, STR("userdb_pop3_reuse_xuidl"))) {
		u->has_reuse_xuidl = true;
		u->reuse_xuidl = str_eq(value, STR("yes"));
	} else if (str_eq(key, STR("userdb_pop3_login_delay"))) {
		return parse_number(value, UINT32_MAX, &u->login_delay, e);
	} else if (str_eq(key, STR("userdb_pop3_expire"))) {
		u->expire = value;
		if (!str_eq(value, STR("never")))
			return parse_number(value, INT32_MAX, &u->expire, e);
	} else if (str_eq(key, STR("userdb_uid"))) {
		return parse_id(value, &u->has_uid, &u->uid, e);
	} else if (str_eq(key, STR("userdb_gid"))) {
		return parse_id(value, &u->has_gid, &u->gid, e);
	} else if (str_eq(key, STR("allow_nets"))) {
		u->allow_nets = value;
		if (value.n == 0)
			u->nologin = true;
	} else if (str_eq(key, STR("nologin")) || str_eq(key, STR("reason"))) {
		u->nologin = true;
	} else if (str_eq(key, STR("nopassword")) || str_eq(key, STR("user")) ||
	    str_starts(key, STR("proxy")) || str_eq(key, STR("host")) ||
	    str_eq(key, STR("master_user"))) {
		/*
		 * These would let somebody in differently than we do. Others
		 * are of no concern here and passed over.
		 */
		return err_set(e, ERR_CORRUPT,
		    "an extra field that is not supported here: %.*s",
		    (int)(key.n > 40 ? 40 : key.n), key.p);
	}
	return 0;
}

int
passwd_file_parse(
    struct str line, struct passwd_file_user *out, bool *is_user, struct err *e)
{
	struct passwd_file_user u = {0};
	struct str field[7] = {{0}}, word;
	size_t i;

	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	*is_user = line.n > 0 && line.p[0] != '#';
	if (!*is_user)
		return 0;
	if (str_find(line, '\0') < line.n)
		return err_set(e, ERR_CORRUPT, "a NUL in the line");
	for (i = 0; i < ARRAY_LEN(field); i++)
		if (!str_cut(&line, ':', &field[i]))
			break;
	u.name = field[0];
	u.hash = field[1];
	u.home = field[5];
	if (u.name.n == 0)
		return err_set(e, ERR_CORRUPT, "no name");
	if (parse_id(field[2], &u.has_uid, &u.uid, e) == -1 ||
	    parse_id(field[3], &u.has_gid, &u.gid, e) == -1)
		return -1;
	/* What str_cut left is the eighth field, colons included. */
	while (line.n > 0) {
		(void)str_cut(&line, ' ', &word);
		if (word.n > 0 && parse_extra(word, &u, e) == -1)
			return -1;
	}
	if (u.home.n > 0 && u.home.p[0] != '/')
		return err_set(e, ERR_CORRUPT, "home is not an absolute path");
	*out = u;
	return 0;
}

/* The reader's place in the file; a line may lie across chunks. */
struct scan {
	struct str name;
	struct buf *line, *first;
	bool want_first; /* no usable line yet */
	bool whole; /* read to the end whatever is found */
	bool found;
	bool skip; /* inside a line longer than any user's can be */
};

/* Is this line about the user? Then it is kept in s->line. */
static void
see_line(struct scan *s, struct str line)
{
	struct passwd_file_user u;
	struct err ignored;
	bool is_user;

	if (s->want_first && line.n <= PASSWD_FILE_LINE_MAX &&
	    passwd_file_parse(line, &u, &is_user, &ignored) == 0 && is_user &&
	    u.hash.n >= 2 && u.hash.p[0] != '*' && u.hash.p[0] != '!') {
		buf_clear(s->first);
		if (buf_add_str(s->first, u.hash))
			s->want_first = false;
	}
	if (!s->found && line.n <= PASSWD_FILE_LINE_MAX && line.n > s->name.n &&
	    line.p[s->name.n] == ':' && str_starts(line, s->name)) {
		buf_clear(s->line);
		s->found = true;
		(void)buf_add_str(s->line, line);
	}
}

static bool
is_done(const struct scan *s)
{
	return s->found && !s->want_first && !s->whole;
}

/* All whole lines of `b`; drops them. `at_end`: the rest is a line too. */
static void
see_lines(struct scan *s, struct buf *b, bool at_end)
{
	struct str rest = buf_str(b), line;

	while (rest.n > 0 && !is_done(s)) {
		if (str_find(rest, '\n') == rest.n && !at_end)
			break;
		(void)str_cut(&rest, '\n', &line);
		if (!s->skip)
			see_line(s, line);
		s->skip = false;
	}
	buf_drop(b, b->n - rest.n);
	if (b->n > PASSWD_FILE_LINE_MAX) {
		s->skip = true;
		buf_clear(b);
	}
}

static int
scan_file(int fd, struct scan *s, struct err *e)
{
	struct buf b;
	off_t at = 0;
	ssize_t n = 1;
	char *room;
	int rc = -1;

	buf_init(&b, 2 * CHUNK_BYTES);
	while (n > 0 && !is_done(s)) {
		if (at > PASSWD_FILE_SIZE_MAX) {
			err_set(e, ERR_LIMIT, "passwd-file is too large");
			goto out;
		}
		room = buf_room(&b, CHUNK_BYTES);
		n = pread(fd, room, CHUNK_BYTES, at);
		if (n == -1) {
			if (errno == EINTR) {
				n = 1;
				continue;
			}
			err_sys(e, "read passwd-file");
			goto out;
		}
		b.n += (size_t)n;
		at += n;
		see_lines(s, &b, n == 0);
	}
	rc = 0;
out:
	buf_wipe(&b);
	buf_done(&b);
	return rc;
}

static int
find(int fd, struct scan *s, struct passwd_file_user *out, struct str *model,
    struct err *e)
{
	struct str name = s->name;
	bool is_user;

	s->want_first = model != NULL;
	if (name.n == 0 || name.p[0] == '#' || str_find(name, ':') < name.n)
		return err_set(e, ERR_NOT_FOUND, "no such user");
	if (scan_file(fd, s, e) == -1)
		return -1;
	if (model != NULL)
		*model = s->want_first ? (struct str){0} : buf_str(s->first);
	if (!s->found)
		return err_set(e, ERR_NOT_FOUND, "no such user");
	return passwd_file_parse(buf_str(s->line), out, &is_user, e);
}

int
passwd_file_find(int fd, struct str name, struct buf *line,
    struct passwd_file_user *out, struct buf *first, struct str *model,
    struct err *e)
{
	struct scan s = {.name = name, .line = line, .first = first};

	return find(fd, &s, out, model, e);
}

int
passwd_file_find_evenly(int fd, struct str name, struct buf *line,
    struct passwd_file_user *out, struct buf *first, struct str *model,
    struct err *e)
{
	struct scan s = {
	    .name = name, .line = line, .first = first, .whole = true};

	return find(fd, &s, out, model, e);
}

/* Text to 16 bytes, IPv4 mapped; *bits is what a plain address means. */
static bool
parse_ip(struct str text, unsigned char ip[16], uint32_t *bits, bool *is_v4)
{
	static const unsigned char mapped[12] = {
	    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	char c[INET6_ADDRSTRLEN];

	if (!str_to_c(text, c, sizeof(c)))
		return false;
	*bits = 128;
	if (inet_pton(AF_INET6, c, ip) == 1) {
		*is_v4 = memcmp(ip, mapped, sizeof(mapped)) == 0;
		return true;
	}
	memcpy(ip, mapped, sizeof(mapped));
	*is_v4 = true;
	return inet_pton(AF_INET, c, ip + 12) == 1;
}

static bool
in_net(struct str net, const unsigned char ip[16])
{
	unsigned char base[16];
	struct str address;
	uint32_t bits, given, i;
	bool is_v4, has_bits = str_cut(&net, '/', &address);

	if (!parse_ip(address, base, &bits, &is_v4))
		return false;
	if (has_bits) {
		if (!num_parse_u32(net, 0, is_v4 ? 32 : 128, &given))
			return false;
		bits = is_v4 ? given + 96 : given;
	}
	for (i = 0; i < bits; i++)
		if (((base[i / 8] ^ ip[i / 8]) >> (7 - i % 8)) & 1)
			return false;
	return true;
}

bool
passwd_file_net_allows(struct str nets, struct str ip)
{
	unsigned char bytes[16];
	struct str net;
	uint32_t bits;
	bool is_v4;

	if (nets.n == 0)
		return true;
	if (!parse_ip(ip, bytes, &bits, &is_v4))
		return false;
	while (nets.n > 0) {
		(void)str_cut(&nets, ',', &net);
		if (in_net(net, bytes))
			return true;
	}
	return false;
}
