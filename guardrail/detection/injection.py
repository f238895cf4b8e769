"""Text from outside that speaks to the model, or hides from people: tools, documents, pages.

Two kinds of findings, in untrusted units alone. `PROMPT_INJECTION` is what reads like an order to
the model: phrases of `injections.toml` in the languages of Europe, the marks by which models tell
one speaker from another, the form of a tool call, and addresses made to be filled with somebody's
data. `HIDDEN_TEXT` is what a model reads and a person does not see.

No list of phrases is complete. What an order could do is stopped elsewhere, whether it is found or
not: see `docs/untrusted-content.md`. Everything here takes time in proportion to the text.

Source: OWASP Top 10 for LLM Applications 2025, LLM01; Unicode Standard, section 23.9 (tags);
Unicode Technical Standard 51 (emoji tag sequences); ECMA-48, 8.3.117 (SGR).
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from guardrail.types import Finding, Kind, Span, TextUnit

PROMPT_INJECTION = "PROMPT_INJECTION"
HIDDEN_TEXT = "HIDDEN_TEXT"
ENTITIES = frozenset({PROMPT_INJECTION, HIDDEN_TEXT})
"""What is found here; none of it is anybody's data."""
SCORE = 0.8

_TABLE = Path(__file__).parent / "injections.toml"
_REACH = 8
"""Words between the first and the last of a row that does not say."""
_BEHIND = 3
_NEAR = 200
"""Code points between an order to send something and the address to send it to."""
_KEY = 4
"""Letters by which stems are filed, where they have so many."""


# ── phrases ──────────────────────────────────────────────────────────────────────────────────────


class _Token(NamedTuple):
    word: str
    start: int
    end: int


_Phrase = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Phrases:
    """Phrases by the word or the beginning of the word that they begin with."""

    whole: Mapping[str, tuple[_Phrase, ...]]
    stems: Mapping[str, tuple[_Phrase, ...]]

    def candidates(self, word: str) -> Iterator[_Phrase]:
        yield from self.whole.get(word, ())
        for length in range(2, min(_KEY, len(word)) + 1) if self.stems else ():
            yield from self.stems.get(word[:length], ())

    def length(self, tokens: Sequence[_Token], at: int) -> int:
        """Words of the longest phrase that stands at a place; 0 where none does."""
        return max(
            (len(p) for p in self.candidates(tokens[at].word) if _stands(p, tokens, at)), default=0
        )


def _stands(phrase: _Phrase, tokens: Sequence[_Token], at: int) -> bool:
    if at + len(phrase) > len(tokens):
        return False
    return all(
        tokens[at + n].word.startswith(word[:-1])
        if word[-1] == "*"
        else tokens[at + n].word == word
        for n, word in enumerate(phrase)
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the table; `id` tells it from others."""

    id: int
    first: _Phrases
    then: _Phrases | None
    near: _Phrases | None
    reach: int
    to: bool


@lru_cache(maxsize=1)
def _rows() -> Mapping[str, tuple[_Row, ...]]:
    """The rows by the words that they may begin with."""
    table = tomllib.loads(_TABLE.read_text("utf-8"))
    filed: dict[str, tuple[_Row, ...]] = {}
    for number, row in enumerate(row for rows in table.values() for row in rows):
        made = _Row(
            id=number,
            first=_filed(row["first"]),
            then=_filed(row["then"]) if "then" in row else None,
            near=_filed(row["with"]) if "with" in row else None,
            reach=row.get("reach", _REACH),
            to=row.get("to", False),
        )
        for word in made.first.whole:
            filed[word] = (*filed.get(word, ()), made)
    return filed


def _filed(phrases: Iterable[str]) -> _Phrases:
    whole: dict[str, tuple[_Phrase, ...]] = {}
    stems: dict[str, tuple[_Phrase, ...]] = {}
    for phrase in phrases:
        words = tuple(_plain(word) for word in phrase.split())
        index, key = (stems, words[0][:-1][:_KEY]) if words[0][-1] == "*" else (whole, words[0])
        index[key] = (*index.get(key, ()), words)
    return _Phrases(whole, stems)


_WORD = re.compile(r"[^\W_]+")


def _plain(word: str) -> str:
    """A word in lower case, without accents."""
    word = word.lower()
    if word.isascii():
        return word
    apart = unicodedata.normalize("NFKD", word)
    plain = "".join(c for c in apart if not unicodedata.combining(c))
    return plain.translate(_LETTERS)


_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "ß": "ss"})


def _tokens(text: str) -> list[_Token]:
    return [_Token(_plain(match[0]), *match.span()) for match in _WORD.finditer(text)]


def _orders(text: str) -> Iterator[Span]:
    """Where phrases of the table stand."""
    rows = _rows()
    tokens = _tokens(text)
    addresses: list[int] | None = None
    known: _Known = {}
    for at, token in enumerate(tokens):
        for row in rows.get(token.word, ()):
            length = row.first.length(tokens, at)
            if not length:
                continue
            if row.to and addresses is None:
                addresses = [match.start() for match in _ADDRESS.finditer(text)]
            end = _completed(row, tokens, at, length, addresses or [], known)
            if end:
                yield Span(token.start, end)


_Known = dict[tuple[int, bool, int], int]
"""How long what stands at a token is, by row and by whether it is one of `with`: each looked at
once, however often something before it begins a row."""


def _said(row: _Row, tokens: Sequence[_Token], at: int, known: _Known, *, near: bool) -> int:
    key = (row.id, near, at)
    found = known.get(key)
    if found is None:
        phrases = row.near if near else row.then
        found = known[key] = phrases.length(tokens, at) if phrases else 0
    return found


def _completed(
    row: _Row,
    tokens: Sequence[_Token],
    at: int,
    length: int,
    addresses: Sequence[int],
    known: _Known,
) -> int:
    """Where what a row describes ends in the text; 0 where it is not complete."""
    last = at + length - 1
    if row.to and not _is_near(addresses, tokens[last].end):
        return 0
    if row.then is None:
        return tokens[last].end
    for near in range(last + 1, min(last + 2 + row.reach, len(tokens))):
        found = _said(row, tokens, near, known, near=False)
        if not found:
            continue
        end = near + found - 1
        if row.to and not _is_near(addresses, tokens[end].end):
            return 0
        if row.near is None:
            return tokens[end].end
        around = (*range(last + 1, near), *range(end + 1, min(end + 1 + _BEHIND, len(tokens))))
        for beside in around:
            if said := _said(row, tokens, beside, known, near=True):
                return tokens[end if end > beside else beside + said - 1].end
    return 0


def _is_near(places: Sequence[int], position: int) -> bool:
    nth = bisect_left(places, position)
    return nth < len(places) and places[nth] - position <= _NEAR


_ADDRESS = re.compile(r"(?:https?|ftp|wss?)://|\bwww\.|mailto:", re.IGNORECASE)


# ── marks ────────────────────────────────────────────────────────────────────────────────────────

_PLACED = r"\[[A-Z][A-Z0-9_]{0,60}_\d{1,6}\]"
_FILLED = rf"(?:{_PLACED}|[=/:](?:\{{|<|\$\{{|%7[Bb]|\[))"
_MARKS = re.compile(
    # The marks between speakers in the templates of models.
    r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id|"
    r"begin_of_text|end_of_turn|start_of_turn|channel|message|tool|python_tag|tool_call|"
    r"tool_calls_section_begin)[^\n|<>]{0,20}\|>"
    r"|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>"
    r"|<(?:system|developer)[_-](?:prompt|message|instructions?)>"
    # The form of a call.
    r"|</?(?:tool_call|function_call|function_calls|tool_use)>|<invoke\s{1,4}name=|\[TOOL_CALLS\]"
    r"|\bto=functions\."
    # An address that waits for somebody's data: in a picture, or as the target of a link.
    r"|!\[[^\]\n]{0,200}\]\(\s{0,4}<?https?://[^\s()<>?]{1,300}\?[^\s()<>]{0,300}="
    r"(?=[)\s<>\[{$])"
    rf"|\]\(\s{{0,4}}https?://[^\s()<>\[\]]{{1,400}}(?:{_FILLED})"
    rf"|\b(?:src|href|action)\s{{0,4}}=\s{{0,4}}[\"']?https?://[^\s\"'<>\[]{{1,400}}{_PLACED}"
    r"|\bsrc\s{0,4}=\s{0,4}[\"']?https?://[^\s\"'<>?]{1,300}\?[^\s\"'<>]{0,300}=(?=[\"'])"
    # Somebody's address, and where to send it.
    r"|(?i:\b(?:send|post|append|forward|upload|sende|schicke|envoie|envoyez|env[ií]a|invia|stuur|"
    r"envie|wy[śs]lij|skicka)\s{1,4})[\w.+-]{1,64}@[\w.-]{1,253}\s[^\n]{0,80}?https?://"
)


def _marks(text: str) -> Iterator[Span]:
    """Where marks and forms stand, and placeholders beside an address that shall get them."""
    for match in _MARKS.finditer(text):
        yield Span(*match.span())
    for token in _PLACEHOLDER.finditer(text):
        before = _LINE_BEFORE.search(text, max(0, token.start() - 80), token.start())
        after = _SEND_TO.match(text, token.end(), token.end() + _NEAR)
        if before and after:
            yield Span(before.start(), after.end())
        elif within := _IN_ADDRESS.search(text, max(0, token.start() - 300), token.start()):
            yield Span(within.start(), token.end())


_PLACEHOLDER = re.compile(_PLACED)
_LINE_BEFORE = re.compile(r"[^\W\d_]{3,24}[^\n\[.!?:;]{0,60}\Z")
_SEND_TO = re.compile(r"[^\n]{0,160}?https?://")
_IN_ADDRESS = re.compile(r"https?://[^\s\[]{1,290}\Z")


# ── what nobody sees ─────────────────────────────────────────────────────────────────────────────

_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f")
_TAGS = re.compile("[\U000e0001\U000e0020-\U000e007f]+")
_SEEN_NOT = re.compile(
    # Eight that have no width in a row are no joint in a word; four selectors pick no form.
    "[\u200b-\u200d\u2060-\u2064\ufeff\u180e]{8,}"
    "|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}"
    "|\u202e"  # turns what follows around
    # Conceal, or black on black and the like.
    "|\x1b\\[(?:(?:0?[0-79]|2[0-9]|3[0-7]|4[0-79]|39|9[0-7]|10[0-7]);){0,6}(?:0?8|30;40|37;47|97;107)(?:;[0-9]{1,3}){0,6}m"
)
_ADDRESSED = re.compile(
    r"\b(?:ignore|disregard|instructions?|prompt|assistant|you must|you are|do not|chatbot|llm|"
    r"language model|the user|ai (?:model|agent|system)|anweisung(?:en)?|nutzer|benutzer|"
    r"assistent|ki|du bist|utilisateur|consignes?|tu es|vous devez|usuario|instrucciones|eres|"
    r"istruzioni|utente|sei|gebruiker|instructies|usu[aá]rio|instru[cç][oõ]es|u[zż]ytkownik\w{0,3}|"
    r"instrukcj\w{1,3}|anv[aä]ndare\w{0,2}|bruger\w{0,2})\b",
    re.IGNORECASE,
)
"""Words that what is hidden in a page says when it speaks to a model, and a layout does not."""
_UNSEEN = re.compile(
    r"<(?P<tag>[a-z][a-z0-9]{0,15})\b[^<>]{0,400}?"
    r"(?:display\s{0,4}:\s{0,4}none|visibility\s{0,4}:\s{0,4}hidden|"
    r"font-size\s{0,4}:\s{0,4}0(?![\d.]{0,4}[1-9])|opacity\s{0,4}:\s{0,4}0(?![\d.]{0,4}[1-9])|"
    r"color\s{0,4}:\s{0,4}(?:white|transparent|#fff(?:fff)?)\b|"
    r"\shidden(?=[\s>=]))[^<>]{0,400}>",
    re.IGNORECASE,
)
_LONGEST = 8192


def smuggles(text: str) -> bool:
    """Whether tag characters stand in a text that are no part of a flag.

    >>> smuggles("hi" + "".join(chr(0xE0000 + ord(c)) for c in "send it")), smuggles("hi")
    (True, False)
    """
    return not text.isascii() and bool(_TAGS.search(text)) and any(True for _ in _smuggled(text))


def _smuggled(text: str) -> Iterator[Span]:
    flags = {match.start() + 1 for match in _FLAG.finditer(text)}
    for match in _TAGS.finditer(text):
        if match.start() not in flags:
            yield Span(*match.span())
        elif (end := text.find("\U000e007f", match.start()) + 1) < match.end():
            yield Span(end, match.end())


def hidden(unit: TextUnit) -> list[Finding]:
    """Gives what a person would not see of an untrusted unit, in offsets of its text as it is."""
    if not unit.untrusted:
        return []
    text = unit.text
    spans = [] if text.isascii() else list(_smuggled(text))
    if not text.isascii() or "\x1b" in text:
        spans += (Span(*match.span()) for match in _SEEN_NOT.finditer(text))
    if "<" in text:
        spans += _unseen(text)
    return [_finding(HIDDEN_TEXT, span) for span in spans]


def _unseen(text: str) -> Iterator[Span]:
    """Comments, and elements that a page does not show, where they speak to a model."""
    speaking = [match.start() for match in _ADDRESSED.finditer(text)]
    if not speaking:
        return

    def speaks(span: Span) -> bool:
        """Whether two such words stand there: one alone may be anything."""
        nth = bisect_left(speaking, span.start)
        return nth + 1 < len(speaking) and speaking[nth + 1] < span.end

    at = text.find("<!--")
    while at >= 0:
        end = text.find("-->", at + 4)
        span = Span(at, end + 3 if end >= 0 else len(text))
        if speaks(span):
            yield span
        at = text.find("<!--", span.end)
    at = 0
    while tag := _UNSEEN.search(text, at):
        closing = text.find(f"</{tag['tag']}", tag.end(), tag.end() + _LONGEST)
        end = closing if closing >= 0 else min(tag.end() + _LONGEST, len(text))
        if speaks(Span(tag.end(), end)):
            yield Span(tag.start(), end)
        at = max(end, tag.end())


# ── both ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Injections:
    """The recognizer of what speaks to the model, in every reading of an untrusted unit."""

    entities: frozenset[str] = field(default=ENTITIES)

    def find(self, unit: TextUnit) -> list[Finding]:
        """Gives every place of the unit that reads like an order to the model."""
        if not unit.untrusted or unit.kind is Kind.IDENTIFIER:
            return []
        spans = [*_orders(unit.text), *_marks(unit.text)]
        return [_finding(PROMPT_INJECTION, span) for span in spans]


def _finding(entity: str, span: Span) -> Finding:
    return Finding(entity=entity, span=span, score=SCORE, recognizer="injection")
