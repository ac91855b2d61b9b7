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

/*
 * As the programs of each language name them. The first of a use is what it is
 * called when it is made here; of several that are there the earlier one has
 * the use.
 */
/* clang-format off */
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
    {USE_TRASH, "Bin"},
    {USE_JUNK, "Spam"},
    {USE_JUNK, "Junk E-mail"},
    {USE_JUNK, "Junk Email"},
    {USE_JUNK, "Junk Mail"},
    {USE_JUNK, "Bulk Mail"},
    {USE_ARCHIVE, "Archives"},
    {USE_DRAFTS, "Draft"},
    /* German */
    {USE_DRAFTS, "Entwürfe"},
    {USE_SENT, "Gesendet"},
    {USE_SENT, "Gesendete Objekte"},
    {USE_SENT, "Gesendete Elemente"},
    {USE_SENT, "Gesendete Nachrichten"},
    {USE_TRASH, "Papierkorb"},
    {USE_TRASH, "Gelöscht"},
    {USE_TRASH, "Gelöschte Objekte"},
    {USE_TRASH, "Gelöschte Elemente"},
    {USE_JUNK, "Werbung"},
    {USE_JUNK, "Spamverdacht"},
    {USE_JUNK, "Unerwünscht"},
    {USE_ARCHIVE, "Archiv"},
    /* French */
    {USE_DRAFTS, "Brouillons"},
    {USE_SENT, "Envoyés"},
    {USE_SENT, "Éléments envoyés"},
    {USE_SENT, "Messages envoyés"},
    {USE_SENT, "Courrier envoyé"},
    {USE_TRASH, "Corbeille"},
    {USE_TRASH, "Éléments supprimés"},
    {USE_TRASH, "Messages supprimés"},
    {USE_JUNK, "Courrier indésirable"},
    {USE_JUNK, "Indésirables"},
    {USE_JUNK, "Pourriel"},
    /* Spanish, Catalan, Portuguese */
    {USE_DRAFTS, "Borradores"},
    {USE_DRAFTS, "Esborranys"},
    {USE_DRAFTS, "Rascunhos"},
    {USE_SENT, "Enviados"},
    {USE_SENT, "Elementos enviados"},
    {USE_SENT, "Mensajes enviados"},
    {USE_SENT, "Enviats"},
    {USE_SENT, "Itens enviados"},
    {USE_SENT, "Enviadas"},
    {USE_TRASH, "Papelera"},
    {USE_TRASH, "Elementos eliminados"},
    {USE_TRASH, "Paperera"},
    {USE_TRASH, "Lixeira"},
    {USE_TRASH, "Lixo"},
    {USE_TRASH, "Itens excluídos"},
    {USE_JUNK, "Correo no deseado"},
    {USE_JUNK, "Correu brossa"},
    {USE_JUNK, "Lixo eletrônico"},
    {USE_JUNK, "Lixo eletrónico"},
    {USE_ARCHIVE, "Archivo"},
    {USE_ARCHIVE, "Arxiu"},
    {USE_ARCHIVE, "Arquivo"},
    /* Italian, Romanian */
    {USE_DRAFTS, "Bozze"},
    {USE_DRAFTS, "Ciorne"},
    {USE_SENT, "Inviata"},
    {USE_SENT, "Inviati"},
    {USE_SENT, "Posta inviata"},
    {USE_SENT, "Trimise"},
    {USE_SENT, "Mesaje trimise"},
    {USE_TRASH, "Cestino"},
    {USE_TRASH, "Posta eliminata"},
    {USE_TRASH, "Coș de gunoi"},
    {USE_JUNK, "Posta indesiderata"},
    {USE_JUNK, "Indesiderata"},
    {USE_ARCHIVE, "Archivio"},
    {USE_ARCHIVE, "Arhivă"},
    /* Dutch */
    {USE_DRAFTS, "Concepten"},
    {USE_SENT, "Verzonden"},
    {USE_SENT, "Verzonden items"},
    {USE_SENT, "Verzonden berichten"},
    {USE_TRASH, "Prullenbak"},
    {USE_TRASH, "Verwijderde items"},
    {USE_JUNK, "Ongewenste e-mail"},
    {USE_JUNK, "Ongewenst"},
    {USE_ARCHIVE, "Archief"},
    /* Danish, Norwegian, Swedish, Finnish */
    {USE_DRAFTS, "Kladder"},
    {USE_DRAFTS, "Udkast"},
    {USE_DRAFTS, "Utkast"},
    {USE_DRAFTS, "Luonnokset"},
    {USE_SENT, "Sendt"},
    {USE_SENT, "Sendt post"},
    {USE_SENT, "Sendte elementer"},
    {USE_SENT, "Skickat"},
    {USE_SENT, "Skickade meddelanden"},
    {USE_SENT, "Lähetetyt"},
    {USE_TRASH, "Papirkurv"},
    {USE_TRASH, "Slettet post"},
    {USE_TRASH, "Søppel"},
    {USE_TRASH, "Papperskorg"},
    {USE_TRASH, "Papperskorgen"},
    {USE_TRASH, "Borttaget"},
    {USE_TRASH, "Roskakori"},
    {USE_TRASH, "Poistetut"},
    {USE_JUNK, "Uønsket mail"},
    {USE_JUNK, "Søppelpost"},
    {USE_JUNK, "Skräp"},
    {USE_JUNK, "Skräppost"},
    {USE_JUNK, "Roskaposti"},
    {USE_ARCHIVE, "Arkiv"},
    {USE_ARCHIVE, "Arkisto"},
    /* Polish, Czech, Slovak */
    {USE_DRAFTS, "Szkice"},
    {USE_DRAFTS, "Robocze"},
    {USE_DRAFTS, "Koncepty"},
    {USE_DRAFTS, "Rozepsané"},
    {USE_SENT, "Wysłane"},
    {USE_SENT, "Elementy wysłane"},
    {USE_SENT, "Odeslané"},
    {USE_SENT, "Odeslaná pošta"},
    {USE_SENT, "Odoslané"},
    {USE_TRASH, "Kosz"},
    {USE_TRASH, "Koš"},
    {USE_TRASH, "Elementy usunięte"},
    {USE_TRASH, "Odstraněná pošta"},
    {USE_JUNK, "Wiadomości-śmieci"},
    {USE_JUNK, "Nevyžádaná pošta"},
    {USE_JUNK, "Nevyžiadaná pošta"},
    {USE_ARCHIVE, "Archiwum"},
    {USE_ARCHIVE, "Archív"},
    /* Hungarian, Slovene, Croatian */
    {USE_DRAFTS, "Piszkozatok"},
    {USE_DRAFTS, "Osnutki"},
    {USE_DRAFTS, "Skice"},
    {USE_SENT, "Elküldött"},
    {USE_SENT, "Elküldött elemek"},
    {USE_SENT, "Poslano"},
    {USE_SENT, "Poslane poruke"},
    {USE_TRASH, "Kuka"},
    {USE_TRASH, "Törölt elemek"},
    {USE_TRASH, "Smeti"},
    {USE_TRASH, "Otpad"},
    {USE_JUNK, "Levélszemét"},
    {USE_JUNK, "Neželena pošta"},
    {USE_JUNK, "Neželjena pošta"},
    {USE_ARCHIVE, "Archívum"},
    {USE_ARCHIVE, "Arhiv"},
    {USE_ARCHIVE, "Arhiva"},
    /* Turkish, Greek */
    {USE_DRAFTS, "Taslaklar"},
    {USE_DRAFTS, "Πρόχειρα"},
    {USE_SENT, "Gönderilmiş"},
    {USE_SENT, "Gönderilenler"},
    {USE_SENT, "Gönderilmiş Öğeler"},
    {USE_SENT, "Απεσταλμένα"},
    {USE_TRASH, "Çöp"},
    {USE_TRASH, "Çöp Kutusu"},
    {USE_TRASH, "Silinmiş Öğeler"},
    {USE_TRASH, "Κάδος"},
    {USE_TRASH, "Απορρίμματα"},
    {USE_TRASH, "Διαγραμμένα"},
    {USE_JUNK, "Gereksiz"},
    {USE_JUNK, "Önemsiz"},
    {USE_JUNK, "Ανεπιθύμητα"},
    {USE_JUNK, "Ανεπιθύμητη αλληλογραφία"},
    {USE_ARCHIVE, "Arşiv"},
    {USE_ARCHIVE, "Αρχειοθήκη"},
    /* Russian, Ukrainian, Bulgarian */
    {USE_DRAFTS, "Черновики"},
    {USE_DRAFTS, "Чернетки"},
    {USE_DRAFTS, "Чернови"},
    {USE_SENT, "Отправленные"},
    {USE_SENT, "Надіслані"},
    {USE_SENT, "Изпратени"},
    {USE_TRASH, "Корзина"},
    {USE_TRASH, "Удаленные"},
    {USE_TRASH, "Удалённые"},
    {USE_TRASH, "Кошик"},
    {USE_TRASH, "Кошче"},
    {USE_JUNK, "Спам"},
    {USE_JUNK, "Нежелательная почта"},
    {USE_ARCHIVE, "Архив"},
    {USE_ARCHIVE, "Архів"},
    /* Japanese, Chinese, Korean */
    {USE_DRAFTS, "下書き"},
    {USE_DRAFTS, "草稿"},
    {USE_DRAFTS, "草稿箱"},
    {USE_DRAFTS, "草稿匣"},
    {USE_DRAFTS, "임시보관함"},
    {USE_SENT, "送信済み"},
    {USE_SENT, "送信済みメール"},
    {USE_SENT, "送信済みトレイ"},
    {USE_SENT, "已发送"},
    {USE_SENT, "已发送邮件"},
    {USE_SENT, "寄件備份"},
    {USE_SENT, "보낸 편지함"},
    {USE_SENT, "보낸메일함"},
    {USE_TRASH, "ゴミ箱"},
    {USE_TRASH, "ごみ箱"},
    {USE_TRASH, "已删除"},
    {USE_TRASH, "已删除邮件"},
    {USE_TRASH, "垃圾桶"},
    {USE_TRASH, "휴지통"},
    {USE_JUNK, "迷惑メール"},
    {USE_JUNK, "垃圾邮件"},
    {USE_JUNK, "垃圾郵件"},
    {USE_JUNK, "스팸메일함"},
    {USE_JUNK, "정크 메일"},
    {USE_ARCHIVE, "アーカイブ"},
    {USE_ARCHIVE, "归档"},
    {USE_ARCHIVE, "封存"},
    {USE_ARCHIVE, "보관함"},
    /* Hebrew, Arabic */
    {USE_DRAFTS, "טיוטות"},
    {USE_DRAFTS, "المسودات"},
    {USE_SENT, "נשלח"},
    {USE_SENT, "דואר שנשלח"},
    {USE_SENT, "المرسلة"},
    {USE_SENT, "البريد المرسل"},
    {USE_TRASH, "אשפה"},
    {USE_TRASH, "פריטים שנמחקו"},
    {USE_TRASH, "المهملات"},
    {USE_JUNK, "דואר זבל"},
    {USE_JUNK, "البريد غير الهام"},
    {USE_ARCHIVE, "ארכיון"},
    {USE_ARCHIVE, "الأرشيف"},
};
/* clang-format on */

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
	/* A LIST asks it of thousands: most differ in the first letter. */
	for (size_t i = 0; last_level.n > 0 && i < ARRAY_LEN(names); i++) {
		if (((names[i].name[0] ^ last_level.p[0]) & ~0x20) != 0 ||
		    !str_eq_nocase(str_of(names[i].name), last_level))
			continue;
		*rank = (unsigned)i;
		return names[i].use;
	}
	return USE_NONE;
}

struct str
special_name_at(enum special_use use, size_t *at)
{
	while (*at < ARRAY_LEN(names)) {
		size_t i = (*at)++;

		if (names[i].use == use)
			return str_of(names[i].name);
	}
	return STR("");
}
