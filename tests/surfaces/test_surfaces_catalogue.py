"""The kept catalogue: it reads back as it was written, and is what the installed SDKs say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from surfaces_apis import APIS, found, is_known
from surfaces_catalogue import (
    FOLDER,
    Place,
    Section,
    count,
    drift,
    load_catalogue,
    parse_steps,
    read_protocol,
    spell,
    surfaces,
    write_protocol,
)
from surfaces_types import Source, walk
from typing_extensions import TypedDict

FILES = {file.stem: file for file in sorted(FOLDER.iterdir())}
LARGEST = 2**20


def test_every_api_has_a_file_and_no_other() -> None:
    assert sorted(FILES) == sorted(APIS)


def test_the_catalogue_is_small_enough_to_read() -> None:
    assert sum(file.stat().st_size for file in FILES.values()) < LARGEST


@pytest.mark.parametrize("protocol", FILES)
def test_a_file_reads_back_as_it_was_written(protocol: str) -> None:
    text = FILES[protocol].read_text("utf-8")
    assert write_protocol(read_protocol(text)) == text


@pytest.mark.slow
@pytest.mark.parametrize("protocol", APIS)
def test_the_installed_sdk_sends_strings_nowhere_else(protocol: str) -> None:
    if not is_known(protocol):
        pytest.skip(f"{APIS[protocol][0]} is not installed (requirements/clients.lock)")
    assert drift(load_catalogue()[protocol], found(protocol)) == []


# ── the walk ─────────────────────────────────────────────────────────────────────────────────────


class _Text(TypedDict, total=False):
    type: Literal["text"]
    text: str


class _Picture(TypedDict, total=False):
    type: Literal["picture", "photo"]
    data: bytes
    size: int


class _Meta(TypedDict):
    progress_token: int | str


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    long_name: str | None = None
    from_: Annotated[str, Field(alias="from")]
    parts: list[_Text | _Picture]
    level: Literal["low", "high"]
    tokens: list[int] | list[list[int]]
    extra: dict[str, Any]
    meta: _Meta
    again: _Model | None = None
    count: int = 0


def _walked() -> dict[Section, Place]:
    return walk([Source(section=Section("request", "/x"), types=(lambda: _Model,))])


WALKED = """\
# request /x
again	^
extra	key
extra.*	any
from	text
level	word
longName	text
meta.progressToken	text
parts[]<type=picture|photo>.data	bytes
parts[]<type=text>.text	text
tokens	integers
tokens[]	integers
"""


def test_the_walk_finds_every_string_under_its_wire_name() -> None:
    assert write_protocol(_walked()) == WALKED


def test_a_type_of_no_known_sort_is_an_error_and_not_left_out() -> None:
    with pytest.raises(TypeError, match="complex"):
        walk([Source(section=Section("request", "/x"), types=(lambda: {"a": complex},))])


# ── reading and comparing ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "steps",
    [("a", "[]", "<type=b.c>", "d"), ("a.b", "*", "c"), ("[]", "[]"), ("a<b", "c[d", "e\\f")],
    ids=["variant", "dot", "arrays", "signs"],
)
def test_a_path_reads_back_as_it_was_spelled(steps: tuple[str, ...]) -> None:
    assert parse_steps(spell(steps)) == steps


def test_what_stands_twice_is_written_once_and_read_twice() -> None:
    text = "# request /x\na.b\ttext\na.c\ttext\na.d\ttext\na.e\tword\nf\t= a\n"
    (root,) = read_protocol(text).values()
    assert [str(surface) for surface in surfaces(root)] == "a.b a.c a.d a.e f.b f.c f.d f.e".split()
    assert write_protocol(read_protocol(text)) == text


def test_drift_names_what_appeared_and_what_vanished() -> None:
    kept = read_protocol("# request /x\na\ttext\nb\ttext\n")
    new = read_protocol("# request /x\na\ttext\nc<type=d>.e\tword\n# response /x\nf\ttext\n")
    assert drift(kept, new) == [
        "+ request /x: c<type=d>.e (word)",
        "+ request /x: c<type=d>.type (word)",
        "- request /x: b (text)",
        "+ response /x: f (text)",
    ]
    assert count(new.values()) == 4
