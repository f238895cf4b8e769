"""Every position and every probe, tried; and the tables that tell what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from leaks_positions import PEERS, POSITIONS
from leaks_probes import PROBES, is_bad, try_position, try_probe, worst
from leaks_world import PLANTED

STEPS = len(POSITIONS) + sum(len(probe.sizes) for probe in PROBES.values())
"""How often `measure` calls `step`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What came of one position, or of one probe: of a whole answer, then of a streamed one."""

    protocol: str
    name: str
    verdicts: tuple[str, ...]
    peers: tuple[str, ...]

    @property
    def is_bad(self) -> bool:
        """Whether something leaked or came out wrong."""
        return any(map(is_bad, self.verdicts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All rows, in the order of the tables that they come from."""

    requests: tuple[Row, ...]
    answers: tuple[Row, ...]

    @property
    def bad(self) -> tuple[Row, ...]:
        """What has to be mended."""
        return tuple(row for row in (*self.requests, *self.answers) if row.is_bad)

    def document(self) -> dict[str, Any]:
        """The report as one JSON document."""
        return {
            "ok": not self.bad,
            "planted": sorted(PLANTED),
            "peers": list(PEERS),
            "requests": [asdict(row) for row in self.requests],
            "answers": [asdict(row) for row in self.answers],
        }


def measure(step: Callable[[], object]) -> Report:
    """Tries everything; calls `step` after each of `STEPS`."""

    def stepped(verdict: str) -> str:
        step()
        return verdict

    return Report(
        requests=tuple(
            Row(
                protocol=position.protocol,
                name=position.name,
                verdicts=(stepped(worst(try_position(position, p) for p in PLANTED)),),
                peers=position.peers,
            )
            for position in POSITIONS.values()
        ),
        answers=tuple(
            Row(
                protocol=probe.voice.id,
                name=probe.name,
                verdicts=tuple(stepped(try_probe(probe, size)) for size in probe.sizes),
                peers=probe.peers,
            )
            for probe in PROBES.values()
        ),
    )


# ── tables ───────────────────────────────────────────────────────────────────────────────────────


def summary(report: Report) -> str:
    """Gives the few rows that the README shows."""
    return "\n".join(
        (
            *_head("how many leak, or come out wrong", "of", "guardrail", *PEERS),
            _line("places of a request", *_counted(report.requests)),
            _line("questions about an answer", *_counted(report.answers)),
            "",
            f"Beyond those, guardrail is tried in {_beyond(report.requests)} more places and by "
            f"{_beyond(report.answers)} more questions. {_bad_beyond(report)}.",
        )
    )


def tables(report: Report) -> str:
    """Gives all rows as Markdown."""
    return "\n".join(
        (
            "## Requests\n",
            *_head("protocol", "place", "guardrail", *PEERS),
            *(
                _line(row.protocol, row.name, *map(_shown, (*row.verdicts, *row.peers)))
                for row in report.requests
                if row.peers
            ),
            "\nPlaces that were tried with guardrail alone:\n",
            *_head("protocol", "guardrail", "places"),
            *_gathered(report.requests),
            "\n## Answers\n",
            *_head("answer", "question", "guardrail", *PEERS),
            *(
                _line(row.protocol, row.name, _both(row), *map(_shown, row.peers))
                for row in report.answers
                if row.peers
            ),
            "\nAnswers that were tried with guardrail alone:\n",
            *_head("answer", "guardrail", "questions"),
            *_gathered(report.answers),
        )
    )


def _counted(rows: Iterable[Row]) -> Iterator[str]:
    compared = [row for row in rows if row.peers]
    yield str(len(compared))
    yield f"**{sum(row.is_bad for row in compared)}**"
    for at in range(len(PEERS)):
        yield str(sum(is_bad(word) for row in compared for word in _words(row.peers[at])))


def _words(cell: str) -> list[str]:
    """The bad words of a cell, one at most: `LEAK / LEAK (card)` is one row that leaks."""
    return [word for word in ("LEAK", "WRONG") if word in cell][:1]


def _beyond(rows: Iterable[Row]) -> int:
    return sum(not row.peers for row in rows)


def _bad_beyond(report: Report) -> str:
    places = dict.fromkeys(row.protocol for row in report.bad if not row.peers)
    number = _beyond(report.bad)
    if not number:
        return "None leaks or comes out wrong"
    return f"{number} of them leak or come out wrong, in {', '.join(places)}"


def _gathered(rows: Sequence[Row]) -> Iterator[str]:
    """One line for each protocol and verdict."""
    alone = [row for row in rows if not row.peers]
    for protocol, same in groupby(alone, key=lambda row: row.protocol):
        names: dict[str, list[str]] = {}
        for row in same:
            names.setdefault(_both(row), []).append(row.name)
        for verdict, found in names.items():
            yield _line(protocol, verdict, "; ".join(found))


def _both(row: Row) -> str:
    return " / ".join(dict.fromkeys(map(_shown, row.verdicts)))


def _shown(cell: str) -> str:
    return cell.replace("LEAK", "**LEAK**").replace("WRONG", "**WRONG**")


def _head(*names: str) -> tuple[str, str]:
    return _line(*names), _line(*("---" for _ in names))


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
