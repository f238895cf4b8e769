"""Every way in which a text reads to a model or to the next program, so that it reads so to us.

`４１１１`, digits with zero-width joiners between them, Arabic-Indic digits, struck letters and the
spellings `alice\\u0040example.com`, `alice%40example.com` and `alice&commat;example.com` read
like the plain text. Further readings, each only where the text gives cause for it: what stands in
base64 or hexadecimal, what escapes of white space part, what runs backwards, what lookalikes,
spaces or words spell, and what undoing one of these would hide.

Source: Unicode Standard Annexes 9 (bidirectional overrides), 15 (NFKC) and 44
(Default_Ignorable_Code_Point); RFC 8259, section 7 (escapes); RFC 3986, section 2.1
(percent-encoding); HTML, section 13.5 (character references).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Generator, Iterator
from functools import lru_cache
from html.entities import html5
from types import MappingProxyType

import regex

from guardrail.detection.disguises import Signs, decoded, mailed, submitted, undisguised
from guardrail.detection.lines import rejoined, unfolded, unmarked, unstyled, unwrapped
from guardrail.detection.views import View as View
from guardrail.detection.views import Writer, rewritten
from guardrail.errors import NestedTooDeep

_DEPTH = 8
"""How often a text may be escaped within itself (`%2525252540`), or turned around within itself."""

_IGNORABLE = regex.compile(r"[\p{Default_Ignorable_Code_Point}\p{Cf}]")
_CLUSTER = regex.compile(r"\P{M}?\p{M}++")
_NOISE = regex.compile(
    r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f\u0488\u0489]"
)
"""Marks that belong to no script; those that do not make a letter with their base are dropped."""
_MARKS = 8
"""Marks that are looked at in one cluster; ordering more would take more than linear time."""
_TAG = regex.compile(r"[\U000e0020-\U000e007e]")
_TAGS = MappingProxyType({0xE0000 + code: chr(code) for code in range(0x20, 0x7F)})
"""Invisible twins of ASCII that models read and people do not see."""
_SPELLED = MappingProxyType({"\u2212": "-", "\u2800": " ", "\u3002": ".", "\uff61": "."})
_LIGATURES = "ĲĳĿŀŉſ"
"""What NFKC changes of the Latin letters from U+00C0 to U+017F."""
_LONGEST = 4
"""Code points that one may unfold to; the few that unfold to more are phrases in Arabic."""

_HEX = "[0-9A-Fa-f]"
_SLASH = r"\\{1,16}+"
_ESCAPE = regex.compile(
    rf"(?P<percent>%{_HEX}{{2}})++|%u(?P<legacy>{_HEX}{{4}})|(?P<byte>{_SLASH}x{_HEX}{{2}})++|"
    rf"{_SLASH}u(?P<high>[dD][89abAB]{_HEX}{{2}}){_SLASH}u(?P<low>[dD][c-fC-F]{_HEX}{{2}})|"
    rf"{_SLASH}u(?P<json>{_HEX}{{4}})|{_SLASH}[ux]\{{(?P<braced>{_HEX}{{1,6}})\}}|"
    rf"{_SLASH}U(?P<long>{_HEX}{{8}})|(?P<octal>{_SLASH}[0-3][0-7]{{2}})++|"
    rf"&\#0{{0,32}}+(?P<decimal>[0-9]{{1,7}})(?:;|(?![0-9]))|&\#[xX]0{{0,32}}+(?P<hex>{_HEX}{{1,6}});?|"
    r"&(?P<name>[A-Za-z][A-Za-z0-9]{1,31};|(?:amp|lt|gt|quot|nbsp))"
)
_LETTERED = regex.compile(rf"(?:{_SLASH}r(?={_SLASH}n))?{_SLASH}(?P<letter>[nrtfbv/])")
"""Escapes that may be none: `\\new` is a command or a folder as well as a line and a word."""
_LETTERS = MappingProxyType(dict(zip("nrtfbv/", "\n\n\t   /", strict=True)))
_AMBIGUOUS = regex.compile(r"\\[nrtfbv]\p{Ll}")
"""Where the letter of such an escape may as well begin a name: `ACME\\nina`."""
_FOLDERS = regex.compile(
    rf"(?:(?<![^\W_])(?:[A-Za-z]:|[A-Z][A-Z0-9-]{{1,15}}|(?i:users|home))|"
    rf"(?<![^\s\"']){_SLASH}\w[\w.-]{{1,63}}){_SLASH}[^\s\"',;]{{0,256}}"
)
"""What looks like `C:\\Users\\nina`, `ACME\\nina` or `\\\\host\\nina` and stands for itself."""
_SINGLE = ("legacy", "json", "braced", "long", "hex")
_ESCAPED_NUMBER = regex.compile(r"(?:[%#]|\\[xuU]?)[0-9A-Fa-f]{2}[0-9A-Za-z ./-]{0,12}[0-9]{2}")
_CUT_NUMBER = regex.compile(
    r"\d[\p{Default_Ignorable_Code_Point}\p{Cf}]{1,8}[^\W_]|"
    r"[^\W_][\p{Default_Ignorable_Code_Point}\p{Cf}]{1,8}\d"
)
"""Where undoing may hide a number: in `5%4111 1111 …`, or at a zero-width space between words."""
_OVERRIDE = "\u202e"
_PUSHES = MappingProxyType(
    dict.fromkeys("\u202a\u202b\u2066\u2067\u2068") | {"\u202d": 0, "\u202e": 1}
)
"""Bidirectional controls that open a level; those that override it, with its direction."""
_BIDI = regex.compile(r"[\u202a-\u202e\u2066-\u2069\n\r\u2029]")


def readings(text: str) -> Iterator[View]:
    """Gives every view in which a text can be read; most texts are their only view.

    There are never more than sixty, each at most four times as long as the text.

    Raises:
        NestedTooDeep: the text is encoded or turned around within itself too often.
    """
    whole = View(text)
    yield from _readings(whole)
    if "[" in text:
        plain = unstyled(whole)
        if plain is not whole:
            yield from _readings(plain)
    if text.isascii():
        return
    if _TAG.search(text):
        # They may be noise between the characters of a value, or spell one themselves.
        yield from _readings(_spelled_tags(text))
    if _OVERRIDE in text:
        yield from _readings(_displayed(text))


def view(text: str) -> View:
    """Gives the view in which all that is certain is undone; it keeps the order of the text.

    >>> from guardrail.types import Span
    >>> seen = view("４２\\u200b7")
    >>> seen.text, seen.original(Span(0, 3))
    ('427', Span(start=0, end=4))
    """
    return _plain(View(text))


def _readings(start: View) -> Iterator[View]:
    signs = Signs.of(start.text)
    seen = _plain(start, signs)
    spaced = _spaced(seen)
    certain = spaced is seen or _AMBIGUOUS.search(seen.text)
    yield seen if certain else seen.for_rules()
    if spaced is not seen:
        yield spaced
    letter = mailed(seen)
    if letter is not seen:
        yield letter
    entered = submitted(seen)
    if entered is not seen:
        yield entered
    marked = unmarked(seen)
    if marked is not seen:
        yield marked.for_rules(least=0.8)
    if "\n" in spaced.text:
        yield from _on_one_line(spaced)
    if seen is not start:
        if _hides(start.text):
            yield _folded(start, signs, apart=True).for_rules()
        signs = Signs.of(seen.text)
    bare = yield from _opened(seen, signs)
    if spaced is not seen:
        yield from _opened(spaced, Signs.of(spaced.text), unlike=bare.text)


def _on_one_line(seen: View) -> Iterator[View]:
    """What a view says where a line ends within a value."""
    whole = unfolded(seen)
    if whole is not seen:
        yield whole
    joined = rejoined(whole)
    if joined is not whole:
        yield joined.for_rules()
    guessed = unwrapped(joined)
    if guessed is not joined:
        # Two lines of numbers look the same, so it takes a number that proves itself.
        yield guessed.for_rules(least=1.0)


def _opened(seen: View, signs: Signs, unlike: str | None = None) -> Generator[View, None, View]:
    """Gives what a view says once it is decoded and undisguised, and returns the last of it.

    A view that reads like `unlike` was given before.
    """
    opened = decoded(seen, signs, _plain)
    if opened is not seen:
        if opened.text != unlike:
            yield opened
        spaced = _spaced(opened)
        if spaced is not opened:
            yield spaced
            opened = spaced
        signs = Signs.of(opened.text)
    bare = undisguised(opened, signs)
    if bare is not opened and bare.text != unlike:
        yield bare.for_rules()
    return bare


def loose_letters(text: str) -> frozenset[int]:
    """Where a letter of `\\nanna` stands that ends an escape rather than begins a word.

    A finding that begins there loses to one that begins behind it: what replaces it would leave a
    lone backslash.

    >>> sorted(loose_letters("Hi,\\\\nanna, see C:\\\\nina"))
    [4]
    """
    if "\\" not in text:
        return frozenset()
    letters = {match.start() + 1 for match in _AMBIGUOUS.finditer(text)}
    if not letters:
        return frozenset()
    for folders in _FOLDERS.finditer(text):
        letters.difference_update(range(*folders.span()))
    return frozenset(letters)


def _spaced(seen: View) -> View:
    """The view with escapes of white space as such: `\\n` and, in JSON within JSON, `\\\\n`."""
    if "\\" not in seen.text:
        return seen

    def write(match: regex.Match[str], writer: Writer) -> bool:
        writer.put(_LETTERS[match["letter"]], *match.span())
        return True

    return rewritten(seen, _LETTERED.finditer(seen.text), write)


def _hides(text: str) -> bool:
    if any(sign in text for sign in "%#\\") and _ESCAPED_NUMBER.search(text):
        return True
    return not text.isascii() and "" in map(_fold, set(text)) and bool(_CUT_NUMBER.search(text))


def _plain(seen: View, signs: Signs | None = None) -> View:
    seen = _folded(seen, signs)
    for _ in range(_DEPTH):
        text = seen.text
        if "\\" not in text and "%" not in text and "&" not in text:
            return seen
        inner = rewritten(seen, _ESCAPE.finditer(text), _unescape)
        if inner is seen:
            return seen
        seen = _folded(inner)
    if rewritten(seen, _ESCAPE.finditer(seen.text), _unescape) is seen:
        return seen
    raise NestedTooDeep("text is escaped within itself too often")


def _unescape(match: regex.Match[str], writer: Writer) -> bool:
    for name, base, width in (("percent", 16, 2), ("byte", 16, 2), ("octal", 8, 3)):
        if match[name]:
            _unescape_bytes(match, name, base, width, writer)
            return True
    start, end = match.span()
    if name := match["name"]:
        character = html5.get(name)
        if character is None:
            return False
        writer.put("".join(map(_fold, character)), start, end)
        return True
    if match["low"]:
        code = 0x10000 + ((int(match["high"], 16) & 0x3FF) << 10) + (int(match["low"], 16) & 0x3FF)
    elif match["decimal"]:
        code = int(match["decimal"])
    else:
        code = int(next(digits for name in _SINGLE if (digits := match[name])), 16)
    writer.put(_fold(chr(code)) if code <= 0x10FFFF else "\ufffd", start, end)
    return True


def _unescape_bytes(
    match: regex.Match[str], name: str, base: int, width: int, writer: Writer
) -> None:
    spans = match.spans(name)
    text = match.string
    raw = bytes(int(text[end - width : end], base) for _, end in spans)
    # Bytes that are no UTF-8 become one surrogate each, so that widths remain known.
    at = 0
    for character in raw.decode(errors="surrogateescape"):
        count = len(character.encode(errors="surrogateescape"))
        if name != "percent" and "\udc80" <= character <= "\udcff":
            character = chr(ord(character) - 0xDC00)  # as Latin-1, as programs print text
        writer.put(_fold(character), spans[at][0], spans[at + count - 1][1])
        at += count


def _folded(seen: View, signs: Signs | None = None, *, apart: bool = False) -> View:
    """The view with each character as plain as it gets; `apart` leaves spaces for what goes."""
    text = seen.text
    odd = (signs or Signs.of(text)).odd
    if not odd and (text.isascii() or not any(map(text.__contains__, _LIGATURES))):
        return seen
    plain = {character: _fold(character) for character in set(text) if not " " <= character <= "~"}
    changed = {character for character, fold in plain.items() if fold != character}
    marked = any(unicodedata.category(character)[0] == "M" for character in plain)
    if not changed and not marked:
        return seen
    edits = [
        (offset, offset + 1, plain[character])
        for offset, character in enumerate(text)
        if character in changed
    ]
    if marked:
        edits = _with_clusters(text, edits)
    if not edits:
        return seen
    writer = Writer(text)
    at = 0
    for start, end, fold in edits:
        writer.keep(at, start)
        writer.put(fold or (" " if apart else ""), start, end)
        at = end
    writer.keep(at, len(text))
    return writer.view(seen)


def _with_clusters(text: str, edits: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """The edits of characters outside of clusters, and those of clusters that are not plain."""
    clusters = {match.start(): match for match in _CLUSTER.finditer(text)}
    covered = {offset for match in clusters.values() for offset in range(*match.span())}
    composed = [
        (*match.span(), plain)
        for match in clusters.values()
        if (plain := _compose(match[0])) != match[0]
    ]
    return sorted([*(edit for edit in edits if edit[0] not in covered), *composed])


def _compose(cluster: str) -> str:
    """A base and its marks: composed, without ignorable marks and those that belong nowhere."""
    marks = "".join(mark for mark in cluster[1:] if not _IGNORABLE.match(mark))
    base = _fold(cluster[0])
    kept: list[str] = []
    noise: list[str] = []
    for mark in marks[:_MARKS] if base else "":
        (noise if _NOISE.match(mark) else kept).append(mark)
    letter = unicodedata.normalize("NFC", base + "".join(noise)) if base.isalpha() else base
    return _NOISE.sub("", letter) + "".join(kept)


@lru_cache(maxsize=8192)
def _fold(character: str) -> str:
    if " " <= character <= "~" or character in "\t\n\r":
        return character
    if "\ud800" <= character <= "\udfff":
        return "\ufffd"
    if character in _SPELLED:
        return _SPELLED[character]
    category = unicodedata.category(character)
    if category in _BY_CATEGORY:
        return _BY_CATEGORY[category]
    if _IGNORABLE.match(character):
        return ""
    if category == "Nd":
        return str(unicodedata.digit(character))
    if category == "No":
        return character  # `12345678²` ends in a footnote more often than in a digit
    plain = unicodedata.normalize("NFKC", character)
    return plain if len(plain) <= _LONGEST else character


_BY_CATEGORY = MappingProxyType({"Cc": " ", "Cf": "", "Pd": "-", "Zs": " ", "Zl": "\n", "Zp": "\n"})


def _spelled_tags(text: str) -> View:
    def write(match: regex.Match[str], writer: Writer) -> bool:
        writer.put(_TAGS[ord(match[0])], *match.span())
        return True

    return rewritten(View(text), _TAG.finditer(text), write)


def _displayed(text: str) -> View:
    """The text in the order in which it is displayed, as far as overrides change that.

    Source: Unicode Standard Annex 9, rules X1 to X8 and L2.
    """
    writer = Writer(text)
    runs: list[tuple[int, int, int]] = []  # start, end, level
    levels = [0]
    at = 0
    for control in _BIDI.finditer(text):
        if at < control.start():
            runs.append((at, control.start(), levels[-1]))
        at = control.end()
        if control[0] in _PUSHES:
            direction = _PUSHES[control[0]]
            level = levels[-1]
            if direction is not None:
                level += 1 if (level + 1) % 2 == direction else 2
            if level > _DEPTH:
                raise NestedTooDeep("text is turned around within itself too often")
            levels.append(level)
        elif control[0] in "\u202c\u2069":
            if len(levels) > 1:
                levels.pop()
        else:
            _lay_out(runs, writer)
            writer.keep(*control.span())
            runs.clear()
            levels = [0]
    if at < len(text):
        runs.append((at, len(text), levels[-1]))
    _lay_out(runs, writer)
    return writer.view(View(text))


def _lay_out(runs: list[tuple[int, int, int]], writer: Writer) -> None:
    order = list(runs)
    for least in range(max((level for _, _, level in order), default=0), 0, -1):
        turned: list[tuple[int, int, int]] = []
        held: list[tuple[int, int, int]] = []
        for run in order:
            if run[2] >= least:
                held.append(run)
            else:
                turned += [*reversed(held), run]
                held = []
        order = [*turned, *reversed(held)]
    for start, end, level in order:
        (writer.turn if level % 2 else writer.keep)(start, end)
