/* SPDX-License-Identifier: ISC */
/*
 * pop3_text.c - what POP3 says to people, in several languages.
 *
 * Owns:    nothing.
 * Runs in: login workers, pop3d.
 * Trusts:  nothing in a language range.
 * Spec:    RFC 6856 section 3, RFC 4647 sections 2.1, 3.4.
 */
#include "text/pop3_text.h"

static const struct {
	const char *tag, *name;
} langs[POP3_LANGS] = {
    [POP3_LANG_EN] = {"en", "English"},
    [POP3_LANG_DE] = {"de", "Deutsch"},
    [POP3_LANG_ES] = {"es", "Español"},
    [POP3_LANG_FR] = {"fr", "Français"},
};

/* clang-format off */
static const char *const texts[][POP3_LANGS] = {
/* both */
{"Language changed",
 "Sprache geändert",
 "Idioma cambiado",
 "Langue changée"},
{"Language listing follows",
 "Liste der Sprachen folgt",
 "Sigue la lista de idiomas",
 "Liste des langues ci-après"},
{"There is no such language here",
 "Diese Sprache gibt es hier nicht",
 "Ese idioma no está disponible",
 "Cette langue n'est pas disponible"},
{"Capability list follows",
 "Liste der Fähigkeiten folgt",
 "Sigue la lista de capacidades",
 "Liste des capacités ci-après"},
{"Bye",
 "Auf Wiedersehen",
 "Adiós",
 "Au revoir"},
{"UTF8 comes before the login",
 "UTF8 kommt vor der Anmeldung",
 "UTF8 va antes de iniciar la sesión",
 "UTF8 se donne avant la connexion"},

/* before login */
{"UTF-8 from now on",
 "UTF-8 von jetzt an",
 "UTF-8 a partir de ahora",
 "UTF-8 désormais"},
{"STLS comes before UTF8",
 "STLS kommt vor UTF8",
 "STLS va antes de UTF8",
 "STLS se donne avant UTF8"},
{"TLS is already active.",
 "TLS ist schon in Kraft.",
 "TLS ya está activo.",
 "TLS est déjà actif."},
{"TLS is not available.",
 "TLS steht nicht zur Verfügung.",
 "TLS no está disponible.",
 "TLS n'est pas disponible."},
{"Begin TLS negotiation now.",
 "Jetzt mit TLS beginnen.",
 "Comience ahora la negociación TLS.",
 "Commencez maintenant la négociation TLS."},
{"Use TLS first.",
 "Zuerst TLS verwenden.",
 "Use TLS primero.",
 "Utilisez d'abord TLS."},
{"The name is too long.",
 "Der Name ist zu lang.",
 "El nombre es demasiado largo.",
 "Le nom est trop long."},
{"USER comes first.",
 "USER kommt zuerst.",
 "Primero va USER.",
 "USER se donne d'abord."},
{"Now the password.",
 "Jetzt das Kennwort.",
 "Ahora la contraseña.",
 "Maintenant le mot de passe."},
{"This can not be a password.",
 "Das kann kein Kennwort sein.",
 "Esto no puede ser una contraseña.",
 "Ceci ne peut pas être un mot de passe."},
{"This is not UTF-8.",
 "Das ist kein UTF-8.",
 "Esto no es UTF-8.",
 "Ce n'est pas de l'UTF-8."},
{"Mechanisms follow.",
 "Die Verfahren folgen.",
 "Siguen los mecanismos.",
 "Mécanismes ci-après."},
{"Unsupported authentication mechanism.",
 "Dieses Anmeldeverfahren gibt es hier nicht.",
 "Mecanismo de autenticación no admitido.",
 "Mécanisme d'authentification non pris en charge."},
{"The initial response is not base64.",
 "Die erste Antwort ist nicht in Base64.",
 "La respuesta inicial no es base64.",
 "La réponse initiale n'est pas en base64."},
{"Authentication failed.",
 "Anmeldung fehlgeschlagen.",
 "Error de autenticación.",
 "Échec de l'authentification."},
{"The password has expired.",
 "Das Kennwort ist abgelaufen.",
 "La contraseña ha caducado.",
 "Le mot de passe a expiré."},
{"Please ask the administrator.",
 "Bitte fragen Sie den Verwalter.",
 "Consulte al administrador.",
 "Veuillez vous adresser à l'administrateur."},
{"This is not allowed.",
 "Das ist nicht erlaubt.",
 "Esto no está permitido.",
 "Ceci n'est pas permis."},
{"Temporary authentication failure.",
 "Die Anmeldung ist vorübergehend gestört.",
 "Error temporal de autenticación.",
 "Panne temporaire de l'authentification."},
{"Authentication exchange broken.",
 "Der Ablauf der Anmeldung war nicht richtig.",
 "Intercambio de autenticación incorrecto.",
 "Échange d'authentification incorrect."},
{"Authentication cancelled.",
 "Anmeldung abgebrochen.",
 "Autenticación cancelada.",
 "Authentification annulée."},
{"Too many connections of this user.",
 "Zu viele Verbindungen dieses Benutzers.",
 "Demasiadas conexiones de este usuario.",
 "Trop de connexions de cet utilisateur."},
{"Temporarily unavailable.",
 "Vorübergehend nicht verfügbar.",
 "No disponible por el momento.",
 "Momentanément indisponible."},
{"Wrong number of arguments.",
 "Falsche Zahl von Argumenten.",
 "Número de argumentos incorrecto.",
 "Nombre d'arguments incorrect."},
{"Not a line of text.",
 "Das ist keine Zeile Text.",
 "Esto no es una línea de texto.",
 "Ce n'est pas une ligne de texte."},
{"This is not possible before login.",
 "Das geht nicht vor der Anmeldung.",
 "Esto no es posible antes de iniciar la sesión.",
 "Ceci n'est pas possible avant la connexion."},
{"Too many errors.",
 "Zu viele Fehler.",
 "Demasiados errores.",
 "Trop d'erreurs."},
{"Too many failed logins.",
 "Zu viele fehlgeschlagene Anmeldungen.",
 "Demasiados intentos fallidos.",
 "Trop de connexions échouées."},
{"Line too long.",
 "Die Zeile ist zu lang.",
 "Línea demasiado larga.",
 "Ligne trop longue."},

/* behind login */
{"%u message%s (%llu octets)",
 "%u Nachricht(en)%.0s (%llu Oktette)",
 "%u mensaje%s (%llu octetos)",
 "%u message%s (%llu octets)"},
{"%u messages (%llu octets)",
 "%u Nachrichten (%llu Oktette)",
 "%u mensajes (%llu octetos)",
 "%u messages (%llu octets)"},
{"%u messages",
 "%u Nachrichten",
 "%u mensajes",
 "%u messages"},
{"Unique ids follow",
 "Die Kennungen folgen",
 "Siguen los identificadores únicos",
 "Identifiants uniques ci-après"},
{"Not a message number",
 "Das ist keine Nachrichtennummer",
 "No es un número de mensaje",
 "Ce n'est pas un numéro de message"},
{"There is no message %u, only %u",
 "Es gibt keine Nachricht %u, nur %u",
 "No hay mensaje %u, solo %u",
 "Il n'y a pas de message %u, seulement %u"},
{"Message %u is deleted",
 "Nachricht %u ist gelöscht",
 "El mensaje %u está borrado",
 "Le message %u est supprimé"},
{"Message %u is marked as deleted",
 "Nachricht %u ist zum Löschen vorgemerkt",
 "El mensaje %u se borrará",
 "Le message %u sera supprimé"},
{"Not a number of lines",
 "Das ist keine Zahl von Zeilen",
 "No es un número de líneas",
 "Ce n'est pas un nombre de lignes"},
{"Nothing done",
 "Nichts getan",
 "Nada hecho",
 "Rien n'a été fait"},
{"You are logged in already",
 "Sie sind schon angemeldet",
 "Ya ha iniciado la sesión",
 "Vous êtes déjà connecté"},
{"%s needs %s",
 "%s: zu wenige Argumente%.0s",
 "%s: faltan argumentos%.0s",
 "%s : il manque des arguments%.0s"},
{"%s has too many arguments",
 "%s hat zu viele Argumente",
 "%s tiene demasiados argumentos",
 "%s a trop d'arguments"},
{"Unknown command",
 "Unbekannter Befehl",
 "Orden desconocida",
 "Commande inconnue"},
{"Line too long",
 "Die Zeile ist zu lang",
 "Línea demasiado larga",
 "Ligne trop longue"},
{"Too many bad commands",
 "Zu viele falsche Befehle",
 "Demasiadas órdenes incorrectas",
 "Trop de commandes incorrectes"},
{"%llu octets",
 "%llu Oktette",
 "%llu octetos",
 "%llu octets"},
{"Top of message follows",
 "Der Anfang der Nachricht folgt",
 "Sigue el principio del mensaje",
 "Début du message ci-après"},
{"Message is gone",
 "Die Nachricht gibt es nicht mehr",
 "El mensaje ya no existe",
 "Le message n'existe plus"},
{"The mailbox is in use",
 "Das Postfach wird gerade benutzt",
 "El buzón está en uso",
 "La boîte est en cours d'utilisation"},
{"Another POP3 session has this mailbox open",
 "Eine andere POP3-Sitzung hat dieses Postfach offen",
 "Otra sesión POP3 tiene abierto este buzón",
 "Une autre session POP3 a ouvert cette boîte"},
{"Can not open the mailbox",
 "Das Postfach kann nicht geöffnet werden",
 "No se puede abrir el buzón",
 "Impossible d'ouvrir la boîte"},
{"Can not read the mailbox",
 "Das Postfach kann nicht gelesen werden",
 "No se puede leer el buzón",
 "Impossible de lire la boîte"},
{"There is no such folder",
 "Diesen Ordner gibt es nicht",
 "No existe esa carpeta",
 "Ce dossier n'existe pas"},
{"Minimum time between logins is %u seconds",
 "Zwischen zwei Anmeldungen müssen %u Sekunden liegen",
 "El tiempo mínimo entre sesiones es de %u segundos",
 "L'intervalle minimal entre deux connexions est de %u secondes"},
{"Can not open the message",
 "Die Nachricht kann nicht geöffnet werden",
 "No se puede abrir el mensaje",
 "Impossible d'ouvrir le message"},
{"Some deleted messages were not removed",
 "Einige gelöschte Nachrichten wurden nicht entfernt",
 "Algunos mensajes borrados no se eliminaron",
 "Certains messages supprimés n'ont pas été enlevés"},
{"Bye, %u message%s removed",
 "Auf Wiedersehen, %u Nachricht(en)%.0s entfernt",
 "Adiós, %u mensaje%s borrado(s)",
 "Au revoir, %u message%s supprimé(s)"},
};
/* clang-format on */

const char *
pop3_lang_tag(enum pop3_lang lang)
{
	return langs[lang].tag;
}

const char *
pop3_lang_name(enum pop3_lang lang)
{
	return langs[lang].name;
}

bool
pop3_lang_find(struct str range, enum pop3_lang preferred, enum pop3_lang *out)
{
	size_t i;

	if (str_eq(range, STR("*"))) {
		*out = preferred;
		return true;
	}
	/* Subtags go from the end (RFC 4647 section 3.4). */
	for (; range.n > 0; range.n = i < range.n ? i : 0) {
		for (int l = 0; l < POP3_LANGS; l++) {
			if (str_eq_nocase(range, str_of(langs[l].tag))) {
				*out = (enum pop3_lang)l;
				return true;
			}
		}
		i = str_rfind(range, '-');
	}
	return false;
}

const char *
pop3_text(enum pop3_lang lang, const char *english)
{
	if (lang == POP3_LANG_EN)
		return english;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (strcmp(texts[i][POP3_LANG_EN], english) == 0)
			return texts[i][lang];
	}
	return english;
}

size_t
pop3_text_code(const char *text)
{
	const char *end = text[0] == '[' ? strstr(text, "] ") : NULL;

	return end == NULL ? 0 : (size_t)(end - text) + 2;
}

const char *
pop3_text_after(enum pop3_lang lang, const char *english, size_t *code)
{
	*code = pop3_text_code(english);
	return pop3_text(lang, english + *code);
}

const char *
pop3_text_at(size_t i)
{
	return i < ARRAY_LEN(texts) ? texts[i][POP3_LANG_EN] : NULL;
}
