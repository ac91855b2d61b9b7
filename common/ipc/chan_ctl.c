/* SPDX-License-Identifier: ISC */
/*
 * chan_ctl.c - control tool and master.
 *
 * Owns:    nothing.
 * Runs in: master, restantectl, imapd and pop3d from a shell.
 * Trusts:  nothing it parses.
 */
#include "ipc/chan_ctl.h"

void
ctl_request_write(const struct ctl_request *m, struct buf *out)
{
	msg_begin(out, CTL_REQUEST, 0);
	msg_put_str(out, m->verb);
	msg_put_u8(out, (uint8_t)m->n_args);
	for (size_t i = 0; i < m->n_args; i++) {
		msg_put_str(out, m->args[i].name);
		msg_put_str(out, m->args[i].value);
	}
}

int
ctl_request_parse(struct msg_in *in, struct ctl_request *m, struct err *e)
{
	struct ctl_request got = {0};

	got.verb = msg_get_str(in, CTL_TEXT_MAX);
	got.n_args = msg_get_u8(in);
	if (got.n_args > CTL_ARGS_MAX) {
		msg_refuse(in);
		got.n_args = 0;
	}
	for (size_t i = 0; i < got.n_args; i++) {
		got.args[i].name = msg_get_str(in, CTL_TEXT_MAX);
		got.args[i].value = msg_get_str(in, CTL_TEXT_MAX);
	}
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

struct str
ctl_arg(const struct ctl_request *m, struct str name)
{
	for (size_t i = 0; i < m->n_args; i++)
		if (str_eq(m->args[i].name, name))
			return m->args[i].value;
	return STR("");
}

void
ctl_row_write(const struct ctl_row *m, struct buf *out)
{
	msg_begin(out, CTL_ROW, 0);
	msg_put_u8(out, (uint8_t)m->n_fields);
	for (size_t i = 0; i < m->n_fields; i++) {
		msg_put_str(out, m->fields[i].name);
		msg_put_bool(out, m->fields[i].is_number);
		msg_put_str(out, m->fields[i].value);
	}
}

int
ctl_row_parse(struct msg_in *in, struct ctl_row *m, struct err *e)
{
	struct ctl_row got = {0};

	got.n_fields = msg_get_u8(in);
	if (got.n_fields > CTL_FIELDS_MAX) {
		msg_refuse(in);
		got.n_fields = 0;
	}
	for (size_t i = 0; i < got.n_fields; i++) {
		got.fields[i].name = msg_get_str(in, CTL_TEXT_MAX);
		got.fields[i].is_number = msg_get_bool(in);
		got.fields[i].value = msg_get_str(in, CTL_TEXT_MAX);
	}
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
ctl_end_write(const struct ctl_end *m, struct buf *out)
{
	msg_begin(out, CTL_END, 0);
	msg_put_bool(out, m->ok);
	msg_put_str(out, str_head(m->text, CTL_TEXT_MAX));
}

int
ctl_end_parse(struct msg_in *in, struct ctl_end *m, struct err *e)
{
	struct ctl_end got = {0};

	got.ok = msg_get_bool(in);
	got.text = msg_get_str(in, CTL_TEXT_MAX);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
ctl_settings_write(struct buf *out)
{
	msg_begin(out, CTL_SETTINGS, 2);
}

int
ctl_settings_parse(struct msg_in *in, struct err *e)
{
	return msg_end(in, e);
}
