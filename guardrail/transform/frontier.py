r"""From a pattern, a second one that matches where the first still waits for text to come.

A stream may release what no later character can change. For a pattern P this module writes a
pattern W, "P waits": W matches at s exactly where some path of P that starts at s wants to read the
character after the last known one. Where W does not match, P's answer at s is final, because every
path was decided by known text alone. W is built from the parts of P:

    character c          waits at the end of known text             \Z
    r1 r2                r1 waits, or r1 matches and r2 waits       W(r1)|r1(?:W(r2))
    r{m,n}               up to n-1 of them, then one that waits     r{0,n-1}(?:W(r))
    (?=r) (?!r)          what is looked at waits                    W(r)
    \b \B \Z $           ask about the next character               \Z

In "r1 matches" r1 stands unchanged, anchors and look-arounds included: where these ask about
unknown text, the alternative before it has matched already. Paths that a possessive quantifier or
an atomic group would never try count as well, so W may wait in vain, but never too briefly.

The engine's own partial matching is not used: it judges `\b` at the end of known text as at the end
of all text, and does not always see that a look-ahead needs more.
Source: mrab-regex, https://github.com/mrabarnett/mrab-regex, syntax and behaviour of VERSION0.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import regex

from guardrail.transform import heads
from guardrail.transform.heads import Head

ALLOWED_FLAGS = regex.I | regex.M | regex.S | regex.X | regex.A | regex.U | regex.V0
"""Flags under which one code point of pattern is one code point of text."""

_INLINE = {"i": regex.I, "m": regex.M, "s": regex.S, "x": regex.X, "a": regex.A, "u": regex.U}
_END = r"\Z"
_HALF_ABOVE = 8  # longer sequences are halved, so that W nests no deeper than log2 of their length

_FLAGS = regex.compile(r"\(\?([a-zA-Z]+)\)")
_QUANTIFIER = regex.compile(r"(?:([?])|\{(\d+)\}|\{(\d*),(\d+)\})([?+]?)")
_UNBOUNDED = regex.compile(r"[*+]|\{\d*,\}")
_BLANK = regex.compile(r"(?:\s|#[^\n]*)+")
_SET = regex.compile(r"\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*+\]", regex.S)
_CHARACTER = regex.compile(
    r"\\(?:[dDwWsSafnrt]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[pP](?:\{\^?[^{}]+\}|[A-Z])"
    r"|N\{[^{}]+\}|0(?![0-7])|[^a-zA-Z0-9])",
    regex.S,
)
_BACKREFERENCE = regex.compile(r"\\([1-9][0-9]?)(?![0-9])|\\g<(\w+)>|\(\?P=(\w+)\)")
_OPENER = regex.compile(
    r"\(\?(?:(?P<plain>[ims]*(?:-[ims]+)?:)|(?P<atomic>>)|(?P<ahead>[=!])|(?P<behind><[=!])"
    r"|P?<(?P<name>[A-Za-z_]\w*)>)|(?P<capture>\((?!\?))"
)
# Anchors that ask nothing of the text to come, and those that do: what they wait for, how far.
_BACKWARD = {"^", r"\A"}
_FORWARD = {
    "$": (rf"\n?{_END}", 2),  # before a final newline: the newline, and that nothing follows it
    r"\Z": (_END, 1),
    r"\b": (_END, 1),
    r"\B": (_END, 1),
    r"\m": (_END, 1),
    r"\M": (_END, 1),
}
_BOUNDARIES = {r"\b", r"\B", r"\m", r"\M"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A piece of a pattern: what it matches, where it waits, how far it reads. In code points.

    `source` matches what the piece matches; `waits` matches where it waits ("" = it never does).
    `low` and `high` bound its width; `behind` and `ahead` how far before its start and beyond its
    end it may look. `single` is true of a piece that always takes exactly one code point. `head`
    tells how its matches begin.
    """

    source: str
    waits: str = ""
    low: int = 0
    high: int = 0
    behind: int = 0
    ahead: int = 0
    single: bool = False
    head: Head = field(default_factory=Head)


def survey(pattern: str, flags: int, *, prefix: str) -> Piece:
    """Gives the whole pattern as one piece; its groups are named with `prefix`.

    `source` and `waits` are written without the flag VERBOSE, whatever `flags` says.
    Raises: ValueError when the pattern is wrong, unbounded, or of a kind whose reach is not known.
    """
    if flags & ~ALLOWED_FLAGS:
        raise ValueError("uses a flag other than I, M, S, X, A, U")
    reader = _Reader(pattern, verbose=bool(flags & regex.X), prefix=prefix)
    piece = reader.alternatives()
    if reader.at < len(pattern):
        raise ValueError(f"has an unbalanced parenthesis at {reader.at}")
    if reader.refers:  # names every group in W too: a branch may refer to one of another branch
        return replace(piece, waits=f"{piece.waits}|(?!)(?:{piece.source})")
    return piece


def leading_flags(pattern: str) -> tuple[str, int]:
    """Takes global inline flags off the start of a pattern: `(?i)ab` gives `ab` and `I`.

    Raises: ValueError when one of them is not of `ALLOWED_FLAGS`.
    """
    flags = 0
    while match := _FLAGS.match(pattern):
        try:
            for letter in match[1]:
                flags |= _INLINE[letter]
        except KeyError:
            raise ValueError(f"uses the inline flags {match[1]}") from None
        pattern = pattern[match.end() :]
    return pattern, flags


def _character(source: str) -> Piece:
    head = Head.character(source)
    return Piece(source=source, waits=_END, low=1, high=1, single=True, head=head)


def _choice(*waits: str) -> str:
    return "|".join(filter(None, waits))


def _then(source: str, waits: str) -> str:
    return f"{source}(?:{waits})" if waits else ""


def _waits(pieces: list[Piece]) -> str:
    """Where a sequence waits: in its first piece, or after it in the rest."""
    if len(pieces) > _HALF_ABOVE:
        half = len(pieces) // 2
        matched = "".join(piece.source for piece in pieces[:half])
        return _choice(_waits(pieces[:half]), _then(matched, _waits(pieces[half:])))
    waits = ""
    for piece in reversed(pieces):
        waits = _choice(piece.waits, _then(piece.source, waits))
    return waits


def _sequence(pieces: list[Piece]) -> Piece:
    if len(pieces) == 1:
        return pieces[0]
    after = ahead = 0
    for piece in reversed(pieces):
        ahead = max(ahead, piece.ahead - after)
        after += piece.low
    return Piece(
        source="".join(piece.source for piece in pieces),
        waits=_waits(pieces),
        low=after,
        high=sum(piece.high for piece in pieces),
        behind=max((piece.behind for piece in pieces), default=0),
        ahead=ahead,
        head=heads.sequence([piece.head for piece in pieces]),
    )


def _either(pieces: list[Piece]) -> Piece:
    if len(pieces) == 1:
        return pieces[0]
    return Piece(
        source="|".join(piece.source for piece in pieces),
        waits=_choice(*(piece.waits for piece in pieces)),
        low=min(piece.low for piece in pieces),
        high=max(piece.high for piece in pieces),
        behind=max(piece.behind for piece in pieces),
        ahead=max(piece.ahead for piece in pieces),
        head=heads.either([piece.head for piece in pieces]),
    )


def _repeat(piece: Piece, least: int, most: int, suffix: str) -> Piece:
    if most == 0:
        waits = ""
    elif most == 1:
        waits = piece.waits
    elif piece.single:  # a plain run, possessive: giving characters back never leads to the end
        waits = f"{piece.source}{{0,{most - 1}}}+{_END}"
    else:
        waits = _then(f"{piece.source}{{0,{most - 1}}}", piece.waits)
    return Piece(
        source=f"{piece.source}{{{least},{most}}}{suffix}",
        waits=waits,
        low=piece.low * least,
        high=piece.high * most,
        behind=piece.behind,
        ahead=piece.ahead,
        head=heads.repeated(piece.head, least, most),
    )


def _enclose(opener: str, piece: Piece) -> Piece:
    # `single` is lost on purpose: what a group takes is quantified as a group
    return Piece(
        source=f"{opener}{piece.source})",
        # flags of the group hold inside W too
        waits=f"{opener}{piece.waits})" if piece.waits and opener.endswith(":") else piece.waits,
        low=piece.low,
        high=piece.high,
        behind=piece.behind,
        ahead=piece.ahead,
        head=piece.head.under(opener) if opener.endswith(":") and opener != "(?:" else piece.head,
    )


def _look_ahead(opener: str, piece: Piece) -> Piece:
    return Piece(
        source=f"{opener}{piece.source})",
        waits=piece.waits,
        behind=piece.behind,
        ahead=piece.high + piece.ahead,
    )


def _look_behind(opener: str, piece: Piece) -> Piece:
    # Only what it looks at beyond its own end can be unknown: wait when that is near.
    waits = rf"(?s:.){{0,{piece.ahead - 1}}}{_END}" if piece.ahead else ""
    source = f"{opener}{piece.source})"
    head = Head()
    if piece.high == 1 and not piece.behind and not piece.ahead:
        head = Head(before=frozenset({source}))
    elif opener == "(?<!" and piece.source in {f"{first}." for first in piece.head.first}:
        head = Head(over=frozenset({f"{opener}{piece.source[:-1]})"}))
    return Piece(
        source=source,
        waits=waits,
        behind=piece.high + piece.behind,
        ahead=piece.ahead,
        head=head,
    )


class _Reader:
    """Reads a pattern once, left to right, and gives its pieces. Refuses what it does not know."""

    def __init__(self, pattern: str, *, verbose: bool, prefix: str) -> None:
        self.pattern = pattern
        self.at = 0
        self._verbose = verbose
        self._prefix = prefix
        self._groups: list[Piece | None] = []  # None while a group is open
        self._names: dict[str, int] = {}
        self.refers = _BACKREFERENCE.search(pattern) is not None

    def alternatives(self) -> Piece:
        branches = [self._branch()]
        while self._takes("|"):
            branches.append(self._branch())
        return _either(branches)

    def _branch(self) -> Piece:
        pieces: list[Piece] = []
        while True:
            self._skip_blank()
            if self.at >= len(self.pattern) or self.pattern[self.at] in "|)":
                return _sequence(pieces)
            pieces.append(self._quantified(self._element()))

    def _quantified(self, piece: Piece) -> Piece:
        self._skip_blank()
        if _UNBOUNDED.match(self.pattern, self.at):
            raise ValueError(f"has unbounded width: the quantifier at {self.at} has no maximum")
        match = _QUANTIFIER.match(self.pattern, self.at)
        if not match:
            return piece
        self.at = match.end()
        if match[1]:
            least, most = 0, 1
        elif match[2]:
            least = most = int(match[2])
        else:
            least, most = int(match[3] or 0), int(match[4])
        return _repeat(piece, least, most, match[5])

    def _element(self) -> Piece:
        first = self.pattern[self.at]
        two = self.pattern[self.at : self.at + 2]
        if first == "(":
            return self._group()
        if match := _SET.match(self.pattern, self.at):
            self.at = match.end()
            return _character(match[0])
        if match := _CHARACTER.match(self.pattern, self.at):
            self.at = match.end()
            return _character(match[0])
        for anchor in (first, two):
            if anchor in _BACKWARD:
                self.at += len(anchor)
                return Piece(source=anchor, behind=1, head=Head(before=frozenset({anchor})))
            if anchor in _FORWARD:
                self.at += len(anchor)
                waits, ahead = _FORWARD[anchor]
                before = frozenset({anchor} if anchor in _BOUNDARIES else ())
                return Piece(
                    source=anchor, waits=waits, behind=1, ahead=ahead, head=Head(before=before)
                )
        if first == "\\":
            return self._backreference()
        if first in "[{*+?":
            raise ValueError(f"has {first!r} at {self.at}, which is not plain text there")
        self.at += 1
        return _character(first)

    def _backreference(self) -> Piece:
        match = _BACKREFERENCE.match(self.pattern, self.at)
        if not match:
            raise ValueError(f"has a construct at {self.at} whose reach is not known")
        key = match[1] or match[2] or match[3]
        number = int(key) if key.isdecimal() else self._names.get(key, 0)
        group = self._groups[number - 1] if 0 < number <= len(self._groups) else None
        if group is None:
            raise ValueError(f"refers at {self.at} to a group that is not closed before")
        self.at = match.end()
        # What the group took is not known here, only its width.
        waits = rf"(?s:.){{0,{group.high - 1}}}{_END}" if group.high else ""
        return Piece(
            source=f"(?P={self._prefix}{number})",
            waits=waits,
            high=group.high,
            head=Head.unknown(group.high),
        )

    def _group(self) -> Piece:
        if _BACKREFERENCE.match(self.pattern, self.at):
            return self._backreference()
        start = self.at
        match = _OPENER.match(self.pattern, self.at)
        if not match:
            raise ValueError(f"has a construct at {start} whose reach is not known")
        self.at = match.end()
        number = 0
        if match["capture"] or match["name"]:
            self._groups.append(None)
            number = len(self._groups)
        if name := match["name"]:
            if name in self._names:
                raise ValueError(f"names a group at {start} that has been named before")
            self._names[name] = number
        piece = self.alternatives()
        if not self._takes(")"):
            raise ValueError(f"has an unbalanced parenthesis at {start}")
        if match["ahead"]:
            return _look_ahead(match[0], piece)
        if match["behind"]:
            return _look_behind(match[0], piece)
        if number:
            self._groups[number - 1] = piece
            return _enclose(f"(?P<{self._prefix}{number}>" if self.refers else "(?:", piece)
        return _enclose(match[0], piece)

    def _takes(self, mark: str) -> bool:
        found = self.pattern.startswith(mark, self.at)
        self.at += found
        return found

    def _skip_blank(self) -> None:
        if self._verbose and (blank := _BLANK.match(self.pattern, self.at)):
            self.at = blank.end()
