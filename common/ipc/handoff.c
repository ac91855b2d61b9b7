/* SPDX-License-Identifier: ISC */
/*
 * handoff.c - the message behind the second descriptor of HANDOFF. It has no
 * frame header: nothing else ever comes through that socketpair.
 *
 * Owns:    nothing.
 * Runs in: login workers, imapd, pop3d.
 * Trusts:  nothing about lengths; what the fields say is the client's own.
 */
#include "ipc/handoff.h"

#include "ipc/msg.h"

#define KEY_MAX 32
#define IV_BYTES 12
#define SECRET_MAX 48
#define TLS12 0x0303
#define TLS13 0x0304

static void
put_direction(const struct handoff_direction *d, struct buf *out)
{
	msg_put_blob(out, d->key);
	msg_put_blob(out, d->iv);
	msg_put_blob(out, d->secret);
	msg_put_u64(out, d->seq);
}

void
handoff_write(const struct handoff *h, struct buf *out)
{
	msg_put_u16(out, h->version);
	if (h->version != 0) {
		msg_put_u16(out, h->suite);
		msg_put_u16(out, h->max_plain);
		put_direction(&h->read, out);
		put_direction(&h->write, out);
	}
	msg_put_blob(out, h->unread);
	msg_put_blob(out, h->raw);
	msg_put_blob(out, h->client_id);
	msg_put_str(out, h->tls_text);
}

static void
get_direction(struct msg_in *in, uint16_t version, struct handoff_direction *d)
{
	d->key = msg_get_blob(in, KEY_MAX);
	d->iv = msg_get_blob(in, IV_BYTES);
	d->secret = msg_get_blob(in, SECRET_MAX);
	d->seq = msg_get_u64(in);
	if ((d->key.n != 16 && d->key.n != 32) || d->iv.n != IV_BYTES)
		msg_refuse(in);
	/* SHA-256 or SHA-384; only TLS 1.3 has them. */
	if (version == TLS13 ? d->secret.n != 32 && d->secret.n != 48
			     : d->secret.n != 0)
		msg_refuse(in);
}

int
handoff_parse(struct str bytes, struct handoff *out, struct err *e)
{
	struct handoff h = {0};
	struct msg_in in;

	msg_fields(bytes, &in);
	h.version = msg_get_u16(&in);
	if (h.version == TLS12 || h.version == TLS13) {
		h.suite = msg_get_u16(&in);
		h.max_plain = msg_get_u16(&in);
		get_direction(&in, h.version, &h.read);
		get_direction(&in, h.version, &h.write);
	} else if (h.version != 0)
		msg_refuse(&in);
	h.unread = msg_get_blob(&in, HANDOFF_UNREAD_MAX);
	h.raw = msg_get_blob(&in, HANDOFF_RAW_MAX);
	h.client_id = msg_get_blob(&in, HANDOFF_ID_MAX);
	h.tls_text = msg_get_str(&in, HANDOFF_TLS_TEXT_MAX);
	if (h.version == 0 && (h.raw.n != 0 || h.tls_text.n != 0))
		msg_refuse(&in);
	if (msg_end(&in, e) == -1)
		return -1;
	*out = h;
	return 0;
}
