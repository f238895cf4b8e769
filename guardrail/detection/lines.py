"""Values that a line break or a mark cuts in two, in one piece.

Programs break long lines at spaces, after `-` and `.`, or anywhere, and put a sign before each.

Source: RFC 6350, section 3.2 (vCard), RFC 5545, section 3.1 (iCalendar) and RFC 2849 (LDIF), which
fold lines; RFC 3676, section 4.5 (`>` before quoted lines).
"""

from __future__ import annotations

import regex

from guardrail.detection.views import View, Writer, rewritten

_BREAK = r"[ \t]{0,8}+\r?\n[ \t>#*]{0,16}+"
_FOLDED = regex.compile(r"\r?\n[ \t]")
_FOLDING = regex.compile(r"^(?:BEGIN:V[A-Z]{4,9}|dn::? ?\S)", regex.M | regex.I)
"""How texts begin whose lines are folded."""
_CUT = regex.compile(
    # a number at its hyphen
    rf"(?<=\d-){_BREAK}(?=\d)|(?<=\d){_BREAK}(?=-\d)|"
    # an address at a sign of its own
    rf"(?<=[\w+-]@){_BREAK}(?=[\w-]{{1,63}}\.\w)|"
    rf"(?<=@[\w.-]{{1,64}}\.){_BREAK}(?=[a-z]{{2,24}}(?![\w@]))|"
    rf"(?<=@[\w.-]{{1,64}}\.){_BREAK}(?=[\w-]{{1,63}}\.[a-z]{{2,24}}(?![\w@]))|"
    rf"(?<=@[\w-]{{1,64}}){_BREAK}(?=\.[a-z]{{2,24}}(?![\w@(]))|"
    # an address within a word, folded
    r"(?<=@[\w.-]{1,64})\r?\n[ ](?=[\w-]{1,63}\.[a-z]{2,24}(?![\w@(]))|"
    r"(?<=@[\w.-]{1,64}\.[a-z]{1,8})\r?\n[ ](?=[a-z]{1,8}(?![\w@. (]))|"
    r"(?<=[:;=][\w.+-]{1,64})\r?\n[ ](?=[\w.+-]{1,64}@[\w-]{1,63}\.)"
)
_NEAR_CUT = regex.compile(
    r"@[\w.-]{0,80}[ \t]{0,8}\r?\n|\n[ ][\w.+-]{1,64}@|\d-[ \t]{0,8}\r?\n|\n[ \t>#*]{0,16}-\d"
)
_NEAR_WRAP = regex.compile(r"[A-Z\d][ \t]{0,8}\r?\n[ \t>#*]{0,16}[A-Z\d]")
"""What stands where one of the patterns matches, and is told many times as fast."""
_UNDATED = r"(?!(?:19|20)\d\d-\d\d-\d\d)"
"""A line of a log begins with its date."""
_WRAPPED = regex.compile(
    rf"(?<=\d(?:[ .-]?\d){{5}}){_BREAK}(?=\d){_UNDATED}|"
    rf"(?<=\d){_BREAK}(?=\d(?:[ .-]?\d){{5}}){_UNDATED}|"
    # an account that begins with its country
    rf"(?<=(?<![^\W_])[A-Z]{{2}}\d{{2}}(?:[ ]?[A-Z0-9]{{4}}){{0,7}}){_BREAK}"
    r"(?=[A-Z0-9]{2,4}(?![^\W_]))"
)


_STYLE = regex.compile(
    r"(?:[\x1b]\[|\x9b|\\{1,4}+(?:u001[bB]|x1[bB]|033|e)\[)[0-9;:?]{0,32}[@-~]|\x1b[()][0-9A-B]"
)
"""Sequences that colour text on a terminal, as they are or as programs spell them (ECMA-48)."""
_MARK = (
    r"(?:</?(?:a|abbr|b|big|br|code|em|font|i|ins|mark|nobr|s|small|span|strong|sub|sup|tt|u|wbr)"
    r"(?:[\s/][^<>]{0,256})?>|<!--[^<>]{0,256}-->|\*{1,3}|_{2}|~~|`{1,2})"
)
_MARKED = regex.compile(
    rf"(?:(?<=[^\W_])|(?<=@)|(?<=\w\.))(?:{_MARK}){{1,8}}+(?=[^\W_]|[@.]\w|@<)|"
    rf"(?<=\d[ ])(?:{_MARK}){{1,8}}+(?=\d)|(?<=\d)(?:{_MARK}){{1,8}}+(?=[ ]\d)",
    regex.I,
)
"""Marks of HTML and Markdown that nobody sees who reads what they make."""


def unstyled(seen: View) -> View:
    """The view without what colours text on a terminal."""
    return rewritten(seen, _STYLE.finditer(seen.text), _drop)


def unmarked(seen: View) -> View:
    """The view without marks of HTML and Markdown inside of what may be a value."""
    text = seen.text
    if not any(sign in text for sign in ("<", "*", "`", "__", "~~")):
        return seen
    return rewritten(seen, _MARKED.finditer(text), _drop)


def unfolded(seen: View) -> View:
    """A view of a vCard, a calendar or a directory with its lines in one piece."""
    if "\n " not in seen.text and "\n\t" not in seen.text:
        return seen
    return (
        rewritten(seen, _FOLDED.finditer(seen.text), _drop) if _FOLDING.search(seen.text) else seen
    )


def rejoined(seen: View) -> View:
    """The view with each value in one piece that no line would end in the middle of."""
    if not _NEAR_CUT.search(seen.text):
        return seen
    return rewritten(seen, _CUT.finditer(seen.text), _drop)


def unwrapped(seen: View) -> View:
    """The view with numbers in one piece that may go on in the next line, or be two numbers."""

    if not _NEAR_WRAP.search(seen.text):
        return seen

    def write(match: regex.Match[str], writer: Writer) -> bool:
        writer.put(" ", *match.span())
        return True

    breaks = (one for one in _WRAPPED.finditer(seen.text) if not _between_rows(seen.text, one))
    return rewritten(seen, breaks, write)


def _between_rows(text: str, at: regex.Match[str]) -> bool:
    """Whether a line break stands in a table: among three lines or more of nothing but numbers."""
    before, begin = _line_before(text, at.start())
    end = text.find("\n", at.end())
    after = text[at.end() : end if end >= 0 else len(text)]
    if not (_ROW.fullmatch(before) and _ROW.fullmatch(after)):
        return False
    following = text.find("\n", end + 1) if end >= 0 else -1
    last = text[end + 1 : following if following >= 0 else len(text)] if end >= 0 else ""
    first = _line_before(text, begin - 1)[0] if begin else ""
    return bool(_ROW.fullmatch(last) or _ROW.fullmatch(first))


def _line_before(text: str, at: int) -> tuple[str, int]:
    """What stands before a position in its line, and where that begins."""
    begin = text.rfind("\n", 0, at) + 1
    return text[begin:at], begin


_ROW = regex.compile(r"[\s>#*|]*+\d[\d\s.,;:|/%+-]*+")


def _drop(match: regex.Match[str], writer: Writer) -> bool:
    return True
