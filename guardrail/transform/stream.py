r"""Text rewritten while it streams: what is released equals what the whole text would have become.

For every way of cutting a text into chunks, the released pieces joined are `transform` of the whole
text. The transformer holds only from the leftmost position where some rule still waits for text
(`frontier` tells where that is); everything before that position is decided:

- A match that starts before the frontier cannot change, and no further one can start there.
- Each code point belongs to the best accepted match that covers it: highest priority, then longest,
  then leftmost, then by name. A match may begin no later than what it covers, so the owner of every
  code point before the frontier is known, however far the matches reach beyond it.
- A run of code points with one owner is replaced once, by its owner's replacement. So the loser of
  an overlap keeps what the winner leaves of it, and neither's tail is ever uncovered.

A rule never matches two overlapping stretches: after an accepted match its search resumes at the
end of it, after a refused one at the next code point, so that a refused match hides no valid one.

A rule with `escapes` searches the text a second time in which every backslash, and the letter of an
escape of white space behind it, is white space: in `"no.:\n078-05-1120"` a number begins behind the
`n`. Each code point keeps its place there, so both searches wait and decide alike.

At each position only those rules are tried whose matches may begin like the text there (`heads`
tells which), so that a text costs what is in it, however many rules there are. A position is looked
at once it is reached, and again only while a rule waits there.

Memory per stream is bounded by the widest rule plus `CONTEXT`, which is kept of the text already
released for look-behinds and rewrites.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from heapq import merge
from itertools import groupby, pairwise, takewhile
from operator import invert, itemgetter
from types import MappingProxyType
from typing import NamedTuple

import regex

from guardrail.errors import Unavailable
from guardrail.transform.frontier import Piece, leading_flags, survey
from guardrail.transform.heads import HeadTable
from guardrail.transform.sentences import Found, Reader

CONTEXT = 128
"""Code points of original text before a match that its rewrite and look-behinds may see."""

MAX_WIDTH = 8192
"""Code points that a match may span, and that a look-ahead may see beyond it."""

BLOCK = 64
"""Code points by which a `trail` goes on."""
_SLACK = 1024  # released text is cut off in steps of this many code points, not at each feed


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRule:
    """What to look for and what to put in its place.

    `pattern` is in the syntax of mrab `regex`, of finite width. `rewrite` gets the matched text and
    up to `CONTEXT` code points of original text before it; it gives the replacement, or None when
    the match does not count. It is called once per match. Where matches of several rules overlap,
    the highest `priority` wins. `escapes`: it also reads escapes of white space as white space.

    `trail` is for a rule whose `rewrite` must know what began further back than that. It gives, in
    a few code points, what of a text still matters to what follows it; `rewrite` then gets that of
    all text before its context, ahead of the context itself. It is asked of what it gave for the
    text so far and the next `BLOCK` code points. One rule of a set may have one.
    """

    name: str
    pattern: str
    flags: int = 0
    priority: int = 0
    escapes: bool = False
    trail: Callable[[str], str] | None = None
    rewrite: Callable[[str, str], str | None]


class _Trail:
    """What of a text matters behind it, for a rule with a `trail`; in blocks of the stream, so that
    it is the same however the stream is cut.
    """

    __slots__ = ("_at", "_came_to", "_fold")

    def __init__(self, rules: Iterable[StreamRule]) -> None:
        self._fold = next((rule.trail for rule in rules if rule.trail), None)
        self._came_to = ""
        self._at = 0  # the offset in the stream up to which that is

    def kept(self, until: int) -> int:
        """How much of the stream up to `until` is not needed any more, once that was asked for."""
        return until if self._fold is None else min(until, self._at)

    def advance(self, text: str, origin: int, until: int) -> None:
        """Goes on to the last block that ends at `until` or before it."""
        if self._fold is None:
            return
        while self._at + BLOCK <= until:
            begin = self._at - origin
            self._came_to = self._fold(self._came_to + text[begin : begin + BLOCK])
            self._at += BLOCK

    def left(self, text: str, origin: int, at: int) -> str:
        """What a rewrite is told of what stands before `at`, which never goes back."""
        self.advance(text, origin, origin + at - CONTEXT)
        return self._came_to + text[self._at - origin : at]


_At = Callable[[str, int], regex.Match[str] | None]


@dataclass(frozen=True, slots=True)
class _Engine:
    """The compiled patterns of a set of rules; it knows nothing of rewrites and is shared.

    Of each rule `match` matches what it matches, and `waits` gives what matches where it waits for
    text, which it may do for `reach` code points and no further. Both are compiled when they are
    first asked for. `heads` tells which rules are worth a try where.
    """

    match: list[_At]
    waits: tuple[Callable[[], _At], ...]
    reach: tuple[int, ...]
    heads: HeadTable


@dataclass(frozen=True, slots=True)
class CompiledRules:
    """Rules that stream exactly, with their compiled patterns. Immutable; share it freely."""

    rules: tuple[StreamRule, ...]
    _engine: _Engine = field(repr=False)

    def bind(self, rewrites: Mapping[str, Callable[[str, str], str | None]]) -> CompiledRules:
        """Gives the same rules with other rewrites, by rule name; nothing is compiled anew.

        Raises: ValueError when a name is not one of the rules'.
        """
        if unknown := rewrites.keys() - {rule.name for rule in self.rules}:
            raise ValueError(f"no such rule: {', '.join(sorted(unknown))}")
        bound = (
            replace(rule, rewrite=rewrites.get(rule.name, rule.rewrite)) for rule in self.rules
        )
        return CompiledRules(tuple(bound), self._engine)


@dataclass(frozen=True, slots=True)
class _Match:
    """An accepted match, in offsets from the start of the stream."""

    start: int
    end: int
    rank: tuple[int, int, int, str]  # least is best
    replacement: str = field(repr=False)


class Edit(NamedTuple):
    """What stands in place of the code points from `start` to `end` of the original stream."""

    start: int
    end: int
    text: str


def compile_rule(rule: StreamRule) -> CompiledRules:
    """Gives one rule ready to use; see `compile_rules`."""
    return compile_rules((rule,))


def compile_rules(rules: Iterable[StreamRule]) -> CompiledRules:
    """Gives rules ready to use; patterns compiled before are not compiled again.

    Raises: ValueError naming the rule that cannot be streamed exactly: its pattern is wrong, may
    match nothing, has no finite width or one above `MAX_WIDTH`, looks behind more than `CONTEXT`,
    or uses a construct whose reach is not known; or two rules bear one name.

    >>> rule = StreamRule(name="ssn", pattern=r"[0-9]{3}-[0-9]{2}-[0-9]{4}",
    ...                   rewrite=lambda text, left: "[SSN]")
    >>> stream = StreamTransformer(compile_rules([rule]))
    >>> [stream.feed(chunk) for chunk in ("no. 078-", "05-11", "20.")], stream.flush()
    (['no. ', '', '[SSN].'], '')
    """
    rules = tuple(rules)
    check_rules(rules)
    return CompiledRules(rules, _engine(tuple((rule.pattern, rule.flags) for rule in rules)))


def check_rules(rules: Iterable[StreamRule]) -> None:
    """Raises ValueError as `compile_rules` does, and compiles nothing else."""
    rules = tuple(rules)
    names = Counter(rule.name for rule in rules)
    for rule in rules:
        if names[rule.name] > 1:
            raise ValueError(f"rule {rule.name}: two rules bear this name")
        try:
            _surveyed(rule.pattern, rule.flags)
        except ValueError as error:
            raise ValueError(f"rule {rule.name}: {error}") from None


@lru_cache(maxsize=2048)
def _surveyed(pattern: str, flags: int) -> tuple[Piece, int]:
    """The pattern as a piece, and the flags that piece is to be compiled with."""
    try:
        bare, inline = leading_flags(pattern)
        flags |= inline
        piece = survey(bare, flags, prefix="r")
    except ValueError:
        _matching(pattern, flags)  # raises what is wrong with it, if it is no pattern at all
        raise
    for broken, problem in (
        (piece.low < 1, "may match nothing"),
        (piece.high > MAX_WIDTH, f"is {piece.high} wide, above {MAX_WIDTH}"),
        (piece.ahead > MAX_WIDTH, f"looks {piece.ahead} ahead, above {MAX_WIDTH}"),
        (piece.behind > CONTEXT, f"looks {piece.behind} behind, above {CONTEXT}"),
    ):
        if broken:
            raise ValueError(problem)
    return piece, flags & ~regex.X | regex.V0


@lru_cache(maxsize=2048)
def _matching(pattern: str, flags: int) -> _At:
    try:
        return regex.compile(pattern, flags | regex.V0).match
    except (regex.error, ValueError) as error:
        raise ValueError(f"is not a pattern: {error}") from None


def _matchers(patterns: Iterable[tuple[str, int]]) -> list[_At]:
    """What matches each pattern, compiled when first called."""

    def first(number: int, pattern: str, flags: int) -> _At:
        def match(text: str, at: int) -> regex.Match[str] | None:
            matchers[number] = _matching(pattern, flags)
            return matchers[number](text, at)

        return match

    matchers = [first(number, *each) for number, each in enumerate(patterns)]
    return matchers


@lru_cache(maxsize=2048)
def _waits(pattern: str, flags: int) -> _At:
    piece, bare = _surveyed(pattern, flags)
    return regex.compile(piece.waits, bare).match


@lru_cache(maxsize=128)
def _engine(patterns: tuple[tuple[str, int], ...]) -> _Engine:
    surveyed = [_surveyed(pattern, flags) for pattern, flags in patterns]
    return _Engine(
        _matchers(patterns),
        tuple(partial(_waits, pattern, flags) for pattern, flags in patterns),
        tuple(piece.high + piece.ahead for piece, _ in surveyed),
        HeadTable((piece.head, flags) for piece, flags in surveyed),
    )


def transform(rules: CompiledRules, text: str, readers: Sequence[Reader] = ()) -> str:
    """Gives the whole text rewritten, in one pass; readers must be new."""
    found: list[_Match] = []
    resume: dict[int, int] = {}
    spaced, trail = _spaced(rules, text), _Trail(rules.rules)
    for at, numbers, others in _candidates(rules, text, spaced, 0):
        _accept(rules, text, at, numbers, resume, found, trail)
        if others:
            _accept_spaced(rules, text, spaced, at, others, resume, found)
    if readers:
        found = list(_narrowed(found, text))
        for reader in readers:
            found += map(_read, (*reader.feed(text), *reader.flush()))
    return _render(text, found, end=len(text))[0] if found else text


def _read(found: Found) -> _Match:
    """What a reader found gives way to what a rule did: a name in an address is a part of it."""
    rank = (1, found.start - found.end, found.start, found.name)
    return _Match(found.start, found.end, rank, found.replacement)


def _narrowed(found: Iterable[_Match], text: str, origin: int = 0) -> Iterator[_Match]:
    """Matches without what they begin and end with and leave as it is: a name may stand there."""
    for match in found:
        matched = text[match.start - origin : match.end - origin]
        new = match.replacement
        width = min(len(matched), len(new))
        head = next((n for n in range(width) if matched[n] != new[n]), width)
        rest = width - head
        tail = next((n for n in range(rest) if matched[-1 - n] != new[-1 - n]), rest)
        start, end = match.start + head, match.end - tail
        if start < end:
            yield replace(match, start=start, end=end, replacement=new[head : len(new) - tail])
        elif matched != new:
            yield match


def _accept(
    rules: CompiledRules,
    text: str,
    at: int,
    numbers: Iterable[int],
    resume: dict[int, int],
    found: list[_Match],
    trail: _Trail,
    origin: int = 0,
) -> None:
    """Adds to `found` the matches of these rules that start at `at` and count, in order of `at`.

    `resume` tells from where on a rule may match again. `origin` is the offset of `text` in the
    stream; `resume` and the offsets of matches are the stream's.
    """
    match = rules._engine.match
    for number in numbers:
        matched = match[number](text, at)
        if matched is None or resume.get(number, 0) > origin + at:
            continue
        rule = rules.rules[number]
        left = trail.left(text, origin, at) if rule.trail else text[max(0, at - CONTEXT) : at]
        replacement = rule.rewrite(matched[0], left)
        if replacement is None:
            continue
        start, end = origin + at, origin + matched.end()
        rank = (-rule.priority, start - end, start, rule.name)
        found.append(_Match(start, end, rank, replacement))
        resume[number] = end


_SPACES = MappingProxyType({"n": "\n", "r": "\r", "t": "\t", "f": " ", "b": " ", "v": " "})
_ESCAPE = regex.compile(r"\\([nrtfbv]?)")


def _spaced(rules: CompiledRules, text: str) -> str:
    """The text with each backslash, and the letter of white space behind it, as white space.

    What one code point becomes depends on it and on the one before it alone. It is the text itself
    where there is none, or no rule that asks for it.
    """
    if "\\" not in text or not any(rule.escapes for rule in rules.rules):
        return text
    return _ESCAPE.sub(lambda match: " " + _SPACES.get(match[1], ""), text)


def _candidates(
    rules: CompiledRules, text: str, spaced: str, start: int
) -> Iterator[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    """Gives each position from `start` where some rule may match, and the numbers of those.

    First those for the text, then those for it with escapes as white space, where it has some.
    """
    table = rules._engine.heads
    if spaced is text:
        yield from ((at, numbers, ()) for at, numbers in table.candidates(text, start))
        return
    both = merge(
        ((at, 0, numbers) for at, numbers in table.candidates(text, start)),
        (
            (at, 1, tuple(number for number in numbers if rules.rules[number].escapes))
            for at, numbers in table.candidates(spaced, start)
        ),
    )
    for at, group in groupby(both, key=itemgetter(0)):
        numbers: list[tuple[int, ...]] = [(), ()]
        for _, which, each in group:
            numbers[which] = each
        yield at, numbers[0], numbers[1]


def _accept_spaced(
    rules: CompiledRules,
    text: str,
    spaced: str,
    at: int,
    numbers: Iterable[int],
    resume: dict[int, int],
    found: list[_Match],
    origin: int = 0,
) -> None:
    """As `_accept` does, with escapes as white space, what does not count without.

    In `resume` these searches go under the complement of the rule's number.
    """
    left, start = max(0, at - CONTEXT), origin + at
    for number in numbers:
        matched = rules._engine.match[number](spaced, at)
        if matched is None or resume.get(~number, 0) > start:
            continue
        stop = matched.end()
        if spaced[left:stop] == text[left:stop]:
            continue
        rule = rules.rules[number]
        here = takewhile(lambda match: match.start == start, reversed(found))
        if not any(match.end == origin + stop and match.rank[-1] == rule.name for match in here):
            new = rule.rewrite(matched[0], spaced[left:at])
            if new is None:
                continue
            new = _respelled(new, matched[0], text[at:stop])
            rank = (-rule.priority, at - stop, start, rule.name)
            found.append(_Match(start, origin + stop, rank, new))
        resume[~number] = origin + stop


def _respelled(new: str, matched: str, text: str) -> str:
    """A replacement of `matched`, with the text itself for as much as both begin and end alike."""
    width = min(len(matched), len(new))
    head = next((n for n in range(width) if matched[n] != new[n]), width)
    rest = width - head
    tail = next((n for n in range(rest) if matched[-1 - n] != new[-1 - n]), rest)
    return text[:head] + new[head : len(new) - tail] + text[len(text) - tail :]


def _render(
    text: str,
    found: list[_Match],
    *,
    begin: int = 0,
    end: int,
    origin: int = 0,
    owner: _Match | None = None,
    edits: list[Edit] | None = None,
) -> tuple[str, _Match | None]:
    """The stream's code points from `begin` to `end` rewritten, and who owns the last of them.

    `owner` is who owned the code point before `begin`: its replacement stands there already.
    What was replaced is added to `edits`.
    """
    coming = sorted(found, key=lambda match: match.start, reverse=True)
    inner = {edge for match in found for edge in (match.start, match.end) if begin < edge < end}
    covering: list[_Match] = []
    pieces = []
    for left, right in pairwise(sorted({begin, end} | inner)):
        while coming and coming[-1].start <= left:
            covering.append(coming.pop())
        covering = [match for match in covering if match.end > left]
        best = min(covering, key=lambda match: match.rank, default=None)
        if best is None:
            pieces.append(text[left - origin : right - origin])
        else:
            new = "" if best is owner else best.replacement
            pieces.append(new)
            if edits is not None:
                edits.append(Edit(left, right, new))
        owner = best
    return "".join(pieces), owner


class StreamTransformer:
    """Rewrites one stream of text. It holds state and belongs to one stream, as do its readers.

    What rules and readers find they find in the original, each by itself. When a rewrite raises,
    the exception propagates and what was held is dropped; from then on every call raises
    `Unavailable`, so that nothing undecided is ever released. `edits` are those of the text that
    the last call released, in order.
    """

    __slots__ = (
        "_found",
        "_frontier",
        "_origin",
        "_owner",
        "_owners",
        "_reached",
        "_readers",
        "_resume",
        "_rules",
        "_stopped",
        "_text",
        "_trail",
        "_waiting",
        "edits",
    )

    def __init__(self, rules: CompiledRules, readers: Sequence[Reader] = ()) -> None:
        self._rules = rules
        self._readers = readers
        self._stopped = False
        self.edits: list[Edit] = []
        self._begin()

    def _begin(self) -> None:
        self._text = ""  # original: what is held, and before it the context that is kept
        self._origin = 0  # the offset of _text in the stream
        self._frontier = 0  # all before it is decided and released
        self._reached = 0  # all before it is decided as far as rules go
        self._found: list[_Match] = []  # those that reach beyond the frontier
        self._owners: list[_Match] = []  # the same with what readers found, where there are any
        self._owner: _Match | None = None  # of the last code point released
        self._resume: dict[int, int] = {}  # from where on each rule may match again
        self._waiting: int | None = None  # a rule that waits where the rules have got to
        self._trail = _Trail(self._rules.rules)

    @property
    def held(self) -> int:
        """How many code points wait to be decided."""
        return self._origin + len(self._text) - self._frontier

    def feed(self, chunk: str) -> str:
        """Takes the next chunk and gives the text that no later chunk can change."""
        self._refuse_if_stopped()
        try:
            self._text += chunk
            self._reached = until = self._decide()
            for reader in self._readers:
                self._owners += map(_read, reader.feed(chunk))
                until = min(until, reader.decided)
            return self._release(until)
        except BaseException:
            self._stop()
            raise

    def flush(self) -> str:
        """Ends the stream and gives the rest of it; the transformer starts anew."""
        self._refuse_if_stopped()
        try:
            until = self._decide(final=True)
            for reader in self._readers:
                self._owners += map(_read, reader.flush())
            rest = self._release(until)
        except BaseException:
            self._stop()
            raise
        self._begin()
        return rest

    def _refuse_if_stopped(self) -> None:
        if self._stopped:
            raise Unavailable("an earlier rewrite of this stream failed")

    def _stop(self) -> None:
        self._begin()
        self._stopped = True

    def _decide(self, *, final: bool = False) -> int:
        """Finds what starts before the leftmost position where a rule waits; gives that position.

        At the end of the stream, when it is `final`, none waits.
        """
        known = len(self._found)
        until = self._search(final=final)
        if self._readers:
            self._owners += _narrowed(self._found[known:], self._text, self._origin)
        return until

    def _search(self, *, final: bool) -> int:
        text, origin, rules = self._text, self._origin, self._rules
        spaced = _spaced(rules, text)
        start = self._reached - origin
        waiting = () if final or self._waiting is None else (self._waiting,)
        for number in waiting:
            if self._waits(number, text, spaced, start):
                return self._reached
        self._waiting = None
        for at, numbers, others in _candidates(rules, text, spaced, start):
            for number in () if final else (*numbers, *map(invert, others)):
                if self._waits(number, text, spaced, at):
                    self._waiting = number
                    return origin + at
            _accept(rules, text, at, numbers, self._resume, self._found, self._trail, origin)
            if others:
                _accept_spaced(rules, text, spaced, at, others, self._resume, self._found, origin)
        return origin + len(text)

    def _waits(self, number: int, text: str, spaced: str, at: int) -> bool:
        """Whether a rule waits at `at`; the complement of its number asks with escapes undone."""
        if number < 0:
            number, text = ~number, spaced
        engine = self._rules._engine
        return len(text) - at < engine.reach[number] and bool(engine.waits[number]()(text, at))

    def _release(self, until: int) -> str:
        begin, origin = self._frontier, self._origin
        self.edits = []
        if until == begin:
            return ""
        if owners := self._owners if self._readers else self._found:
            text, self._owner = _render(
                self._text,
                owners,
                begin=begin,
                end=until,
                origin=origin,
                owner=self._owner,
                edits=self.edits,
            )
            self._owners = [match for match in self._owners if match.end > until]
        else:
            text, self._owner = self._text[begin - origin : until - origin], None
        if self._found:
            self._found = [match for match in self._found if match.end > until]
        self._frontier = until
        # One more than CONTEXT, so that no look-behind takes the first kept one for the start.
        if until - origin - CONTEXT - 1 > _SLACK:
            self._trail.advance(self._text, origin, until - CONTEXT - 1)
            surplus = self._trail.kept(until - CONTEXT - 1) - origin
            self._text = self._text[surplus:]
            self._origin += surplus
        return text
