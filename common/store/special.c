/* SPDX-License-Identifier: ISC */
/*
 * special.c - the names that mail programs give to special mailboxes.
 *
 * Owns:    nothing.
 * Runs in: imapd.
 * Trusts:  nothing; a name decides only which attribute is shown.
 * Spec:    RFC 6154.
 */
#include "store/special.h"

static const struct {
	enum special_use use;
	const char *name;
} names[] = {
    {USE_DRAFTS, "Drafts"},
    {USE_SENT, "Sent"},
    {USE_TRASH, "Trash"},
    {USE_JUNK, "Junk"},
    {USE_ARCHIVE, "Archive"},
    /* Other programs, other words. */
    {USE_SENT, "Sent Messages"},
    {USE_SENT, "Sent Items"},
    {USE_SENT, "Sent Mail"},
    {USE_SENT, "sent-mail"},
    {USE_TRASH, "Deleted Messages"},
    {USE_TRASH, "Deleted Items"},
    {USE_TRASH, "Deleted"},
    {USE_JUNK, "Spam"},
    {USE_JUNK, "Junk E-mail"},
    {USE_JUNK, "Junk Email"},
    {USE_JUNK, "Bulk Mail"},
    {USE_ARCHIVE, "Archives"},
    {USE_DRAFTS, "Draft"},
    /* German */
    {USE_DRAFTS, "Entw\xc3\xbcrfe"},
    {USE_SENT, "Gesendet"},
    {USE_SENT, "Gesendete Objekte"},
    {USE_SENT, "Gesendete Elemente"},
    {USE_TRASH, "Papierkorb"},
    {USE_TRASH, "Gel\xc3\xb6schte Objekte"},
    {USE_TRASH, "Gel\xc3\xb6schte Elemente"},
    {USE_JUNK, "Werbung"},
    {USE_ARCHIVE, "Archiv"},
    /* French */
    {USE_DRAFTS, "Brouillons"},
    {USE_SENT, "Envoy\xc3\xa9s"},
    {USE_SENT, "\xc3\x89l\xc3\xa9ments envoy\xc3\xa9s"},
    {USE_SENT, "Messages envoy\xc3\xa9s"},
    {USE_TRASH, "Corbeille"},
    {USE_TRASH, "\xc3\x89l\xc3\xa9ments supprim\xc3\xa9s"},
    {USE_JUNK, "Courrier ind\xc3\xa9sirable"},
    {USE_JUNK, "Ind\xc3\xa9sirables"},
    /* Spanish, Portuguese */
    {USE_DRAFTS, "Borradores"},
    {USE_DRAFTS, "Rascunhos"},
    {USE_SENT, "Enviados"},
    {USE_SENT, "Elementos enviados"},
    {USE_SENT, "Itens enviados"},
    {USE_TRASH, "Papelera"},
    {USE_TRASH, "Elementos eliminados"},
    {USE_TRASH, "Lixeira"},
    {USE_TRASH, "Lixo"},
    {USE_JUNK, "Correo no deseado"},
    {USE_JUNK, "Lixo eletr\xc3\xb4nico"},
    {USE_ARCHIVE, "Archivo"},
    {USE_ARCHIVE, "Arquivo"},
    /* Italian, Dutch */
    {USE_DRAFTS, "Bozze"},
    {USE_DRAFTS, "Concepten"},
    {USE_SENT, "Inviata"},
    {USE_SENT, "Posta inviata"},
    {USE_SENT, "Verzonden"},
    {USE_SENT, "Verzonden items"},
    {USE_TRASH, "Cestino"},
    {USE_TRASH, "Posta eliminata"},
    {USE_TRASH, "Prullenbak"},
    {USE_TRASH, "Verwijderde items"},
    {USE_JUNK, "Posta indesiderata"},
    {USE_JUNK, "Ongewenste e-mail"},
    {USE_ARCHIVE, "Archivio"},
    {USE_ARCHIVE, "Archief"},
    /* Polish, Czech */
    {USE_DRAFTS, "Szkice"},
    {USE_DRAFTS, "Koncepty"},
    {USE_SENT,
	"Wys\xc5\x82"
	"ane"},
    {USE_SENT, "Odeslan\xc3\xa9"},
    {USE_TRASH, "Kosz"},
    {USE_TRASH, "Ko\xc5\xa1"},
    {USE_JUNK,
	"Nevy\xc5\xbe\xc3\xa1"
	"dan\xc3\xa1 po\xc5\xa1ta"},
    {USE_ARCHIVE, "Archiwum"},
    /* Russian */
    {USE_DRAFTS,
	"\xd0\xa7\xd0\xb5\xd1\x80\xd0\xbd\xd0\xbe\xd0\xb2\xd0\xb8\xd0\xba"
	"\xd0\xb8"},
    {USE_SENT,
	"\xd0\x9e\xd1\x82\xd0\xbf\xd1\x80\xd0\xb0\xd0\xb2\xd0\xbb\xd0\xb5"
	"\xd0\xbd\xd0\xbd\xd1\x8b\xd0\xb5"},
    {USE_TRASH, "\xd0\x9a\xd0\xbe\xd1\x80\xd0\xb7\xd0\xb8\xd0\xbd\xd0\xb0"},
    {USE_JUNK, "\xd0\xa1\xd0\xbf\xd0\xb0\xd0\xbc"},
    /* Japanese, Chinese */
    {USE_DRAFTS, "\xe4\xb8\x8b\xe6\x9b\xb8\xe3\x81\x8d"},
    {USE_SENT, "\xe9\x80\x81\xe4\xbf\xa1\xe6\xb8\x88\xe3\x81\xbf"},
    {USE_TRASH, "\xe3\x82\xb4\xe3\x83\x9f\xe7\xae\xb1"},
    {USE_JUNK, "\xe8\xbf\xb7\xe6\x83\x91\xe3\x83\xa1\xe3\x83\xbc\xe3\x83\xab"},
    {USE_DRAFTS, "\xe8\x8d\x89\xe7\xa8\xbf\xe7\xae\xb1"},
    {USE_SENT, "\xe5\xb7\xb2\xe5\x8f\x91\xe9\x80\x81"},
    {USE_TRASH, "\xe5\xb7\xb2\xe5\x88\xa0\xe9\x99\xa4"},
    {USE_JUNK, "\xe5\x9e\x83\xe5\x9c\xbe\xe9\x82\xae\xe4\xbb\xb6"},
};

struct str
special_default_name(enum special_use use)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].use == use)
			return str_of(names[i].name);
	return STR("");
}

enum special_use
special_of_name(struct str last_level, unsigned *rank)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!str_eq_nocase(str_of(names[i].name), last_level))
			continue;
		*rank = (unsigned)i;
		return names[i].use;
	}
	return USE_NONE;
}
