"""Names after a title, a label, a greeting, an introduction or a closing; and the titles.

A trained model finds far more names than these cues do. The cues need no model, are certain about
what they find, and hold in every language listed here.

Source: Unicode CLDR, person name formats, https://cldr.unicode.org/translation/miscellaneous-displaying-lists/person-name-formats
"""

from __future__ import annotations

from guardrail.detection.patterns import Rule, Scope, Validator
from guardrail.detection.wording import alternatives

_PART = r"\p{Lu}[\p{L}\p{M}'’]{1,24}(?:-\p{Lu}[\p{L}\p{M}'’]{1,24}){0,2}"
_PARTICLE = (
    r"(?:(?:van|von|de|der|den|del|della|di|da|dos|la|le|bin|al|zu|af|av|el|ter|ten)[ ]){0,2}"
)
_NAME = rf"{_PART}(?:[ ]{_PARTICLE}(?:\p{{Lu}}\.[ ])?{_PART}){{0,3}}"
_FULL_NAME = rf"{_PART}(?:[ ]{_PARTICLE}(?:\p{{Lu}}\.[ ])?{_PART}){{1,3}}"
_LOWER = r"\p{Ll}[\p{Ll}\p{M}'’-]{1,15}"

_NOT_NAMES = frozenset(
    (
        "sir madam team all everyone everybody world support customer colleague colleagues friend "
        "friends there folks guys hiring recruiter admin damen herren zusammen kollegen kunde "
        "kundenservice support-team dr prof doctor god claude chatgpt assistant gpt user unknown "
        "none null true false not sure sorry here happy the a an this that my our your "
        "it is was are what which who no yes still already actually important irrelevant too on in "
        "at taken listed spelled misspelled wrong correct written missing displayed shown hidden "
        "nicht egal falsch ein eine kein keine pas non un une el la los le il lo een niet inte "
        "american universe python data big little deep file string optional list dict int and or "
        "for to with now just mud legion supposed being changed used required"
    ).split()
)


def _is_name(value: str) -> bool | None:
    return False if value.split()[0].lower() in _NOT_NAMES else None


_GREETINGS = (
    "dear hi hello hey hallo liebe lieber bonjour cher chère hola estimado estimada querido "
    "querida "
    "ciao gentile caro cara beste hej kære witaj olá prezado prezada caro salut buongiorno hei "
    "kära käre bästa kjære drogi droga milý milá ahoj kedves szia drag dragă"
)
_GREETING = alternatives({word.title() for word in _GREETINGS.split()}, any_case=False)
_TITLES = (
    "Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Herrn|Herr|Frau|Hr|Fr|Mme|Monsieur|Madame|Mlle|Sr|Sra|"
    "Srta|"
    "Señor|Señora|Señorita|Don|Doña|Sig|Sig.ra|Signor|Signora|Signorina|Dott|Dott.ssa|Avv|Dhr|Mevr|"
    "Mevrouw|Meneer|Mw|Pani|Pan|Pana|Panem|Senhor|Senhora|Dra|Fru|Fröken|Hra|Rva|Paní|Pána|Ing|Mag|"
    "Dipl.-Ing|Sir|Dame|Lady|Lord|Rev|Hon|Capt|Sgt|Lt|Col|Gen|Maj|Dl|Dna|Doamna|Domnul|Bay|Bayan"
)
_UNTITLED = r"(?![ ](?:American|Am|Universe|World|Juan|Asia|Peter[ ]and|Quixote)\b)"
_TITLE = rf"(?:{alternatives(_TITLES.split('|'), any_case=False)}(?:\.|(?=\s)))"
_TITLE_WORDS = frozenset(
    (
        "mr mrs ms miss mx dr prof professor herrn herr frau hr fr mme monsieur madame mlle sr sra "
        "srta señor señora señorita don doña sig signor signora signorina dott avv dhr mevr "
        "mevrouw "
        "meneer mw pani pan pana panem senhor senhora dra fru fröken hra rva paní pána ing mag "
        "dipl "
        "sir dame lady lord rev hon capt sgt lt col gen maj dl dna doamna domnul bay bayan"
    ).split()
)

_LABELS = (
    "name|full name|full_name|fullname|patient|patientin|patient name|customer|customer name|"
    "client|"
    "client name|kunde|kundin|contact|contact person|ansprechpartner|ansprechpartnerin|employee|"
    "mitarbeiter|mitarbeiterin|nom|nom complet|nombre|nombre completo|nombre y apellidos|nome|"
    "nome completo|nome e cognome|naam|volledige naam|account holder|kontoinhaber|kontoinhaberin|"
    "from|von|signed|insured|cardholder|card holder|cardholder name|recipient|beneficiary|"
    "empfänger|destinataire|destinatario|imię i nazwisko|namn|navn|nimi|jméno|jméno a příjmení|"
    "név|teljes név|nume|nume și prenume|ad soyad|ime i prezime|ime in priimek|meno a priezvisko"
)
_LABEL_WORDS = frozenset(
    (
        "name fullname patient patientin customer client kunde kundin contact person "
        "ansprechpartner ansprechpartnerin employee mitarbeiter mitarbeiterin nom nombre apellidos "
        "nome "
        "cognome naam holder kontoinhaber kontoinhaberin from von signed insured cardholder "
        "recipient "
        "beneficiary empfänger destinataire destinatario nazwisko namn navn nimi jméno příjmení "
        "név "
        "nume prenume soyad prezime priimek priezvisko"
    ).split()
)
_PART_LABELS = (
    "first name|first_name|firstname|last name|last_name|lastname|given name|given_name|"
    "family name|"
    "family_name|middle name|middle_name|surname|maiden name|vorname|nachname|familienname|"
    "geburtsname|"
    "prénom|prenom|nom de famille|apellido|apellidos|primer apellido|cognome|sobrenome|apelido|"
    "voornaam|achternaam|förnamn|efternamn|fornavn|etternavn|efternavn|etunimi|sukunimi|imię|"
    "nazwisko|příjmení|keresztnév|vezetéknév|prenume|nume de familie|soyadı|priezvisko|prezime|"
    "priimek"
)
_PART_LABEL_WORDS = frozenset(
    (
        "name firstname lastname surname vorname nachname familienname geburtsname prénom prenom "
        "famille apellido apellidos cognome sobrenome apelido voornaam achternaam förnamn "
        "efternamn "
        "fornavn etternavn efternavn etunimi sukunimi imię nazwisko příjmení keresztnév vezetéknév "
        "prenume familie soyadı priezvisko prezime priimek"
    ).split()
)

_INTRODUCTIONS = (
    "my name is|my name's|my full name is|the name is|ich heiße|ich heisse|mein name ist|"
    "je m'appelle|"
    "mon nom est|me llamo|mi nombre es|mi chiamo|il mio nome è|ik heet|mijn naam is|jag heter|"
    "mitt namn är|jeg heter|jeg hedder|mit navn er|mitt navn er|nazywam się|mam na imię|"
    "meu nome é|o meu nome é|chamo-me|me chamo|nimeni on|minun nimeni on|jmenuji se|mă numesc|"
    "numele meu este|a nevem|benim adım|adım|zovem se|moje ime je|volám sa"
)
_SPOKEN = tuple(
    introduction.replace("'", mark) for introduction in _INTRODUCTIONS.split("|") for mark in "'’"
)
_CLOSINGS = (
    "best regards|kind regards|warm regards|kindest regards|warmest regards|best wishes|"
    "all the best|"
    "regards|sincerely|sincerely yours|yours sincerely|yours truly|yours faithfully|respectfully|"
    "many thanks|thanks|thank you|cheers|best|mit freundlichen grüßen|mit freundlichen grüssen|"
    "freundliche grüße|viele grüße|beste grüße|liebe grüße|herzliche grüße|schöne grüße|mfg|lg|vg|"
    "cordialement|bien cordialement|bien à vous|salutations|saludos|saludos cordiales|atentamente|"
    "un saludo|cordiali saluti|distinti saluti|un saluto|met vriendelijke groet|"
    "met vriendelijke groeten|groetjes|atenciosamente|cumprimentos|com os melhores cumprimentos|"
    "med vänliga hälsningar|vänliga hälsningar|mvh|med venlig hilsen|venlig hilsen|"
    "med vennlig hilsen|"
    "vennlig hilsen|hilsen|ystävällisin terveisin|terveisin|pozdrawiam|z poważaniem|s pozdravem|"
    "üdvözlettel|cu stimă|saygılarımla|lijep pozdrav|lep pozdrav"
)
_CLOSING_WORDS = frozenset(
    (
        "regards wishes best sincerely yours respectfully thanks thank cheers grüßen grüssen grüße "
        "mfg "
        "lg vg cordialement vous salutations saludos saludo atentamente saluti saluto groet "
        "groeten "
        "groetjes atenciosamente cumprimentos hälsningar mvh hilsen terveisin pozdrawiam "
        "poważaniem "
        "pozdravem üdvözlettel stimă saygılarımla pozdrav"
    ).split()
)


def _cue(
    name: str,
    words: frozenset[str],
    pattern: str,
    *,
    entity: str = "PERSON",
    score: float = 0.7,
    scope: Scope = Scope.ANYWHERE,
    validate: Validator | None = _is_name,
    requires: tuple[str, ...] = (),
) -> Rule:
    return Rule(
        entity=entity,
        name=name,
        words=words,
        pattern=pattern,
        group=1,
        score=score,
        scope=scope,
        validate=validate,
        requires=requires,
    )


def people_rules() -> list[Rule]:
    """Gives the rules for names that a cue announces, and for titles before a name."""
    return [
        _cue(
            "name-after-title",
            _TITLE_WORDS,
            rf"(?<![\p{{L}}\p{{M}}\d_.]){_TITLE}{_UNTITLED}\s(?:{_TITLE}\s){{0,2}}({_NAME})",
        ),
        _cue(
            "title",
            _TITLE_WORDS,
            rf"(?<![\p{{L}}\p{{M}}\d_.])({_TITLE}){_UNTITLED}(?=\s(?:"
            rf"{_TITLE}\s){{0,2}}\p{{Lu}}[\p{{L}}\p{{M}}'’]{{1,24}})",
            entity="TITLE",
            score=0.6,
            validate=None,
        ),
        _cue(
            "name-after-greeting",
            frozenset(_GREETINGS.split()),
            rf"(?:^|[\n>])\s{{0,4}}(?:{_GREETING})"
            rf"\s({_NAME})(?=[,!.:\n]|\s[–-])",
        ),
        _cue(
            "name-after-label",
            _LABEL_WORDS,
            rf"(?<![^\W_]){alternatives(_LABELS.split('|'))}[\"']?\s?[:=|]\s{{0,3}}[\"']?("
            rf"{_FULL_NAME})",
            scope=Scope.LABEL,
        ),
        _cue(
            "name-after-part-label",
            _PART_LABEL_WORDS,
            rf"(?<![^\W_]){alternatives(_PART_LABELS.split('|'))}[\"']?\s?[:=|]\s{{0,3}}[\"']?("
            rf"{_NAME})(?![\w.(\[{{])",
            scope=Scope.LABEL,
        ),
        _cue(
            "name-after-introduction",
            frozenset({"called"}),
            rf"(?<![^\W_]){alternatives((*_INTRODUCTIONS.split('|'), 'i am called'))}\s({_NAME})",
            requires=_SPOKEN,
        ),
        _cue(
            "name-after-this-is",
            frozenset({"this"}),
            rf"(?<![^\W_])(?i:this is)\s({_NAME})(?=,?\s(?:speaking|calling|from|here|"
            rf"again)(?!\p{{L}}))",
        ),
        _cue(
            "name-in-lower-case-after-introduction",
            frozenset(),
            rf"(?<![^\W_]){alternatives(_INTRODUCTIONS.split('|'))}\s({_LOWER}(?:\s(?!and\b|"
            rf"und\b){_LOWER})?)"
            r"(?=\s(?:and|und|et|y|och|og|ja|from|aus|but|i|a|e)(?!\w)|\s?[.,!;\n]|\s?$)",
            validate=_is_lower_name,
            requires=_SPOKEN,
        ),
        _cue(
            "name-after-i-am",
            frozenset("am i'm m suis soy sono sou ben jag jeg jestem".split()),
            rf"(?<![^\W_])(?i:i am|i['’]m|je suis|soy|sono|eu sou|ik ben|jag är|jeg er|jestem)\s("
            rf"{_FULL_NAME})"
            r"(?=\s?[.,!;\n(]|\s?$|\s(?:and|et|y|e|en|och|og|i|from|de|da|fra|från|z|van|with|at|"
            r"of)\s)",
            score=0.6,
        ),
        _cue(
            "name-after-closing",
            _CLOSING_WORDS,
            rf"(?<![^\W_]){alternatives(_CLOSINGS.split('|'))}\s?[,.!]?\s{{0,2}}\n\s{{0,4}}("
            rf"{_NAME})(?=\s{{0,4}}(?:\n|$))",
        ),
        _cue(
            "login-after-label",
            frozenset("user username login logname owner assignee reviewer author".split()),
            r"(?<![^\W_])(?i:user(?:[ _-]?name)?|login|logname|owner|assignee|reviewer|author)"
            r"[\"']?\s?[:=]\s?[\"']?(\p{L}{2,20}(?:[._]\p{L}{2,24}){1,2})(?![\w.(\[@-])",
            entity="USER_ID",
            score=0.6,
            validate=_is_login,
        ),
        _cue(
            "login-in-path",
            frozenset("home users".split()),
            r"(?:/home/|/Users/|\\{1,2}Users\\{1,2})(\p{L}[\p{L}\d._-]{0,30}[\p{L}\d])"
            r"(?=[/\\]|[\s\"'`:,;)]|$)",
            entity="USER_ID",
            score=0.6,
            validate=_is_login,
        ),
        _cue(
            "name-of-speaker",
            frozenset(),
            rf"(?:^|\n)\[?\d{{1,2}}:\d{{2}}(?::\d{{2}})?(?:[ ]?[AaPp][Mm])?\]?[ ](?:-[ ])?({_NAME})"
            rf"(?=:[ ])",
            score=0.6,
            scope=Scope.LABEL,
        ),
    ]


def _is_lower_name(value: str) -> bool | None:
    return False if not _NOT_NAMES.isdisjoint(value.split()) else None


def _is_login(value: str) -> bool | None:
    return False if not _NO_LOGINS.isdisjoint(value.lower().replace(".", "_").split("_")) else None


_NO_LOGINS = frozenset(
    (
        "self this cls request req ctx context app os sys config settings current session data "
        "event args kwargs params payload body response res obj item row record form model models "
        "user users username account accounts auth client api db env process window document flask "
        "django name id email login logout profile get set none null true false value default "
        "root admin administrator public shared guest ubuntu debian fedora runner runneradmin "
        "vscode codespace jovyan node linuxbrew ec2-user pi git me you yourname your-name foo bar "
        "test tester dev build builder work project vagrant circleci travis jenkins gitlab-runner "
        "nobody www www-data appuser nonroot system service hadoop spark airflow postgres mysql"
    ).split()
)
"""Words of programs, and accounts that are nobody's."""
