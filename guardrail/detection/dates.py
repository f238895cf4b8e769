"""Dates, dates of birth and ages, as people write them in a dozen languages.

A date alone says little of a person, so it is found only where a deployment asks for it; a date of
birth and an age are found by the words beside them.

Source: Unicode CLDR, month names and date formats, https://cldr.unicode.org; ISO 8601; GDPR,
recital 26 (what singles a person out).
"""

from __future__ import annotations

from guardrail.detection.patterns import Rule, Scope
from guardrail.detection.wording import alternatives, one_of

_MONTHS = (
    "january february march april may june july august september october november december "
    "jan feb mar apr jun jul aug sep sept oct nov dec "
    "januar jänner februar märz mai juni juli oktober dezember "
    "janvier février fevrier mars avril juin juillet août septembre octobre novembre décembre "
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre "
    "gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre "
    "janeiro fevereiro março maio junho julho setembro outubro novembro dezembro "
    "januari februari maart mei augustus "
    "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada "
    "grudnia styczeń luty marzec kwiecień czerwiec lipiec sierpień wrzesień październik listopad "
    "grudzień augusti marts august desember "
    "tammikuuta helmikuuta maaliskuuta huhtikuuta toukokuuta kesäkuuta heinäkuuta elokuuta "
    "syyskuuta lokakuuta marraskuuta joulukuuta "
    "ledna února března dubna května června července srpna září října listopadu prosince "
    "január február március április május június július augusztus szeptember október "
    "ianuarie februarie martie aprilie iunie iulie septembrie octombrie noiembrie decembrie "
    "ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık"
)
_MONTH = one_of(_MONTHS.split())
_DAYS = frozenset(
    (
        "monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs "
        "fri sat sun montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag "
        "lundi mardi mercredi jeudi vendredi samedi dimanche lunes martes miércoles jueves viernes "
        "sábado domingo lunedì martedì mercoledì giovedì venerdì sabato domenica maandag dinsdag "
        "woensdag donderdag vrijdag zaterdag zondag"
    ).split()
)
_WEEKDAY = one_of(_DAYS)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?:(?:1[89]|20)\d\d|['’]\d\d)"
_TIME = (
    r"(?:[T ,]{1,2}(?:at[ ])?[0-2]?\d:[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?(?:[ ]?[AaPp]\.?[Mm]\.?)?"
    r"(?:Z|[ ]?[+-]\d\d:?\d\d|[ ](?:UTC|GMT|CET|CEST|EST|EDT|PST|PDT))?)?"
)
_ORDINAL = r"(?:st|nd|rd|th|er|º|\.)?"
_OF = r"(?:[ ](?:de|del|of|d['’])[ ]?|[ .-]{1,2})"
_WRITTEN = (
    rf"(?:{_DAY}{_ORDINAL}{_OF}{_MONTH}\.?(?:,?[ ](?:de[ ]|del[ ])?|[ .-]){_YEAR}|"
    rf"{_MONTH}\.?[ ]{_DAY}(?:st|nd|rd|th)?(?:,[ ]?|[ ]){_YEAR}|"
    rf"{_YEAR}(?:\.[ ]|[ -]){_MONTH}(?:[ ]|-){_DAY}\.?)"
)
_NUMERIC = "|".join(
    rf"(?:1[89]|20)\d\d{dot}(?:0?[1-9]|1[0-2]){dot}(?:0?[1-9]|[12]\d|3[01])|"
    rf"(?:0?[1-9]|[12]\d|3[01]){dot}(?:0?[1-9]|[12]\d|3[01]){dot}(?:(?:1[89]|20)\d\d|\d\d)"
    for dot in ("-", "/", r"\.")
)
_ASIAN = r"(?:1[89]|20)\d\d(?:年[ ]?\d{1,2}月[ ]?\d{1,2}日|년[ ]?\d{1,2}월[ ]?\d{1,2}일)"
_BIRTH_DATE = (
    r"(?:\d{1,2}[ ]?[./-][ ]?\d{1,2}[ ]?[./-][ ]?(?:\d{4}|\d{2})|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|"
    rf"{_WRITTEN}|{_ASIAN}|\d{{8}}(?!\d))"
)

_BORN = (
    "born|d.o.b|d.o.b.|dob|date of birth|date_of_birth|birth date|birth_date|birthdate|dateofbirth|"
    "birthday|bday|b-day|geboren|geb|geb.|geburtsdatum|geburtstag|né|née|date de naissance|"
    "nacido|nacida|nació|nací|fecha de nacimiento|fecha_nacimiento|f. nac.|nato|nata|"
    "data di nascita|nascido|nascida|nasceu|nasci|data de nascimento|nascimento|geboortedatum|"
    "urodzony|urodzona|ur.|"
    "data urodzenia|född|födelsedatum|född den|født|fødselsdato|fødselsdag|syntynyt|syntymäaika|"
    "syntymäpäivä|narozen|narozena|nar.|datum narození|született|születési dátum|szül.|născut|"
    "născută|data nașterii|doğum tarihi|rojen|rojena|datum rođenja|dátum narodenia|gim.|"
    "生年月日|出生日期|생년월일"
)
_BIRTH_WORDS = frozenset(
    (
        "born dob d birth birthdate dateofbirth birthday bday b geboren geb geburtsdatum "
        "geburtstag né née naissance nacido nacida nació nací nacimiento nac nato nata nascita "
        "nascido nascida nasceu nasci nascimento geboortedatum urodzony urodzona ur urodzenia "
        "född födelsedatum født fødselsdato fødselsdag syntynyt syntymäaika syntymäpäivä narozen "
        "narozena nar narození született születési szül născut născută nașterii doğum rojen rojena "
        "rođenja narodenia gim jahrgang 生年月日 出生日期 생년월일"
    ).split()
)
_ON = r"(?:on|the|am|den|le|el|il|em|a|op|dne|dnia|d\.|d|is|was|ist|est|es)"

_AGE = r"(?:1[01]\d|120|[1-9]\d?)"
_OLD = (
    r"(?:[ -]year[ -]old|[ ]years?[- ]old|[ -]yrs?\.?[ -]old|[ ]?y\.?/?o\.?(?!\w)|"
    r"[ ]years[ ]of[ ]age|"
    r"[ ]Jahre?[ ](?:alt|jung)|[ -]?jährige?[rnms]?(?!\p{L})|[ ]jaar[ ]oud|-?jarige?(?!\p{L})|"
    r"[ ]ans[ ]révolus|[ ]år[ ]g(?:ammal|ammel)|[ -]?årige?(?!\p{L})|[ -]?vuotias|[ -]vuotiaan|"
    r"[ ]vuotta[ ]vanha|[ ]éves|-?let(?:ý|á|ního)(?!\p{L})|-?letni[aąe]?(?!\p{L})|[ ]yaşında|"
    r"[ ]de[ ]ani(?=[ ]?[,.)\n])|"
    r"歳|才|岁|세(?!\p{L}))"
)
_YEARS = r"(?:ans|años|anni|anos|lat|lata|år|let|éves)"
_AGED = (
    "aged|age|at the age of|age of|im alter von|alter|âgé de|âgée de|agé de|âge|edad|de edad|età|"
    "all'età di|idade|leeftijd|op de leeftijd van|wiek|w wieku|ålder|alder|ikä|věk|ve věku|kor|"
    "életkor|vârsta|yaş|vek"
)
_AGED_WORDS = frozenset(
    (
        "aged age alter âgé âgée agé âge edad età idade leeftijd wiek wieku ålder alder ikä věk "
        "věku kor életkor vârsta yaş vek"
    ).split()
)
_SOMEBODY = (
    "homme|femme|fille|garçon|enfant|patient|patiente|hombre|mujer|niño|niña|chico|chica|paciente|"
    "uomo|donna|ragazzo|ragazza|bambino|bambina|paziente|homem|mulher|menino|menina|rapaz|criança"
).split("|")
_HAS = (
    *"âgé de|âgée de|agé de|j'ai|il a|elle a|tengo|tiene|tenía|ho|ha|tenho|tem".split("|"),
    *"mam|ma|jestem|är|er|je mi|aged".split("|"),
    *(f"{somebody} {of}" for somebody in _SOMEBODY for of in ("de", "di", "com")),
)


def date_rules() -> list[Rule]:
    """Gives the rules for dates, dates of birth and ages."""
    return [
        Rule(
            entity="DATE_OF_BIRTH",
            name="date-of-birth",
            words=_BIRTH_WORDS,
            pattern=(
                rf"(?<![\p{{L}}\p{{M}}\d])(?:{alternatives(_BORN.split('|'))}|(?<=\()\*(?=[ ]?\d))"
                rf"[\"']?\s?[:=(|]?\s{{0,2}}[\"']?"
                rf"(?i:{_ON}[ ]){{0,2}}(?:{_WEEKDAY},?[ ])?({_BIRTH_DATE})(?![\d\p{{L}}])"
            ),
            group=1,
            score=0.85,
            scope=Scope.DIGITS,
        ),
        Rule(
            entity="DATE_OF_BIRTH",
            name="year-of-birth",
            words=_BIRTH_WORDS,
            pattern=(
                r"(?i)(?<![\p{L}\p{M}\d])(?:i was born|(?:he|she) was born|ich bin|bin|geboren|"
                r"jahrgang|né|née|"
                r"nací|nació|nacido|nacida|nato|nata|nasci|nasceu|geboren|urodzony|urodzona|född|"
                r"født|syntynyt)"
                r"[ ](?:in[ ]|im[ ]jahre?[ ]|en[ ]|nel[ ]|em[ ]|w[ ]|jahrgang[ ])?((?:19|20)\d\d)"
                r"(?![\d\p{L}]|[-/.]\d)"
            ),
            group=1,
            score=0.6,
            scope=Scope.FOUR_DIGITS,
        ),
        Rule(
            entity="AGE",
            name="age-before-old",
            words=frozenset(
                (
                    "year years yr yrs y yo jahre jahr jährige jährigen jähriger jährig jaar "
                    "jarige jarig ans år årig årige vuotias vuotiaan vuotta éves letý letá letni "
                    "letnia yaşında ani"
                ).split()
            ),
            requires=(
                *(f"{digit}yo" for digit in range(10)),
                *"jährig jarig årig vuotias letý letá letni 歳 才 岁 세".split(),
            ),
            pattern=rf"(?<![\p{{L}}\d.,:/$€£-]|\d[ ]to[ ]|\d[ ]-[ ]|bis[ ])({_AGE})(?={_OLD})",
            group=1,
            score=0.7,
        ),
        Rule(
            entity="AGE",
            name="age-in-years",
            words=frozenset("ans años anni anos lat lata år let".split()),
            pattern=(
                rf"(?:^|[\n(,;:|][ ]?|(?<![\p{{L}}\p{{M}}\d])(?:{alternatives(_HAS)})\s)"
                rf"({_AGE})[ ]{_YEARS}(?!\p{{L}}|[ ](?:d['’]|de|di|da|in|na|sedan|siden|of|"
                rf"doświadczenia|temu|fa|y|praxe)(?!\p{{L}})|[ ]plus)"
            ),
            group=1,
            score=0.65,
        ),
        Rule(
            entity="AGE",
            name="age-after-label",
            words=_AGED_WORDS,
            pattern=(
                rf"(?<![\p{{L}}\p{{M}}\d-]|(?i:max|min|cache|cookie|session)_)(?:"
                rf"{alternatives(_AGED.split('|'))})[\"']?(?:\s?[:=|]\s?|\s(?:is[ ]|of[ ]|ist[ ]|"
                rf"von[ ])?)[\"']?"
                rf"({_AGE})(?![\d\p{{L}}%_/-]|[.,:]\d|[ ]?(?:%|days?|minutes?|hours?|months?|"
                rf"weeks?|seconds?|percent))"
            ),
            group=1,
            score=0.65,
        ),
        Rule(
            entity="AGE",
            name="age-of-speaker",
            words=frozenset("am i'm m he she bin er sie ik soy sono jestem".split()),
            pattern=(
                r"(?i)(?<![\p{L}\d])(?:i[ ]am|i['’]m|he[ ]is|she[ ]is|(?:he|she)['’]s|ich[ ]bin|"
                r"er[ ]ist|sie[ ]ist|ik[ ]ben)[ ]"
                r"(?:now[ ]|only[ ]|just[ ]|almost[ ]|jetzt[ ]|erst[ ]|fast[ ])?([1-9]\d)"
                r"(?=[ ]?(?:[,.;!?)\n]|$)(?!\d)|[ ](?:and|und|en|but|aber|with|male|female|m/|"
                r"f/)(?!\p{L}))"
            ),
            group=1,
            score=0.6,
        ),
        Rule(
            entity="AGE",
            name="age-after-name",
            pattern=(
                r"(?<![\p{L}\p{M}\d.])\p{Lu}\p{Ll}{1,15}(?:-\p{Lu}\p{Ll}{1,15})?[ ]"
                r"(?:\p{Lu}\.[ ])?\p{Lu}[\p{L}'’-]{1,20}"
                r"(?:,[ ]|[ ]\()(1[6-9]|[2-9]\d)(?=,[ ]\p{Ll}|\))"
            ),
            group=1,
            score=0.5,
        ),
        Rule(
            entity="DATE_TIME",
            name="date-written",
            words=frozenset(_MONTHS.split()),
            pattern=(
                rf"(?<![\p{{L}}\p{{M}}\d.])(?:{_WEEKDAY},?[ ])?(?:{_WRITTEN}{_TIME}|"
                rf"{_MONTH}\.?,?[ ](?:de[ ])?{_YEAR}|{_MONTH}[ ]{_DAY}(?:st|nd|rd|th)?|"
                rf"{_DAY}{_ORDINAL}{_OF}{_MONTH})(?![\p{{L}}\d])"
            ),
            score=0.6,
        ),
        Rule(
            entity="DATE_TIME",
            name="date-numeric",
            pattern=rf"(?<![\p{{L}}\d./-])(?:{_WEEKDAY},?[ ])?(?:(?:{_NUMERIC}){_TIME}|{_ASIAN})"
            rf"(?![\p{{L}}\d]|[./-]\d)",
            score=0.6,
        ),
        Rule(
            entity="DATE_TIME",
            name="time-of-day",
            pattern=(
                r"(?<![\p{L}\d.:/-])(?:[01]?\d|2[0-3])(?::[0-5]\d(?::[0-5]\d)?"
                r"(?:[ ]?[AaPp]\.?[Mm]\b)?|"
                r"[ ]?[AaPp]\.?[Mm]\b)(?![\p{L}\d]|[.:/-]\d)"
            ),
            score=0.5,
        ),
        Rule(
            entity="DATE_TIME",
            name="month-and-year",
            pattern=r"(?<![\p{L}\d.:/-])(?:0?[1-9]|1[0-2])/(?:20[0-4]\d|[2-4]\d)(?![\p{L}\d]|"
            r"[.:/-]\d)",
            score=0.5,
        ),
        Rule(
            entity="DATE_TIME",
            name="date-by-word",
            words=_DAYS | {"today", "yesterday", "tomorrow", "tonight", "last", "next", "this"},
            pattern=(
                r"(?i)(?<![\p{L}\d])(?:(?:last|next|this)[ ](?:week|weekend|month|year|night)|"
                rf"(?:(?:last|next|this)[ ])?{_WEEKDAY}|today|yesterday|tomorrow|tonight)"
                rf"(?![\p{{L}}\d])"
            ),
            score=0.5,
            scope=Scope.ANYWHERE,
        ),
    ]
