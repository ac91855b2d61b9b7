/* SPDX-License-Identifier: ISC */
/*
 * header_hash.c - the hash of the header fields that no program changes.
 *
 * Owns:    nothing.
 * Runs in: imapd and pop3d sessions.
 * Trusts:  nothing; any bytes are a header block.
 * Spec:    formats.md 7.10.
 */
#include "mime/header.h"
#include "mime/header_hash.h"

enum when {
	ALWAYS,
	ONCE, /* the first one */
	BEFORE_RECEIVED, /* as long as there was no Received */
};

static const struct {
	const char *name;
	enum when when;
} fields[] = {
    {"Received", ONCE},
    {"Date", BEFORE_RECEIVED},
    {"Message-ID", BEFORE_RECEIVED},
    {"Delivered-To", ALWAYS},
    {"X-Delivery-ID", ALWAYS},
};

/* One blank behind the colon goes, and the line ends of folds. */
static void
add_value(struct md5 *m, struct str value)
{
	struct str line;

	if (value.n > 0 && *value.p == ' ')
		value = str_skip(value, 1);
	while (str_next(&value, '\n', &line)) {
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		md5_add(m, line);
	}
}

static void
add_fields(struct md5 *m, struct str block)
{
	struct header_iter it;
	struct header_field f;
	bool has_received = false;

	md5_init(m);
	header_iter_init(&it, block);
	while (header_iter_next(&it, &f))
		for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
			if (!str_eq_nocase(f.name, str_of(fields[i].name)))
				continue;
			if (fields[i].when == ALWAYS || !has_received)
				add_value(m, f.value);
			has_received = has_received || fields[i].when == ONCE;
		}
}

void
header_hash(struct str block, uint8_t out[MD5_BYTES])
{
	struct md5 m;

	add_fields(&m, block);
	md5_end(&m, out);
}

void
header_hash_hex(struct str block, char out[2 * MD5_BYTES + 1])
{
	struct md5 m;

	add_fields(&m, block);
	md5_end_hex(&m, out);
}
