"""Which language a text is in, from its script and its smallest words; offline and cheap.

It decides which model reads a text for names. Identifiers are looked for whatever the language.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

import regex

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "en": "the and of to is that it for was with as be this have from or had by not are but "
        "at his you which were her all she there would their we him been has when who will more "
        "no if out so what up its about than them can only other into some could these two may "
        "then do my your please how me i'm don't just like get i",
        "de": "der die und das den von zu ist mit sich des auf für nicht ein eine als auch es an "
        "werden aus er hat dass sie nach wird bei einer um am sind noch wie einem über einen so "
        "zum kann zur ich wir haben nur oder aber vor durch man war mein ihr ihre bitte im dem",
        "es": "el la de que y en los del se las por un con no una su para es al lo como más pero "
        "sus le ha me sin sobre este ya entre cuando todo esta ser son dos también fue había era "
        "muy años hasta desde mi está yo qué porque esto",
        "fr": "le la les de des et en un une du dans que qui est pour au sur pas plus par je il ce "
        "ne se avec sont à cette ou aux mais on son sa ses nous vous elle ils été leur même était "
        "tout c' l' d' j' qu' n' s' mon ma mes bonjour être",
        "it": "il di che la in un è per una sono con non del le da si della ha al alla dei i gli "
        "nel lo ma anche come più delle mi questo suo sua ed dal o se era ho ci ne perché nella "
        "sul dell' l' un' mio mia essere stato",
        "pt": "o a de que e do da em um para com não uma os no se na por mais as dos como mas ao "
        "ele das à seu sua ou quando muito nos já eu também só pelo pela até isso ela entre era "
        "depois sem mesmo aos ter seus quem meu minha está você são foi",
        "nl": "de het een en van in is dat op te zijn met voor niet aan er om ook als dan maar bij "
        "uit door nog naar heeft hij ze wordt die deze wat over tot ik je mijn kan wel geen of al "
        "haar hun werd we onder meer",
        "sv": "och att det i en på är av som för den med till inte om ett har de jag var men sig "
        "så från vi han kan nu när ska eller över efter vid där också hon min mycket under skulle "
        "hade sin mot",
        "da": "og at det i en på er af som for den med til ikke et har de jeg var men sig så fra "
        "vi han kan nu når skal eller over efter ved der også hun min meget under blev være havde "
        "denne efter bliver hvad mig dig",
        "no": "og at det i en på er av som for den med til ikke et har de jeg var men seg så fra "
        "vi han kan nå når skal eller over etter ved der også hun min veldig under ble være hadde "
        "blir hva meg deg eit ein ikkje",
        "fi": "ja on ei että oli se hän mutta ovat joka myös kun niin kuin ole tai mitä sen minä "
        "hänen sitä olla vain jos nyt ollut jo kanssa olen tämä voi mukaan",
        "pl": "i w na z nie się do to że jest o jak ale po co tak za od przez jego przy już tym "
        "czy by był ze tylko dla są może ma jej oraz kiedy mnie aby mam moja mój była który która",
        "cs": "a se v na je že to s z do i o k ve pro za by ale po jako od co jak si které jsem "
        "jeho který byl bylo tak není jsou jen nebo také aby už která při mezi",
        "sk": "a sa v na je že to s z do i o k vo pre za by ale po ako od čo si ktoré som jeho "
        "ktorý bol bolo tak nie sú len alebo aj aby už ktorá pri medzi",
        "hu": "a az és hogy nem is egy volt meg van csak már de ha mint el még ez azt ezt vagy ki "
        "lesz szerint majd azonban mert pedig most volna után minden fel kell",
        "ro": "și de la în a cu pe că nu o un este din care pentru mai ce sau se au fost al ale "
        "lui sunt prin dar ca fi după ei să am îi ne când fără până această",
        "hr": "i je u na se da su za od s koji ne to a će kao ili o do što iz nije bi po ali koja "
        "sve samo je bio biti nakon te može kako još već",
        "tr": "ve bir bu da de için ile o çok ne daha gibi olarak olan ama en var kadar sonra ben "
        "değil mi her oldu ise şey onun veya ki iki sen bana nasıl",
        "et": "ja on ei et see oli ta kui ka oma mis ning aga või nii siis kes seda mida veel "
        "välja tema üle ma nad",
        "lv": "un ir ka no ar uz par bet tas to kā lai vai arī nav tikai pēc bija gan jau viņš",
        "ca": "el la de que i en els del les un amb per no una a al es va ha més com però dels "
        "són seva seu aquest aquesta també hi",
    }
)
"""Words that are in most texts of a language and in few of others, in lower case."""

_SCRIPTS = (
    (regex.compile(r"[\p{Hiragana}\p{Katakana}]"), "ja"),
    (regex.compile(r"\p{Hangul}"), "ko"),
    (regex.compile(r"\p{Han}"), "zh"),
    (regex.compile(r"\p{Cyrillic}"), "ru"),
    (regex.compile(r"\p{Greek}"), "el"),
    (regex.compile(r"\p{Arabic}"), "ar"),
    (regex.compile(r"\p{Hebrew}"), "he"),
    (regex.compile(r"\p{Devanagari}"), "hi"),
    (regex.compile(r"\p{Thai}"), "th"),
)


@lru_cache(maxsize=1)
def _index() -> Mapping[str, tuple[tuple[str, float], ...]]:
    """For each word the languages that use it, each with what it tells: less where many do."""
    users: dict[str, list[str]] = {}
    for language, row in WORDS.items():
        for word in dict.fromkeys(row.split()):
            users.setdefault(word.rstrip("'"), []).append(language)
    return {word: tuple((one, 1 / len(them)) for one in them) for word, them in users.items()}


def language_of(text: str, words: Iterable[str]) -> str:
    """Gives the language of a text (ISO 639-1) from its words, or "" where nothing tells.

    >>> language_of("Wo ist das Buch?", ["Wo", "ist", "das", "Buch", "?"])
    'de'
    >>> language_of("Anna", ["Anna"])
    ''
    """
    if not text.isascii():
        for pattern, language in _SCRIPTS:
            if pattern.search(text):
                return language
    index = _index()
    votes: dict[str, float] = {}
    for word in words:
        for language, weight in index.get(word.lower(), ()):
            votes[language] = votes.get(language, 0.0) + weight
    return max(votes, key=votes.__getitem__) if votes else ""
