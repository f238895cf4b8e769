"""A canary in every place of every API: none leaves for the cloud, none is shown that is hidden."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TypeAlias

import pytest
from exchange_world import HOME
from surfaces_catalogue import (
    ANY,
    BYTES,
    INTEGERS,
    KEY,
    TEXT,
    Place,
    Section,
    Steps,
    load_catalogue,
    read_protocol,
    spell,
)
from surfaces_world import (
    Plant,
    Refused,
    Reviewed,
    Shape,
    answer_cut,
    follow,
    form,
    guarded,
    hiding,
    inside,
    is_mapped,
    load_reviewed,
    named,
    named_inside,
    nearest,
    payloads,
    plain,
    plant,
    release,
    restored,
    spaced,
    whole,
    wire,
    write,
)

from guardrail.exchange import Deployment

CATALOGUE = load_catalogue()
Alike: TypeAlias = Callable[[Steps], Steps] | None
REVIEWED = load_reviewed()
REQUESTS = [(p, s) for p, found in CATALOGUE.items() for s in found if s.direction == "request"]
ANSWERS = [(p, s) for p, found in CATALOGUE.items() for s in found if s.direction != "request"]


def _ids(sections: Sequence[tuple[str, Section]]) -> list[str]:
    return [f"{protocol} {section}" for protocol, section in sections]


@lru_cache(maxsize=1)
def _hiding() -> Deployment:
    return hiding(Path(mkdtemp()))


def _unreviewed(protocol: str, section: Section, *, shape: Shape, alike: Alike = None) -> list[str]:
    deployed = guarded() if section.direction == "request" else _hiding()
    root = CATALOGUE[protocol][section]
    fate = follow(deployed, protocol, section, root, shape=shape, alike=alike)
    return [
        str(one.surface)
        for one in fate.survivors
        if not any(row.covers(protocol, section, one.surface) for row in REVIEWED)
    ]


@pytest.mark.parametrize("shape", [plain, inside])
@pytest.mark.parametrize(("protocol", "section"), REQUESTS, ids=_ids(REQUESTS))
def test_no_canary_of_a_request_leaves(protocol: str, section: Section, shape: Shape) -> None:
    assert _unreviewed(protocol, section, shape=shape) == []


@pytest.mark.parametrize(("protocol", "section"), ANSWERS, ids=_ids(ANSWERS))
def test_no_canary_of_an_answer_is_shown(protocol: str, section: Section) -> None:
    assert _unreviewed(protocol, section, shape=spaced) == []


PIECEWISE = {
    # protocol: fields whose strings a client joins over the events of a stream
    "openai.chat": (
        "choices[].delta.content choices[].delta.refusal choices[].delta.audio.transcript "
        "choices[].delta.tool_calls[].function.arguments choices[].delta.function_call.arguments"
    ),
    "openai.completions": "choices[].text",
    "openai.responses": "delta",
    "anthropic.messages": "delta.text delta.thinking delta.partial_json",
    "gemini.generate": "candidates[].content.parts[].text",
    "ollama.chat": "message.content message.thinking",
    "ollama.generate": "response thinking",
    "cohere.chat": (
        "delta.message.content.text delta.message.content.thinking delta.message.tool_plan "
        "delta.message.tool_calls.function.arguments"
    ),
}
ENCODED = {"<type=response.audio.delta>.delta"}
"""Sound in base64, where no text can stand."""
PIECES = [(protocol, path) for protocol, paths in PIECEWISE.items() for path in paths.split()]


@pytest.mark.parametrize("after", [0, 1, 4])
@pytest.mark.parametrize("shape", [spaced, inside])
@pytest.mark.parametrize(("protocol", "path"), PIECES)
def test_no_canary_is_shown_by_the_pieces_of_a_stream(
    protocol: str, path: str, shape: Shape, after: int
) -> None:
    ((section, root),) = [
        (section, root)
        for section, root in CATALOGUE[protocol].items()
        if section.direction == "event"
    ]
    plants = plant(root, shape=shape, direction=section.direction)
    pieces = [
        one
        for one in plants
        if spell(wire(one.surface.steps)) == path and str(one.surface) not in ENCODED
    ]
    shown = answer_cut(_hiding(), protocol, section, pieces, after=after)
    assert isinstance(shown, bytes)
    assert [one for one in pieces if one.needle in shown] == []


TOLD = {
    # protocol: places where a model says what a tool is to do; nobody declared the tool
    "openai.chat": r".*(tool_calls|function_call)\b.*\.(arguments|input)",
    "openai.responses": (
        r".*<type=(function_call|mcp_approval_request)>\.arguments"
        r"|.*<type=custom_tool_call>\.input"
        r"|.*<type=(local_)?shell_call>\.action.*\.(commands?\[\]|env\.\*)"
        r"|.*<type=apply_patch_call>\.operation.*\.diff"
        r"|.*<type=computer_call>\.actions?\b.*\.(text|keys\[\])"
        r"|<type=response\.(function|mcp)_call_arguments\.(delta|done)>\.(delta|arguments)"
        r"|<type=response\.custom_tool_call_input\.(delta|done)>\.(delta|input)"
    ),
    "anthropic.messages": r".*_use>\.input\.\*.*|.*<type=input_json_delta>\.partial_json",
    "gemini.generate": r".*\.functionCall\.(args\.\*|partialArgs\[\]\.stringValue)",
    "ollama.chat": r".*\.tool_calls\[\]\.function\.arguments\.\*",
    "cohere.chat": r".*\.tool_calls\b.*\.function\.arguments",
}
ECHO = "instructions"
"""Where an answer repeats what the client said, its earlier calls of tools among it."""
SPEAKING = [(protocol, section) for protocol, section in ANSWERS if protocol in TOLD]


@pytest.mark.parametrize("shape", [named, named_inside])
@pytest.mark.parametrize(("protocol", "section"), SPEAKING, ids=_ids(SPEAKING))
def test_no_original_is_put_back_where_a_tool_is_told_what_to_do(
    protocol: str, section: Section, shape: Shape
) -> None:
    if not is_mapped(protocol, section):
        pytest.skip(f"no map reads {protocol} yet: all text is the reader's")
    root = CATALOGUE[protocol][section]
    plants = plant(root, shape=shape, direction=section.direction, alike=nearest)
    told = [
        one
        for one in plants
        if re.fullmatch(TOLD[protocol], str(one.surface)) and ECHO not in one.steps
    ]
    assert told
    assert [
        str(one.surface) for one in restored(guarded(), protocol, section, told).survivors
    ] == []


@pytest.mark.slow
@pytest.mark.parametrize("shape", [plain, inside])
@pytest.mark.parametrize(("protocol", "section"), REQUESTS, ids=_ids(REQUESTS))
def test_no_canary_of_any_variant_of_a_request_leaves(
    protocol: str, section: Section, shape: Shape
) -> None:
    assert _unreviewed(protocol, section, shape=shape, alike=whole) == []


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "section"), ANSWERS, ids=_ids(ANSWERS))
def test_no_canary_of_any_variant_of_an_answer_is_shown(protocol: str, section: Section) -> None:
    assert _unreviewed(protocol, section, shape=spaced, alike=whole) == []


def test_every_reviewed_survivor_still_survives() -> None:
    assert [row for row in REVIEWED if not _survives(row)] == []


def _survives(row: Reviewed) -> bool:
    return any(
        row.covers(protocol, section, one.surface)
        for protocol, section in [*REQUESTS, *ANSWERS]
        if (protocol, section.direction) == (row.protocol, row.direction)
        for one in follow(
            guarded() if row.direction == "request" else _hiding(),
            protocol,
            section,
            CATALOGUE[protocol][section],
            shape=plain if row.direction == "request" else spaced,
            alike=whole,
        ).survivors
    )


# ── the oracle itself ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("protocol", "section"), REQUESTS, ids=_ids(REQUESTS))
def test_every_canary_of_a_request_reaches_a_local_model(protocol: str, section: Section) -> None:
    home = replace(HOME, models=("*",))  # which keeps the model's name, another canary
    fate = follow(guarded(route=home), protocol, section, CATALOGUE[protocol][section])
    assert (len(fate.survivors), fate.refused) == (fate.planted, [])


@pytest.mark.parametrize("protocol", ["openai.chat", "cohere.chat", "ollama.chat"])
def test_an_answer_that_policy_shows_in_clear_keeps_its_canaries(protocol: str) -> None:
    for section, root in CATALOGUE[protocol].items():
        if section.direction != "request":
            fate = follow(guarded(), protocol, section, root, shape=spaced)
            assert len(fate.survivors) > fate.planted / 2


def test_an_original_is_put_back_where_the_reader_is_told() -> None:
    section = Section("response", "/v1/chat/completions")
    plants = plant(CATALOGUE["openai.chat"][section], shape=named, direction="response")
    fate = restored(guarded(), "openai.chat", section, plants)
    put_back = {spell(wire(one.surface.steps)) for one in fate.survivors}
    assert "choices[].message.content" in put_back
    assert "choices[].message.tool_calls[].function.arguments" not in put_back


def test_pieces_that_policy_shows_in_clear_are_put_together_again() -> None:
    pieces = plant(_at("message", "content"), shape=spaced)
    section = Section("event", "/api/chat")
    shown = answer_cut(guarded(), "ollama.chat", section, pieces, after=1)
    assert shown == b" canary0x@example.com "


@pytest.mark.parametrize(("protocol", "section"), ANSWERS, ids=_ids(ANSWERS))
def test_every_canary_of_an_answer_stands_in_its_payloads(protocol: str, section: Section) -> None:
    root = CATALOGUE[protocol][section]
    plants = plant(root, shape=spaced, direction=section.direction, alike=nearest)
    assert release(plants, lambda flock: b"".join(write(flock))).survivors == plants


_ROOT = Place(
    below={
        "messages": Place(
            below={
                "[]": Place(
                    below={
                        "<role=user>": Place(below={"content": Place(kinds={TEXT})}),
                        "<role=tool>": Place(below={"content": Place(kinds={TEXT})}),
                    }
                )
            }
        ),
        "metadata": Place(kinds={KEY}, below={"*": Place(kinds={ANY})}),
        "file": Place(kinds={BYTES}),
        "tokens": Place(kinds={INTEGERS}),
    }
)


def test_plants_of_different_variants_stand_in_different_objects() -> None:
    grown = payloads(plant(_ROOT))
    messages = [message for payload in grown for message in payload.get("messages", ())]
    assert sorted(message["role"][:6] for message in messages) == [
        "canary",
        "canary",
        "tool",
        "user",
    ]
    assert [len(message) for message in messages if message["role"] in ("tool", "user")] == [2, 2]


@pytest.mark.parametrize(("alike", "canaries"), [(wire, 1), (nearest, 2), (whole, 3)])
def test_paths_that_are_alike_share_a_canary(
    alike: Callable[[Steps], Steps], canaries: int
) -> None:
    text = "# request /x\na<type=b>.c<type=e>.d\ttext\na<type=f>.c<type=e>.d\ttext\na.c.d\ttext\n"
    (root,) = read_protocol(text).values()
    leaves = [one for one in plant(root, alike=alike) if one.steps[-1] == "d"]
    assert len(leaves) == canaries


def test_a_form_holds_text_keys_files_and_numbers() -> None:
    assert release(plant(_ROOT), form).survivors


def test_one_refused_plant_hides_no_other() -> None:
    plants = plant(_ROOT)
    bad, leaking = plants[3], plants[4]

    def send(flock: Sequence[Plant]) -> bytes | Refused:
        return Refused("structure") if bad in flock else leaking.needle if leaking in flock else b""

    fate = release(plants, send)
    assert (fate.refused, fate.survivors) == ([(bad, "structure")], [leaking])


def test_a_reviewed_row_covers_the_paths_it_names_and_no_other() -> None:
    row = Reviewed(protocol="mcp", direction="event", path="result.*.id", reason="Test.")
    section, other = Section("event", "/mcp"), Section("request", "/mcp")
    found = {
        str(one.surface): row.covers("mcp", section, one.surface)
        for one in plant(_at("result", "a", "id")) + plant(_at("result", "id"))
    }
    assert found == {"result.a.id": True, "result.id": False}
    assert not row.covers("mcp", other, plant(_at("result", "a", "id"))[0].surface)
    assert not row.covers("ollama", section, plant(_at("result", "a", "id"))[0].surface)


def _at(*steps: str) -> Place:
    root = place = Place()
    for step in steps:
        place = place.at(step)
    place.kinds.add(TEXT)
    return root
