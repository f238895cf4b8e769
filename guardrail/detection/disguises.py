"""What a text says once it is decoded, and once what only looks or sounds like a character is one.

Each function gives the view itself where nothing in it is disguised, which a few scans of its bytes
tell; none takes more than linear time, and none makes a text longer than it was.

Source: RFC 4648 (base64, base16); RFC 2045, section 6.7 (quoted-printable); Unicode Technical
Standard 39, confusables.txt, for the lookalikes of ASCII.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import mode
from types import MappingProxyType

import regex

from guardrail.detection.views import View, Writer, rewritten
from guardrail.errors import NestedTooDeep

_DEPTH = 3
"""How often a token may be encoded within a token."""


def _classes(*rows: tuple[bytes, bytes]) -> bytes:
    """A table for `bytes.translate` that maps every byte of a row to the row's one byte."""
    table = bytearray(range(256))
    for members, sign in rows:
        for member in members:
            table[member] = sign[0]
    return bytes(table)


_LETTERS = bytes([*range(0x41, 0x5B), *range(0x61, 0x7B)])
_DIGITS = b"0123456789"
_TOKENS = _classes((_LETTERS + _DIGITS + b"+/-_=", b"a"))
_PAIRS = _classes((_DIGITS + b"abcdefABCDEF", b"h"), (b":-\n", b" "))
_ALONE = _classes((_LETTERS + _DIGITS, b"a"), (b"-_.*|/,;~\t\n", b" "), (b"\xb7\xa2", b" "))
_FLAT = _classes(
    *((bytes([upper]), bytes([upper + 32])) for upper in range(0x41, 0x5B)),
    (b"[{<", b"("),
)
_ACCENTS = _classes((bytes(range(0x80, 0xC0)) + b"\xc3\xc4\xc5", b"u"), (_DIGITS + b"@", b"9"))
_SCRIPTS = _classes((_LETTERS + _DIGITS, b"a"), (bytes(range(0x80, 0x100)), b"u"))
_ODD_LETTERS = bytes(set(range(256)) - {0xC9, 0xCA, *range(0xCD, 0xD7), 0xE1, 0xEA})
_ODD_SIGNS = bytes(set(range(256)) - {0xC2, 0xE2, 0xE3, 0xF0})
"""Bytes to delete, so that those remain which begin a lookalike or a sign that stands for one."""
_ORDINARY = bytes([*b"\t\n\r", *range(0x20, 0x7F), *range(0x80, 0xC0), 0xC3, 0xC4, 0xC5])


@dataclass(frozen=True, slots=True)
class Signs:
    """A text in UTF-8, and the bytes of it that make it more than ASCII and Latin letters.

    `odd` holds controls, and what begins any character above U+017F, or from U+0080 to U+00BF.
    """

    data: bytes = field(repr=False)
    odd: bytes = field(repr=False)

    @classmethod
    def of(cls, text: str) -> Signs:
        """The signs of a text; a lone surrogate is odd."""
        data = text.encode(errors="surrogatepass")
        return cls(data, data.translate(None, _ORDINARY))


# --- Encoded tokens -----------------------------------------------------------------------------

_LINE_END = r"[\"']?[ \t]{0,8}+[+.&\\]?[ \t]{0,8}+\r?\n[ \t>#*|]{0,64}+[\"']?"
_BASE64 = regex.compile(
    r"(?<![A-Za-z0-9+/_-])(?P<line>[A-Za-z0-9+/_-]{16,}+|[A-Za-z0-9+/_-]{14,15}+(?==))"
    rf"(?:(?<=[A-Za-z0-9+/_-]{{20}})(?:{_LINE_END}|[\"'][ ]?[+.&][ ]?[\"'])"
    r"(?P<line>[A-Za-z0-9+/_-]{2,}+))*+={0,2}"
)
"""Lines of a token may be quoted, commented or indented, or strings of a program."""
_BASE16 = regex.compile(
    r"(?<![0-9A-Za-z])(?:0x)?(?P<pair>[0-9A-Fa-f]{2})(?:[ :\n-]?(?P<pair>[0-9A-Fa-f]{2})){7,}+"
)
_PARTS = regex.compile(r"[A-Za-z0-9]{16,}+")
_CONTROLS = bytes(set(range(256)) - {*range(9), 11, 12, *range(14, 32), 127})
_PRINTABLE = bytes([*b"\t\n\r", *range(32, 127)])
_WESTERN = bytes([0x80, 0x91, 0x92, 0x93, 0x94, 0x96, 0x97, *range(0xA0, 0x100)])
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def decoded(seen: View, signs: Signs, plain: Callable[[View], View]) -> View:
    """The view with base64 and hexadecimal text decoded; `plain` undoes escapes in what it says.

    A base64 token is covered whole by what is found in it.

    Raises:
        NestedTooDeep: tokens are encoded within tokens too often.
    """
    data = signs.data
    for _ in range(_DEPTH):
        inner = _decoded(seen, data)
        if inner is seen:
            return seen
        seen = plain(inner)
        data = seen.text.encode()
    if _decoded(seen, data) is seen:
        return seen
    raise NestedTooDeep("text is encoded within itself too often")


def _decoded(seen: View, data: bytes) -> View:
    long = b"a" * 16 in data.translate(_TOKENS)
    if long or b"hh hh hh hh hh hh hh hh" in data.translate(_PAIRS):
        seen = rewritten(seen, _BASE16.finditer(seen.text), _write_base16)
    return rewritten(seen, _BASE64.finditer(seen.text), _write_base64) if long else seen


def _write_base16(match: regex.Match[str], writer: Writer) -> bool:
    pairs = match.captures("pair")
    if b"".join(map(bytes.fromhex, pairs)).translate(None, _PRINTABLE):
        return False
    start = match.start()
    for pair, (_, end) in zip(pairs, match.spans("pair"), strict=True):
        writer.put(chr(int(pair, 16)), start, end)
        start = end
    return True


def _write_base64(match: regex.Match[str], writer: Writer) -> bool:
    text, at = match.string, match.start()
    changed = False
    for start, end, said in _spoken(text, match.spans("line"), match.end()):
        writer.keep(at, start)
        writer.put(_apart(said, text, start, end), start, end)
        at, changed = end, True
    if changed:
        writer.keep(at, match.end())
    return changed


def _spoken(
    text: str, lines: Sequence[tuple[int, int]], end: int
) -> Iterator[tuple[int, int, str]]:
    """What the lines of a match say: in blocks of equal width, else each of them, or parts of it.

    The last line of a block may be shorter, or none of it. `end` is that of the match, which has
    the padding.
    """
    while lines:
        width = lines[0][1] - lines[0][0]
        size = next((n for n, (at, to) in enumerate(lines) if to - at != width), len(lines))
        longer = size < len(lines) and lines[size][1] - lines[size][0] < width
        for count in (size + 1, size) if longer else (size,):
            stop = end if count == len(lines) else lines[count - 1][1]
            if said := _said("".join(text[at:to] for at, to in lines[:count])):
                yield lines[0][0], stop, said
                break
        else:
            count = size
            for at, to in lines[:size]:
                stop = end if to == lines[-1][1] else to
                if size > 1 and (said := _said(text[at:to])):
                    yield at, stop, said
                else:
                    yield from ((at + a, at + b, said) for a, b, said in _parts(text[at:stop]))
        lines = lines[count:]


def _parts(token: str) -> list[tuple[int, int, str]]:
    """The parts of a token that are text where the whole is not: `user/YWxpY2VA…`."""
    return [(*part.span(), said) for part in _PARTS.finditer(token) if (said := _said(part[0]))]


def _apart(said: str, text: str, start: int, end: int) -> str:
    """What a token says, with white space on either side, be it the text's own."""
    left = "" if start == 0 or text[start - 1].isspace() else " "
    right = "" if end == len(text) or text[end].isspace() else " "
    return f"{left}{said}{right}"


def _said(token: str) -> str:
    """The text that a base64 token encodes, empty when that is no text."""
    data = token.encode().translate(_URL_SAFE, b"=")
    try:
        raw = base64.b64decode(data + b"=" * (-len(data) % 4))
    except binascii.Error:
        return ""
    for first, wide in ((1, "utf-16-le"), (0, "utf-16-be")):  # as PowerShell and Java encode it
        if raw[first::2].count(0) * 4 > len(raw):
            return raw.decode(wide, "ignore")
    try:
        said = raw.decode()
    except UnicodeDecodeError:
        # Latin letters with accents, few of them: what else fits is no text.
        rest = raw.translate(None, _PRINTABLE)
        old = 5 * len(rest) <= len(raw) and not rest.translate(None, _WESTERN)
        return raw.decode("cp1252", "ignore") if old else ""
    return "" if 10 * len(raw.translate(None, _CONTROLS)) > len(raw) else said


# --- Lookalikes ---------------------------------------------------------------------------------

_LOOKALIKES = MappingProxyType(
    dict(
        zip(
            # Cyrillic
            "АВЕЅІЈКМНОРСТУХԚԜԌ"
            + "аеѕіјорсухԛԝһԁԍӏҮү"
            # Greek
            + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"
            + "αικνορυχγ"
            # Armenian
            + "ՕՍսօոհցԼզ"
            # Latin
            + "ıɑɡɩʏᴀᴄᴇᴊᴋᴍᴏᴘᴛᴜᴠᴡᴢ",
            "ABESIJKMHOPCTYXQWG" + "aesijopcyxqwhdglYy"
            "ABEZHIKMNOPTYX" + "aiknopuxy"
            "OUuonhgLq"
            "iagiYACEJKMOPTUVWZ",
            strict=True,
        )
    )
)
_CHUNK = regex.compile(r"[^\s<>()\[\]{}\"',;]++")
_ASCII = regex.compile(r"[A-Za-z0-9@]")
_ADDRESS = regex.compile(r"[0-9@]")
_NUMERAL = regex.compile(r"[\p{No}\U0001f1e6-\U0001f1ff\U0001f150-\U0001f169\U0001f170-\U0001f189]")
_NUMERALS = regex.compile(
    rf"(?:{_NUMERAL.pattern}|\d)[ .-]?{_NUMERAL.pattern}|{_NUMERAL.pattern}\d|"
    rf"[^\W_]{_NUMERAL.pattern}[^\W_]"
)
_BULLET = regex.compile(r"(?<=[^\W_])[\u00b7\u2022\u2219\u22c5](?=[^\W_])")
_SQUARES = (0x1F1E6, 0x1F150, 0x1F170)
"""Where flags, and negative circled and squared capitals, begin."""


def undisguised(seen: View, signs: Signs) -> View:
    """The view with lookalikes, quoted-printable, spaced and spelled-out characters plain."""
    for undo in _UNDOING:
        before, seen = seen, undo(seen, signs)
        if seen is not before:
            signs = Signs.of(seen.text)
    return seen


def _numerals(seen: View, signs: Signs) -> View:
    """Numbers in circles, raised or with a full stop, and letters in flags and squares."""
    if not signs.odd.translate(None, _ODD_SIGNS):
        return seen
    if not _NUMERALS.search(seen.text):
        return seen

    def write(match: regex.Match[str], writer: Writer) -> bool:
        character = match[0]
        code = ord(character)
        for first in _SQUARES:
            if first <= code < first + 26:
                writer.put(chr(ord("A") + code - first), *match.span())
                return True
        value = unicodedata.digit(character, unicodedata.numeric(character, -1))
        if value != int(value) or not 0 <= value <= 99:
            return False
        writer.put(str(int(value)), *match.span())
        return True

    return rewritten(seen, _NUMERAL.finditer(seen.text), write)


def _unmasked(seen: View, signs: Signs) -> View:
    """Words that mix scripts, in ASCII; `иван@почта.рф` and `Ünal` mix none."""
    if signs.odd.translate(None, _ODD_LETTERS):
        scripts = signs.data.translate(_SCRIPTS, b".@_+-")
        mixed = b"au" in scripts or b"ua" in scripts
    else:
        accents = b"" if seen.text.isascii() else signs.data.translate(_ACCENTS)
        mixed = b"u9" in accents or b"9u" in accents
    if not mixed:
        return seen

    def write(match: regex.Match[str], writer: Writer) -> bool:
        chunk = match[0]
        if chunk.isascii() or not _ASCII.search(chunk):
            return False
        accents = _ADDRESS.search(chunk) is not None
        plain = "".join(
            _LOOKALIKES.get(character) or (_bare(character) if accents else character)
            for character in chunk
        )
        if plain == chunk:
            return False
        for offset, character in enumerate(plain, match.start()):
            writer.put(character, offset, offset + 1)
        return True

    return rewritten(seen, _CHUNK.finditer(seen.text), write)


def _bare(character: str) -> str:
    base = character if character.isascii() else unicodedata.normalize("NFD", character)[0]
    return base if base.isascii() else character


def _bullets(seen: View, signs: Signs) -> View:
    if not signs.odd.translate(None, _ODD_SIGNS):
        return seen
    return rewritten(seen, _BULLET.finditer(seen.text), _writes("."))


def _writes(plain: str) -> Callable[[regex.Match[str], Writer], bool]:
    def write(match: regex.Match[str], writer: Writer) -> bool:
        writer.put(plain, *match.span())
        return True

    return write


# --- Quoted-printable ---------------------------------------------------------------------------

_QUOTED = regex.compile(r"(?P<byte>=[0-9A-Fa-f]{2})++|=[ \t]{0,16}\r?\n")
_LEGIBLE = bytes([*range(32, 127), *range(0x80, 0x100)])


def _quoted_printable(seen: View, signs: Signs) -> View:
    if "=" not in seen.text:
        return seen

    def write(match: regex.Match[str], writer: Writer) -> bool:
        spans = match.spans("byte")
        raw = bytes(int(match.string[start + 1 : end], 16) for start, end in spans)
        try:
            said = raw.decode()
        except UnicodeDecodeError:
            return False
        if raw.translate(None, _LEGIBLE):
            return False
        at = 0
        for character in said:
            count = len(character.encode())
            writer.put(character, spans[at][0], spans[at + count - 1][1])
            at += count
        return True

    return rewritten(seen, _QUOTED.finditer(seen.text), write)


# --- Mail ---

_CHARSET = (
    r"(?i:utf-?8|utf-16(?:[bl]e)?|us-ascii|ascii|iso-8859-\d{1,2}|latin-?\d|windows-\d{3,4}|"
    r"cp\d{3,4}|koi8-[rut]|gb2312|gbk|gb18030|big5|shift_jis|euc-(?:jp|kr)|iso-2022-(?:jp|kr)|"
    r"macintosh)"
)
"""Charsets of letters alone: Python decodes others that unpack or run through what they hold."""
_MAILED = regex.compile(
    rf"=\?(?P<charset>{_CHARSET})(?:\*[\w-]{{1,20}})?\?"
    r"(?:[bB]\?(?P<base64>[A-Za-z0-9+/]{2,1024}={0,2})|[qQ]\?(?P<said>[!->@-~]{1,1024}))\?="
    r"(?P<fold>[ \t]{0,8}(?:\r?\n)?[ \t]{1,8}(?==\?[\w.:+-]{2,40}(?:\*[\w-]{1,20})?\?[bBqQ]\?))?|"
    r"(?P<byte>=[89A-F][0-9A-F])(?P<byte>=[89AB][0-9A-F])++|"
    r"(?<=\p{L})(?P<western>=(?:C[4-9]|D[6C]|DF|E[0-9A-F]|F[1-6A-D]))(?=\p{Ll}{2})|"
    r"(?<=\p{Lu})(?P<western>=(?:E[0-9A-F]|F[1-6A-D]))(?=\p{Ll})|"
    r"(?P<soft>=\r?\n)"
)
"""Encoded words, and quoted letters of UTF-8 and of Latin-1 within a word."""
_QUOTED_BYTE = regex.compile(r"=(?P<hex>[0-9A-Fa-f]{2})|(?P<other>.)", regex.S)


def mailed(seen: View) -> View:
    """The view with what headers and bodies of mails encode as letters, which names need.

    Source: RFC 2047 (encoded words), RFC 2045, section 6.7.
    """
    text = seen.text
    if "=" not in text or not any(m.lastgroup != "soft" for m in _MAILED.finditer(text)):
        return seen
    return rewritten(seen, _MAILED.finditer(text), _write_mailed)


def _write_mailed(match: regex.Match[str], writer: Writer) -> bool:
    start, end = match.span()
    if match["soft"]:
        return True
    if match["western"]:
        writer.put(bytes([int(match["western"][1:], 16)]).decode("cp1252"), start, end)
        return True
    if match["byte"]:
        spans = match.spans("byte")
        raw = [bytes([int(byte[1:], 16)]) for byte in match.captures("byte")]
        return _put_bytes(writer, raw, spans, "utf-8")
    if match["base64"]:
        data = match["base64"].rstrip("=")
        try:
            said = base64.b64decode(data + "=" * (-len(data) % 4)).decode(match["charset"])
        except (LookupError, ValueError):
            return False
        writer.put(said, start, end)
        return bool(said)
    parts = list(_QUOTED_BYTE.finditer(match["said"]))
    raw = [
        bytes([int(part["hex"], 16)]) if part["hex"] else part[0].replace("_", " ").encode()
        for part in parts
    ]
    at = match.start("said")
    spans = [(at + part.start(), at + part.end()) for part in parts]
    spans[0], spans[-1] = (start, spans[0][1]), (spans[-1][0], end)
    return _put_bytes(writer, raw, spans, match["charset"])


def _put_bytes(
    writer: Writer, raw: Sequence[bytes], spans: Sequence[tuple[int, int]], charset: str
) -> bool:
    """Writes bytes of a charset, each of which stands in a span; False if they are none of it."""
    try:
        decoder = codecs.getincrementaldecoder(charset)()
        said = [decoder.decode(byte) for byte in raw]
        decoder.decode(b"", final=True)
    except (LookupError, ValueError):
        return False
    first = spans[0][0]
    for character, (start, end) in zip(said, spans, strict=True):
        if character:
            writer.put(character, min(first, start), end)
            first = end
    return True


# --- Forms ---

_FIELD = regex.compile(r"(?<=[\w\])]=)[^\s&\"'<>;=]{3,}+")
_PLUS = regex.compile(r"(?<=[^\W_][.,:]?)\+(?=[^\W_])")
_PLUSES = regex.compile(r"[^\W_]{2}\+[^\W_]{2}")
_NAMES = regex.compile(r"=\p{Lu}\p{Ll}++\+\p{L}|[?&][\w.-]{1,64}=[^\s&+]{0,64}\p{L}\+\p{L}")
_PAIRED = regex.compile(r"=[^\s&=]{0,512}\p{L}\+\p{L}[^\s&=]{0,512}&[\w.-]{1,64}=")


def submitted(seen: View) -> View:
    """The view with the values of forms and queries as they were entered: `+` is a space there.

    It is for rules only, unless a value looks like words: a program adds up numbers as well.
    """
    text = seen.text
    if "=" not in text or "+" not in text or not _PLUSES.search(text):
        return seen

    def write(match: regex.Match[str], writer: Writer) -> bool:
        if not _PLUSES.search(match[0]):
            return False
        at, end = match.span()
        for plus in _PLUS.finditer(text, at, end):
            writer.keep(at, plus.start())
            writer.put(" ", *plus.span())
            at = plus.end()
        writer.keep(at, end)
        return True

    entered = rewritten(seen, _FIELD.finditer(text), write)
    if entered is seen or _NAMES.search(text) or _PAIRED.search(text):
        return entered
    return entered.for_rules()


# --- What is spelled out ------------------------------------------------------------------------

_AT = "at ät Ät arroba arobase arobas klammeraffe chiocciola commat @"
_DOT = "dot punkt punto point ponto period ."
_DASH = "dash hyphen minus bindestrich -"
_UNDERSCORE = "underscore unterstrich _"
_BRACKETED = " ".join((_AT, _DOT, _DASH, _UNDERSCORE, "plus"))


def _either(words: str) -> str:
    return "|".join(map(regex.escape, words.split()))


_SIGNS = MappingProxyType({"at": "@", "dot": ".", "dash": "-", "underscore": "_", "plus": "+"})
_NAMED = regex.compile(
    rf"[(\[{{<]\s?(?:(?P<at>{_either(_AT)})|(?P<dot>{_either(_DOT)})|(?P<dash>{_either(_DASH)})|"
    rf"(?P<underscore>{_either(_UNDERSCORE)})|(?P<plus>plus))\s?[)\]}}>]",
    regex.I,
)
_SAID = regex.compile(
    r"(?<=[\w.+-])[ ]{1,2}at[ ]{1,2}(?=[\w-]{1,63}(?:[ ]{1,2}dot[ ]{1,2}|\.)[\w-]{2,63})|"
    r"(?<=[\w-])[ ]{1,2}dot[ ]{1,2}(?=[\w-]{2,63})",
    regex.I,
)
_LOOSE = regex.compile(
    # What stands after `@` in a program, a method or a decorator, does not end like a host.
    r"(?<=[\w.+-])\s{1,2}(?P<sign>@)\s{1,2}"
    r"(?=(?:[\w-]{1,63}[ ]{0,2}[.][ ]{0,2}){1,4}[a-z]{2,6}(?![\w(\[]))|"
    r"(?<=[^\W_])[ ]{1,2}(?P<sign>[.])[ ]{1,2}(?=[^\W_])|"
    r"(?<=[^\W_])(?P<sign>[.])[ ]{1,2}(?=(?:com|net|org|de|es|fr|it|uk|eu|io)(?![^\W_]))"
)
_NEAR_LOOSE = re.compile(
    r"@(?<=\s@)\s|\.(?:(?<= \.) |[ ]{1,2}(?:com|net|org|de|es|fr|it|uk|eu|io))"
)
"""What stands where `_LOOSE` matches, and is told many times as fast."""
_HINT = re.compile(
    rb"\( ?(?:"
    + b"|".join(re.escape(word.encode()) for word in _BRACKETED.split())
    + rb") ?[)\]}>]"
)
_SEPARATORS = r"[ \t\n_*|/,;~·•.-]"
_GAP = r"(?P<gap>(?P=by){1,6}|(?P=by)[ ](?P=by)|[ \n]{1,2})"
_RUN = regex.compile(
    rf"(?<![^\W_])(?:[^\W_]|[+(])(?P<gap>(?P<by>{_SEPARATORS})(?P=by){{0,2}})(?P<one>\S)(?![^\W_])"
    rf"(?:{_GAP}(?P<one>\S)(?![^\W_])){{4,}}+"
)
_NUMBER_WORDS = MappingProxyType(
    dict(
        zip(
            "zero one two three four five six seven eight nine oh".split(),
            "01234567890",
            strict=True,
        )
    )
)
_SPOKEN = "|".join(_NUMBER_WORDS)
_NUMBER = rf"(?P<word>(?:(?:double|triple)[ -])?(?:{_SPOKEN}))(?![^\W_])"
_COUNTED = regex.compile(
    rf"(?<![^\W_])(?P<plus>plus[ ,-]{{1,3}})?{_NUMBER}(?:[ ,.\n-]{{1,3}}{_NUMBER}){{6,}}+", regex.I
)
_LEAST_WORDS = 7


def _named(seen: View, signs: Signs) -> View:
    """`john (at) acme [dot] com`, also in German, Spanish, French and Italian."""
    flat = signs.data.translate(_FLAT)
    if _HINT.search(flat):
        seen = rewritten(seen, _NAMED.finditer(seen.text), _write_sign)
    elif b" dot " not in flat:
        return seen
    return rewritten(seen, _SAID.finditer(seen.text), _write_sign)


def _write_sign(match: regex.Match[str], writer: Writer) -> bool:
    kind = match.lastgroup or match[0].strip().lower()
    # The spaces remain, so that what is spaced out remains so evenly.
    writer.put(_SIGNS[kind], *match.span())
    return True


def _closed(seen: View, signs: Signs) -> View:
    """`john @ acme . com` without the spaces around its signs."""
    if "@" not in seen.text or not _NEAR_LOOSE.search(seen.text):
        return seen

    def write(match: regex.Match[str], writer: Writer) -> bool:
        if match.end() - match.start() == 1:
            return False
        writer.put(match["sign"], *match.span())
        return True

    return rewritten(seen, _LOOSE.finditer(seen.text), write)


def _joined(seen: View, signs: Signs) -> View:
    """`4 1 1 1  1 1 1 1` and `j.o.h.n`: characters that stand alone, joined as far as one gap."""
    alone = signs.data.translate(_ALONE)
    if b" a a a" not in alone and b"a  a  a" not in alone:
        return seen

    def write(match: regex.Match[str], writer: Writer) -> bool:
        writer.keep(match.start(), match.start() + 1)
        gaps = match.spans("gap")
        usual = mode(end - start for start, end in gaps)
        for (start, end), (_, after) in zip(gaps, match.spans("one"), strict=True):
            if end - start > usual or match.string[start] != match["by"]:
                writer.put(" ", start, end)
            writer.keep(after - 1, after)
        return True

    return rewritten(seen, _RUN.finditer(seen.text), write)


def _counted(seen: View, signs: Signs) -> View:
    """Seven or more English number words in a row, as digits."""
    if _LONG_COUNT not in signs.data.translate(_COUNTABLE):
        return seen
    words = signs.data.translate(_FLAT_WORDS).split()
    if b"\1" * _LEAST_WORDS not in bytes(map(_COUNTING.__contains__, words)):
        return seen

    def write(match: regex.Match[str], writer: Writer) -> bool:
        if match["plus"]:
            writer.put("+", *match.span("plus"))
        for word, (start, end) in zip(match.captures("word"), match.spans("word"), strict=True):
            times, _, digit = word.lower().replace("-", " ").rpartition(" ")
            writer.put(_NUMBER_WORDS[digit] * _TIMES[times], start, end)
        return True

    return rewritten(seen, _COUNTED.finditer(seen.text), write)


_TIMES = MappingProxyType({"": 1, "double": 2, "triple": 3})
_COUNTING = frozenset(word.encode() for word in (*_NUMBER_WORDS, "plus", *_TIMES))
_COUNTABLE = _classes((b"zerontwhfuivsxgZERONTWHFUIVSXG ,.-\n", b"n"))
"""The letters of number words, and what stands between them."""
_LONG_COUNT = b"n" * 20
_FLAT_WORDS = _classes(
    *((bytes([upper]), bytes([upper + 32])) for upper in range(0x41, 0x5B)),
    (bytes({*range(33, 128)} - {*_LETTERS, *_DIGITS}), b" "),
)

# What leaves signs comes before what reads them.
_UNDOING = (
    _quoted_printable,
    _numerals,
    _unmasked,
    _bullets,
    _named,
    _joined,
    _closed,
    _counted,
)
