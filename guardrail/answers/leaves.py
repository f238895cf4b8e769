"""What may be done to a string of an answer: whether it is masked, restored, and as what."""

from __future__ import annotations

from typing import TypedDict

from guardrail.errors import Refusal
from guardrail.protocols.fields import Action, Leaf, Step, locate
from guardrail.protocols.maps import Protocol
from guardrail.protocols.payload import Json

NEVER_CUT = frozenset({Action.IDENTIFIER, Action.STRUCTURE})
"""Strings that are never cut across events."""


def is_plain(leaf: Leaf) -> bool:
    """Whether there is nothing to filter: a signature, a file, or a word of the protocol
    (`assistant`, `stop`) that is too short for a number or a key."""
    text = leaf.text
    return (
        leaf.action is Action.SIGNED
        or (leaf.binary and not leaf.piece)
        or (
            leaf.action is Action.STRUCTURE
            and len(text) < 16
            and sum(map(str.isdigit, text)) < LONG_NUMBER
        )
    )


LONG_NUMBER = 5


class _Rules(TypedDict):
    """By which rules a leaf is filtered."""

    tool: str | None
    restoring: bool
    identifier: bool
    code: bool


def rules_of(leaf: Leaf, sink: str | None, protocol: Protocol) -> _Rules:
    """What is done to a leaf; what was signed is masked, and stays as it is where nothing is."""
    return {
        "tool": sink,
        "restoring": leaf.action not in _UNRESTORED,
        "identifier": leaf.action in IDENTIFIERS,
        "code": leaf.action is Action.CODE or (sink is not None and sink in protocol.code),
    }


_UNRESTORED = frozenset({Action.THOUGHT, Action.LINK, Action.DERIVED})


IDENTIFIERS = frozenset({Action.IDENTIFIER, Action.STRUCTURE, Action.SIGNED, Action.LINK})
"""Strings that are no prose unless a space stands in them."""


UNSHARED = _UNRESTORED | {Action.CODE}
"""Actions whose leaves are treated otherwise than text for the same reader or tool."""


def sink_of(leaf: Leaf, tool: str | None, protocol: Protocol) -> str | None:
    """The tool a leaf speaks to, None for the reader.

    In a known protocol, a field that its map does not name may be anybody's argument.
    """
    if tool is None and protocol.declares and not leaf.declared:
        return ""
    return tool


def changeable(leaf: Leaf, text: str) -> str:
    """The text to put in a leaf's place. Raises Refusal where the leaf allows no change."""
    if leaf.action is Action.STRUCTURE:
        raise Refusal(502, "upstream_uninspectable", "the answer holds data where none belongs")
    return text


def tool_of(payload: Json, leaf: Leaf) -> str | None:
    """The tool whose arguments a leaf belongs to; "" if it has no name, None if there is none."""
    if leaf.action in SPOKEN_TO_TOOLS:
        at = next((at for at, step in enumerate(leaf.path) if step in _ARGUMENTS), 0)
        called = locate(payload, leaf.path[:at]) if at else None
        said = called.get("name") if isinstance(called, dict) else None
        return said if isinstance(said, str) else ""
    if Step.INSIDE in leaf.path:
        holder = leaf.path[: leaf.path.index(Step.INSIDE) - 1]
    elif leaf.action is Action.JSON_TEXT:
        holder = leaf.path[:-1]
    else:
        return None
    name = locate(payload, (*holder, "name"))
    return name if isinstance(name, str) else ""


SPOKEN_TO_TOOLS = frozenset({Action.ARGUMENT, Action.CODE})


_ARGUMENTS = frozenset({"input", "args", "arguments"})
"""Fields that hold what a tool is called with, beside its name."""


READ = frozenset({Action.TEXT, Action.THOUGHT})
"""What somebody reads; texts of one kind that follow each other are read as one."""


def names_tool(leaf: Leaf) -> bool:
    """Whether a leaf names a tool."""
    return leaf.path[-1:] == ("name",) and leaf.action is Action.IDENTIFIER
