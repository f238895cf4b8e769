"""Credentials: what services issue, and what people and programs write down as secret."""

from __future__ import annotations

import re
from functools import partial

from guardrail.detection.credentials import (
    AFTER,
    BEFORE,
    Credential,
    entropy,
    issued_credentials,
    looks_issued,
    unspaced_credentials,
)
from guardrail.detection.patterns import Rule, Scope

_PLACEHOLDER = re.compile(
    r"your|example|change[_-]?me|placeholder|redacted|dummy|sample|insert|replace|todo|"
    r"x{4}|\*{3}|\.{3}|…|<|\$\{|\{\{|\$\(|%\(|%s|%[A-Z_]+%|^\$[A-Z_]+$|^\$[a-z_]+$",
    re.I,
)
_IDENTIFIER = re.compile(
    r"[+!&*@:\\-]?[A-Za-z_$][\w$]{0,64}(?:(?:\.|::|->|[|/:\\-])[A-Za-z_$][\w$]{0,64}){0,8}[.!?:-]?"
)
_HUMPS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_VERSION = re.compile(r"v?\d+(?:\.\d+)+\S{0,12}|\d{1,4}")
_CODE = re.compile(r"\\[sdwSDWb]|[\w.:]{1,64}[(\[]|\]?\)[.,;:]?$")


def _is_words(value: str) -> bool:
    """True of words and of names in programs: `self._append_token`, `access-token`."""
    if not _IDENTIFIER.fullmatch(value) or any(character.isdigit() for character in value):
        return False
    humps = [len(hump) for hump in _HUMPS.findall(value)] or [0]
    return sum(humps) / len(humps) >= 2.5 and max(humps) <= 15


def _numberless(value: str) -> str:
    """Without the digit at the end that tells one name in a program from the next."""
    return value[:-1] if value[-2:-1].isalpha() and value[-1].isdigit() else value


def _looks_key(value: str) -> bool | None:
    """False for a placeholder, words, and what varies too little to be a key or a token."""
    if _PLACEHOLDER.search(value) or _VERSION.fullmatch(value) or _CODE.search(value):
        return False
    if _is_words(_numberless(value)):
        return False
    return None if entropy(value) >= 2.5 else False


def _looks_password(value: str) -> bool | None:
    """False for a placeholder, and for what programs and people call a password."""
    lowered = value.lower().strip(".!?:)-_*")
    if _PLACEHOLDER.search(value.partition("@")[0]) or _CODE.search(value):
        return False
    words = lowered.split()
    if not words or len(words) > 6 or any(word in _NO_PASSWORDS for word in words):
        return False
    if _NAMES_ONE.search(lowered) and (len(words) > 1 or _is_words(_numberless(value))):
        return False
    return None if len(set(value)) >= min(4, len(value) - 1) else False


def _looks_plain(value: str) -> bool | None:
    """As `_looks_password`, where nothing but its look tells it from a name in a program."""
    return False if _is_words(value) else _looks_password(value)


def _looks_a_word(value: str) -> bool | None:
    """As `_looks_password`, of what `_looks_plain` does not take for one."""
    return _looks_password(value) if _is_words(value) else False


_NAMES_ONE = re.compile(
    r"pass|pwd|secret|token|auth|login|user|cred|key|hash|confirm|reset|valid|kennwort|mot[_-]?de"
)
_DEMO = frozenset(
    "password passwd pass pwd pw secret tiger passphrase test testing pasword foobar".split()
)
"""What documentation writes for a password; `scott` and `tiger` are Oracle's."""
_DEFAULTS = frozenset("postgres root guest sa".split())
"""What a server on one's own machine comes with; anybody knows it, and it names the server."""
_NO_PASSWORDS = _DEMO | frozenset(
    (
        "required wrong incorrect correct invalid valid missing empty expired weak strong stored "
        "hashed encrypted never always needed optional mandatory case-sensitive what where that "
        "this the your unknown different changed reset being used sent secure safe unsafe too only "
        "also still just very falsch richtig ungültig gültig erforderlich abgelaufen leer nicht "
        "notwendig zu sehr unbekannt unsicher sicher verschlüsselt gespeichert eine ein das "
        # types, values and names of programs
        "none null nil true false undefined void string str text bytes int integer bool boolean "
        "number object array list dict any value default hidden prompt input field char varchar "
        "self data name type label title return returns raise param optional[str] env config "
        "settings url host port query http https error message not-set unset blank prompted "
        # what is said of passwords
        "set shown displayed set saved kept checked asked provided given found supplied specified "
        "known protected disabled enabled allowed accepted rejected here there longer shorter "
        "both either one not no it its all to too as at for from in of on or and if then than "
        "case same again old new current previous next first second shared public private plain "
        "über in im als wie vom für so noch immer schon hier dort mit kein keine "
        "falsa falso incorrecta incorrecto correcta correcto obligatoria obligatorio necesaria "
        "requerida requerido válida inválida demasiado muy una un la el que lo le les une trop "
        "incorrect obligatoire requis erroné invalide expiré faux oublié très pas déjà "
        "sbagliata errata richiesta obbligatoria scaduta troppo molto non stata una "
        "errada incorreta inválida obrigatória necessária expirou muito uma não "
        "verkeerd onjuist ongeldig verplicht nodig verlopen te een niet geen "
        "nieprawidłowe niepoprawne wymagane błędne puste bardzo nie za "
        "fel felaktigt ogiltigt obligatoriskt nödvändigt för inte ett mycket"
    ).split()
)


def _looks_spoken(value: str) -> bool | None:
    """False also for what people say of passwords: `the password is required`."""
    lowered = value.lower().rstrip(".!?:)")
    if _SAID.fullmatch(lowered):
        return False
    return _looks_password(value)


_SAID = re.compile(
    r"[a-z]{3,20}(?:ed|ing|able|ible|ly|ent)|un[a-z]{3,12}|in[a-z]{4,12}|[a-z]{1,3}|"
    r"\w{3,20}(?:id[oa]|ad[oa]|igd|icht|ig|iert|ort|ent[ea]?)|in[vc]\w{3,12}"
)


def _looks_address(value: str) -> bool | None:
    """False for the stand-ins of documentation: `postgresql://user:password@host`."""
    lowered = value.lower()
    return False if lowered in _DEMO | _DEFAULTS or _STAND_IN.search(value) else None


_STAND_IN = re.compile(
    r"^[<{\[$%].{1,64}[>}\])%s]$|^\*+$|^[xX.]+$|(?i:your[_-]|[_-]?password$)|^%s|\$\{"
)

_form = partial(Credential, score=0.9, group=1, validate=_looks_password)
"""A form in which a secret stands beside what says that it is one."""
_shape = partial(Credential, score=0.9, validate=None)
"""A form that is a secret whatever it holds."""

_Q = r"[\"'`]"
_BIND = r"\s{0,2}(?::=|=>|==?|:)\s{0,2}"
_FIRST = r"(?<![^\W_].)"
_NAME = rf"(?:{_FIRST}|(?<=[a-z0-9][A-Z]))"
"""After its first letter: a name begins where a word does, or with a capital (`dbPwd`)."""
# Each pattern begins with a set of letters: the engine looks for those about a hundred times faster
# than for alternatives, or for what stands before them.
_KEYS = (
    r"(?:[kK](?i:ey)(?<=(?i:api|secret|access|auth|account|signing|encryption|master|private|"
    r"client|app|shared|service|license|webhook|hmac|cipher|storage|subscription)[ _-]?(?i:key))|"
    r"[sS](?i:ecret)(?<!:secret)|[cC](?i:redentials?)|[tT](?i:oken)(?<!(?i:next|page|pagination|"
    r"continuation|marker|change|request|creation|client|idempotency|cancellation|import|action)"
    r"[ _-]?(?i:token)))"
)
_ABROAD = (
    r"(?<=[cC])(?i:ontrase[ñn]a|lave)|(?<=[mM])(?i:ot[ _]de[ _]passe|dp)|(?<=[sS])(?i:enha)|"
    r"(?<=[pP])(?i:alavra[- ]passe|arola[ _]d['’]ordine)|(?<=[wW])(?i:achtwoord)|"
    r"(?<=[hH])(?i:as[łl]o)|(?<=[lL])(?i:[öo]senord)"
)
_PASSWORDS = (
    r"[pPkKcCmMsSwWhHlL](?:(?<=[pP])(?i:ass(?:word|wd|phrase|code|wort))|(?<=[kK])(?i:ennwort)|"
    rf"{_NAME}(?<=[pP])(?i:ass|wd)|{_FIRST}(?:{_ABROAD}))"
)
_PASSWORD_STRINGS = (
    *("pass", "pwd", "kennwort", "contraseña", "contrasena", "clave", "mdp", "senha", "parola"),
    *("wachtwoord", "hasło", "haslo", "lösenord", "losenord"),
)
_KEY_STRINGS = ("key", "secret", "token", "credential")
_VALUE = r"[^\s\"'`,;<>(){}\[\]]"
_SPOKEN_NAMES = (
    rf"[pPkKcCmMsSwWhHlL]{_FIRST}(?:(?<=[pP])(?i:ass(?:word|code|phrase|wort)|in(?:\scode)?)|"
    rf"(?<=[kK])(?i:ennwort)|{_ABROAD})(?i:m|et)?"
)
_SPOKEN_PINS = "pin pinm pinet"
_SPOKEN_FOR = (
    r"(?:\s(?i:for|to|of|on|für|zu|zum|vom|para|de|del|pour|du|per|di|do|da|voor|van|dla|till|för)"
    r"(?:\s[^\s:=]{1,32}){1,4}?)?"
)
_SPOKEN_IS = r"(?i:is|was|ist|lautet|war|heißt|es|est|è|é|era|to|brzmi|jest|är|var)"
_SPOKEN_END = (
    r"(?=[.!?,;:]?(?:\s{0,2}$|\s{0,2}\n|[\"'”]|\s(?i:and|but|und|aber|et|y|e|en|i|och)\s))"
)
_NUMBER = r"(?:[_-]?\d{1,2})?"

_DIGITS_BASE64 = r"[MNO][DTjz][AEIMQUYcgk][w-z0-5]"
"""Three digits in base64."""

_FORMS: tuple[Credential, ...] = (
    _shape(
        entity="ACCESS_TOKEN",
        name="json-web-token",
        requires=("eyj",),
        pattern=r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,1024}\.eyJ[A-Za-z0-9_-]{8,5500}\."
        r"[A-Za-z0-9_-]{8,1400}",
        score=0.95,
        source="https://www.rfc-editor.org/rfc/rfc7519",
    ),
    _shape(
        entity="PRIVATE_KEY",
        name="pem-private-key",
        requires=("private key",),
        # A header alone is written in every program that reads keys; three words of base64 are not.
        pattern=r"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:\s|\\[nr]|[\"'+,>|]){0,64}(?:[A-Za-z-]{3,20}: [^\n\\]{1,128}(?:\s|\\[nr]){1,4}){0,4}"
        r"(?:\s|\\[nr]|[\"'+,>|]){0,32}[A-Za-z0-9+/=]{12}[A-Za-z0-9+/=\s\\:,.\"'>|]{0,7000}"
        r"(?:-----END [A-Z0-9 ]{0,32}PRIVATE KEY(?: BLOCK)?-----)?",
        score=0.95,
        source="https://www.rfc-editor.org/rfc/rfc7468",
    ),
    _shape(
        entity="PRIVATE_KEY",
        name="putty-private-key",
        requires=("putty-user-key-file-",),
        pattern=r"PuTTY-User-Key-File-[1-3]:[A-Za-z0-9+/=:\s@._-]{64,7800}",
        score=0.95,
        source="https://the.earth.li/~sgtatham/putty/latest/htmldoc/AppendixC.html",
    ),
    _form(
        entity="CONNECTION_STRING",
        name="url-password",
        requires=("://",),
        pattern=r"(?<![A-Za-z0-9])[a-z][a-z0-9+.-]{1,24}:/{2}[^\s:/@\"'<>]{0,64}:([^\s/@\"'<>]{3,128})@",
        score=0.95,
        validate=_looks_address,
        source="https://www.rfc-editor.org/rfc/rfc3986#section-3.2.1",
    ),
    _form(
        entity="CONNECTION_STRING",
        name="azure-account-key",
        words="accountkey sharedaccesskey",
        pattern=rf"{BEFORE}(?:AccountKey|SharedAccessKey)\s{{0,1}}=\s{{0,1}}([A-Za-z0-9+/]{{40,86}}={{1,2}})",
        score=0.95,
        source="https://learn.microsoft.com/en-us/azure/storage/common/storage-configure-connection-string",
    ),
    _form(
        entity="ACCESS_TOKEN",
        name="azure-sas-signature",
        words="sig",
        pattern=r"[?&;]sig=([A-Za-z0-9%+/]{43,128}(?:=|%3[Dd]))",
        score=0.95,
        source="https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas",
    ),
    _form(
        entity="CONNECTION_STRING",
        name="keyed-connection-string",
        words="password pwd",
        pattern=r"(?i:;\s{0,2}(?:password|pwd)\s{0,1}=\s{0,1})([^\s;\"'<>{}]{3,128})",
        source="https://learn.microsoft.com/en-us/dotnet/framework/data/adonet/connection-string-syntax",
    ),
    _form(
        entity="CONNECTION_STRING",
        name="jdbc-password",
        requires=("jdbc:",),
        pattern=r"jdbc:[a-z0-9]{2,20}:[^\s\"'<>]{1,256}?(?:(?i:[?&;](?:password|pwd)=)"
        r"([^\s&;\"'<>{}$]{3,128}))",
        score=0.92,
        source="https://jdbc.postgresql.org/documentation/use/",
    ),
    _form(
        entity="CONNECTION_STRING",
        name="oracle-password",
        words="thin oci",
        pattern=r"jdbc:oracle:(?:thin|oci):[^\s/:@\"'<>]{1,64}/([^\s/@\"'<>{}$]{3,128})@",
        score=0.92,
        source="https://docs.oracle.com/en/database/oracle/oracle-database/23/jjdbc/",
    ),
    _form(
        entity="ACCESS_TOKEN",
        name="sentry-dsn",
        words="sentry",
        pattern=r"https:/{2}([0-9a-f]{32}(?::[0-9a-f]{32})?)@(?:[a-z0-9-]{1,63}\.){0,3}sentry\.io/\d",
        score=0.95,
        source="https://docs.sentry.io/concepts/key-terms/dsn-explainer/",
    ),
    _form(
        entity="PRIVATE_KEY",
        name="google-service-account",
        requires=("private key id",),
        pattern=r"private_key_id\\?[\"']?\s{0,2}[:=]\s{0,2}\\?[\"']?([0-9a-f]{40})(?![0-9a-f])",
        source="https://cloud.google.com/iam/docs/keys-create-delete",
    ),
    _shape(
        entity="ACCESS_TOKEN",
        name="discord-bot-token",
        # It begins with the id of the bot, a number of 17 to 19 digits, in base64.
        pattern=rf"(?<![A-Za-z0-9_-])(?:{_DIGITS_BASE64}){{5,6}}(?:[MNO][DTjz][AEIMQUYcgk]|[MNO][AQgw])?"
        r"\.[A-Za-z0-9_-]{6}\."
        r"[A-Za-z0-9_-]{27,40}(?![A-Za-z0-9_-])",
        validate=looks_issued,
        source="https://discord.com/developers/docs/reference#authentication",
    ),
    _shape(
        entity="API_KEY",
        name="mailchimp-key",
        requires=("-us",),
        pattern=rf"{BEFORE}[0-9a-f]{{32}}-us\d{{1,2}}{AFTER}",
        validate=looks_issued,
        source="https://mailchimp.com/developer/marketing/guides/quick-start/",
    ),
    _shape(
        entity="API_KEY",
        name="mailgun-private-key",
        pattern=r"(?<![0-9a-f])[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}(?![0-9a-f-])",
        validate=looks_issued,
        source="https://documentation.mailgun.com/docs/mailgun/api-reference/mg-auth",
    ),
    _shape(
        entity="PASSWORD",
        name="bcrypt-hash",
        words="2a 2b 2x 2y",
        pattern=r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}",
        source="https://man.archlinux.org/man/crypt.5",
    ),
    _shape(
        entity="PASSWORD",
        name="argon2-hash",
        words="argon2i argon2d argon2id",
        pattern=r"\$argon2(?:id?|d)\$(?:v=\d{1,3}\$)?[mtp]=\d{1,8},[mtp]=\d{1,8},[mtp]=\d{1,8}\$"
        r"[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{16,172}",
        source="https://www.rfc-editor.org/rfc/rfc9106",
    ),
    _shape(
        entity="PASSWORD",
        name="crypt-hash",
        words="1 5 6 7 y gy apr1",
        pattern=r"\$(?:1|5|6|7|y|gy|apr1)\$(?:rounds=\d{1,9}\$)?(?:j[A-Za-z0-9./]{2,8}\$)?"
        r"[./A-Za-z0-9]{2,64}\$[./A-Za-z0-9]{22,86}",
        source="https://man.archlinux.org/man/crypt.5",
    ),
    _shape(
        entity="PASSWORD",
        name="ldap-hash",
        words="sha sha256 sha512 ssha ssha256 ssha512",
        pattern=r"\{S?SHA(?:256|512)?\}[A-Za-z0-9+/]{26,128}={0,2}",
        source="https://www.rfc-editor.org/rfc/rfc3112",
    ),
    _shape(
        entity="PASSWORD",
        name="pbkdf2-hash",
        requires=("pbkdf2 sha",),
        pattern=r"pbkdf2_sha(?:1|256|512)\$\d{4,8}\$[A-Za-z0-9+/=]{6,64}\$[A-Za-z0-9+/=]{27,128}",
        source="https://docs.djangoproject.com/en/stable/topics/auth/passwords/",
    ),
    _form(
        entity="PASSWORD",
        name="netrc-password",
        requires=("machine",),
        pattern=r"machine\s{1,4}[^\s]{1,255}\s{1,4}login\s{1,4}[^\s]{1,64}\s{1,4}"
        r"password\s{1,4}([^\s\"'<>]{3,128})",
        source="https://www.gnu.org/software/inetutils/manual/html_node/The-_002enetrc-file.html",
    ),
    _form(
        entity="PASSWORD",
        name="curl-user",
        words="curl wget http",
        pattern=rf"{BEFORE}(?:curl|wget|http)\s[^\n]{{0,256}}?(?<=\s)(?:-u|--user|-a|--auth)[\s=]?"
        r"[\"']?[^\s:\"'<>$]{1,64}:([^\s\"'<>]{3,128})",
        source="https://curl.se/docs/manpage.html#-u",
    ),
    _form(
        entity="PASSWORD",
        name="flag-password",
        words="password passwd pass pwd token secret api apikey auth",
        pattern=r"(?<![^\s\"'`\[(=])--(?i:password|passwd|pass|pwd|token|secret|api-?key|auth-token)"
        rf"(?:\s|=|[\"'],\s?)[\"']?(?!-)({_VALUE}{{4,200}})",
        validate=lambda value: (
            _looks_password(value) if any(c.isdigit() or c in "!#%&*+?@^" for c in value) else False
        ),
        source="https://www.gnu.org/prep/standards/html_node/Command_002dLine-Interfaces.html",
    ),
    _form(
        entity="PASSWORD",
        name="client-password",
        words="mysql mysqldump mysqladmin mariadb sshpass docker redis",
        pattern=rf"{BEFORE}(?:(?:mysql(?:dump|admin)?|mariadb)\s[^\n]{{0,128}}?(?<=\s)-p(?=[^\s-])|"
        r"sshpass\s-p\s?|docker\slogin\s[^\n]{0,128}?(?<=\s)-p\s|redis-cli\s[^\n]{0,64}?(?<=\s)-a\s)"
        r"[\"']?([^\s\"'<>$]{3,128})",
        source="https://dev.mysql.com/doc/refman/8.4/en/connecting.html",
    ),
    _form(
        entity="PASSWORD",
        name="sql-password",
        words="identified password",
        pattern=r"(?i:(?<![^\W_])identified\s(?:with\s[a-z_0-9]{4,32}\s)?by|"
        r"(?<![^\W_])with\s(?:encrypted\s)?password)\s{1,2}(?:N|E)?'([^'\n]{3,128})'",
        source="https://dev.mysql.com/doc/refman/8.4/en/create-user.html",
    ),
    _form(
        entity="PASSWORD",
        name="element-password",
        words="password passwd pwd secret apikey token",
        pattern=rf"<[A-Za-z:._-]{{0,24}}?{BEFORE}(?i:password|passwd|pwd|secret|apikey|token)>"
        r"\s{0,2}([^\s<>{}$]{4,256})\s{0,2}</",
        validate=lambda value: (
            _looks_password(value) if any(character.isdigit() for character in value) else False
        ),
        source="https://maven.apache.org/settings.html#servers",
    ),
    _form(
        entity="ACCESS_TOKEN",
        name="session-cookie",
        words="sessionid session sid phpsessid jsessionid sessid csrftoken xsrf remember auth "
        "sessiontoken",
        pattern=rf"{BEFORE}(?i:sessionid|session[_-]?(?:id|token)|session|(?:connect\.)?sid|"
        r"PHPSESSID|JSESSIONID|ASP\.NET_SessionId|sessid|csrftoken|xsrf-token|"
        r"remember_(?:user_)?token|auth_token)=([A-Za-z0-9%._~+/:|-]{16,4000}={0,2})",
        validate=_looks_key,
        score=0.8,
        source="https://www.rfc-editor.org/rfc/rfc6265",
    ),
    _form(
        entity="SECRET",
        name="authorization",
        requires=("authorization",),
        pattern=r"(?i)(?<![a-z0-9])authorization\\?[\"'`]{0,2}\s{0,2}(?:[:=,]|=>)\s{0,2}\\?[f\"'`]{0,2}"
        r"(?:bearer|basic|token|ssws|apikey|bot)\s{1,2}([a-z0-9._~+/=:-]{8,7000})",
        validate=_looks_key,
        source="https://www.rfc-editor.org/rfc/rfc9110#section-11.6.2",
    ),
    _form(
        entity="SECRET",
        name="seed-phrase",
        requires=("seed", "mnemonic", "recovery"),
        pattern=r"(?i:(?<![^\W_])(?:seed|recovery|mnemonic)(?:\s(?:phrase|words?))?)[\"']?"
        r"\s{0,2}(?:(?:is|are):?|:|=)\s{0,2}[\"'`]?((?:[a-z]{3,8}\s){11,23}[a-z]{3,8})(?![a-z])",
        validate=None,
        source="https://github.com/bitcoin/bips/blob/master/bip-0039.mediawiki",
    ),
    _form(
        entity="SECRET",
        name="assigned-key",
        requires=_KEY_STRINGS,
        pattern=rf"{_KEYS}{_NUMBER}\\?{_Q}{{0,1}}{_BIND}(?:[rbf]{{0,2}}\\?{_Q}){{0,1}}"
        rf"(?![A-Za-z_][\w.]{{0,64}}[(\[])({_VALUE}{{6,512}})",
        score=0.7,
        scope=Scope.LABEL,
        validate=_looks_key,
        source="https://cwe.mitre.org/data/definitions/798.html",
    ),
    _form(
        entity="SECRET",
        name="quoted-password",
        requires=_PASSWORD_STRINGS,
        pattern=rf"{_PASSWORDS}{_NUMBER}\\?{_Q}{{0,1}}{_BIND}[rbf]{{0,2}}\\?{_Q}"
        r"([^\s\"'`\\](?:[^\"'`\n\\]|\\[^\"'`n]){3,198})",
        score=0.7,
        source="https://cwe.mitre.org/data/definitions/259.html",
    ),
    _form(
        entity="SECRET",
        name="assigned-password",
        requires=_PASSWORD_STRINGS,
        pattern=rf"{_PASSWORDS}{_NUMBER}\\?{_Q}{{0,1}}{_BIND}"
        rf"(?![A-Za-z_][\w.]{{0,64}}[(\[])({_VALUE}{{4,200}})",
        score=0.7,
        scope=Scope.LABEL,
        validate=_looks_plain,
        source="https://cwe.mitre.org/data/definitions/259.html",
    ),
    _form(
        entity="SECRET",
        name="password-on-its-line",
        requires=_PASSWORD_STRINGS,
        # In a program a word after `=` is the name of a variable, unless the line begins with it.
        pattern=rf"{_PASSWORDS}{_NUMBER}{_Q}{{0,1}}(?:\s?:\s{{0,4}}|(?<=(?:^|\n)[A-Za-z_.-]{{4,32}})\s?=\s?|"
        rf"(?<=[A-Z]{{4}})=)({_VALUE}{{4,200}})(?=\s{{0,4}}(?:\n|$))",
        score=0.7,
        validate=_looks_a_word,
        source="https://cwe.mitre.org/data/definitions/256.html",
    ),
    _form(
        entity="PASSWORD",
        name="spoken-password",
        words=_SPOKEN_PINS,
        requires=_PASSWORD_STRINGS,
        pattern=rf"{_SPOKEN_NAMES}(?:{_SPOKEN_FOR}\s{_SPOKEN_IS}:?|{_SPOKEN_FOR}\s?:)\s[\"'`“„«]?"
        r"([^\s\"'`,;“”„«»(\[{<][^\s\"'`,;“”„«»]{2,62}[^\s\"'`,;“”„«».:?)])",
        score=0.6,
        validate=lambda value: False if _is_words(value) else _looks_spoken(value),
        source="https://cwe.mitre.org/data/definitions/522.html",
    ),
    _form(
        entity="PASSWORD",
        name="spoken-word",
        words=_SPOKEN_PINS,
        requires=_PASSWORD_STRINGS,
        pattern=rf"{_SPOKEN_NAMES}{_SPOKEN_FOR}\s{_SPOKEN_IS}:?\s[\"'`“„«]?"
        rf"([^\W\d_]{{6,32}}){_SPOKEN_END}",
        score=0.6,
        validate=_looks_spoken,
        source="https://cwe.mitre.org/data/definitions/522.html",
    ),
)


def secret_catalogue() -> list[tuple[str, str, str]]:
    """Gives (entity, service or form, source) of all that is found, in order of the service."""
    described = {
        (row.entity, row.service or row.name.replace("-", " "), row.source)
        for row in (*issued_credentials(), *_FORMS)
    }
    return sorted(described, key=lambda row: (row[1].lower(), row))


def secret_rules() -> list[Rule]:
    """Gives the rules for credentials; each match is certain enough to stand alone.

    Source: the pages that each row of `secret_catalogue` names.
    """
    return [row.rule() for row in (*issued_credentials(), *unspaced_credentials(), *_FORMS)]
