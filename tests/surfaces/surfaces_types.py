"""Walks the types of installed SDKs: every place of their requests and answers that holds a string.

Nothing here imports an SDK by name, so that it can be checked where none is installed.
"""

from __future__ import annotations

import collections.abc
import datetime
import enum
import importlib
import inspect
import os
import types
import typing
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import typing_extensions
from pydantic import AnyUrl, BaseModel
from surfaces_catalogue import (
    ANY,
    BYTES,
    INTEGERS,
    KEY,
    TEXT,
    WORD,
    Place,
    Protocol,
    Section,
)

Fields: typing.TypeAlias = Mapping[str, object]
"""Wire names of an object's fields, and their types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the type of a section is found: `module:name`, or a function that gives its fields.

    Several types share a section where an API has several spellings of one operation.
    """

    section: Section
    types: tuple[str | Callable[[], object], ...]


def walk(sources: Iterable[Source]) -> Protocol:
    """Gives the places of a protocol.

    Raises:
        TypeError: a type of the SDK is of a sort that is not known here.
    """
    protocol: Protocol = {}
    for source in sources:
        root = protocol.setdefault(source.section, Place())
        for named in source.types:
            root.add(_place(load(named) if isinstance(named, str) else named(), (), root=True))
    return protocol


def load(named: str) -> object:
    """Gives what `module:name.name` names."""
    module, _, names = named.partition(":")
    value: object = importlib.import_module(module)
    for name in names.split("."):
        value = getattr(value, name)
    return value


def is_installed(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    parent, _, _ = package.rpartition(".")
    return (not parent or is_installed(parent)) and find_spec(package) is not None


# ── types ────────────────────────────────────────────────────────────────────────────────────────

_QUALIFIERS = (
    typing.Annotated,
    typing.Required,
    typing.NotRequired,
    typing_extensions.Required,
    typing_extensions.NotRequired,
    typing_extensions.ReadOnly,
    typing.ClassVar,
)
_ARRAYS = (list, tuple, set, frozenset, collections.abc.Iterable, collections.abc.Sequence)
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_SPEECHLESS = (int, float, bool, type(None))
_SPOKEN = (str, datetime.datetime, datetime.date, datetime.timedelta, uuid.UUID, AnyUrl)
_DISCRIMINATORS = ("type", "role", "method", "jsonrpc_type")
_Seen: typing.TypeAlias = tuple[object, ...]
"""The types on the way here, one a step; None where a step enters no object."""


def _bare(kind: object) -> object:
    while True:
        if typing.get_origin(kind) in _QUALIFIERS:
            kind = typing.get_args(kind)[0]
        elif isinstance(kind, typing_extensions.TypeAliasType):
            kind = kind.__value__
        elif isinstance(kind, typing.NewType):
            kind = kind.__supertype__
        elif isinstance(kind, typing.TypeVar):
            kind = kind.__bound__ or object
        else:
            return kind


def _members(kind: object) -> Iterator[object]:
    """The members of a union, flat; a type that is no union is the only one."""
    kind = _bare(kind)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        for member in typing.get_args(kind):
            yield from _members(member)
    else:
        yield kind


def _place(kind: object, seen: _Seen, *, root: bool = False) -> Place:
    members = [member for member in _members(kind) if member is not type(None)]
    if any(typing.get_origin(member) is typing.Literal for member in members):
        # An open list of words: any other string is one, too, but no object is.
        members = [TEXT if member in (typing.Any, object) else member for member in members]
    if any(isinstance(member, type) and issubclass(member, os.PathLike) for member in members) or (
        any(typing.get_origin(member) is os.PathLike for member in members)
    ):
        return Place(kinds={BYTES} | ({TEXT} if str in members else set()))
    place = Place()
    for member in members:
        place.add(_one(member, seen, choice=not root or len(members) > 1))
    return place


def _one(kind: object, seen: _Seen, *, choice: bool) -> Place:
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if kind == TEXT or (
        isinstance(kind, type) and issubclass(kind, _SPOKEN) and not _is_enum(kind)
    ):
        return Place(kinds={TEXT})
    if origin is typing.Literal or _is_enum(kind):
        return Place(kinds={WORD} if _has_words(kind) else set())
    if kind in _SPEECHLESS:
        return Place()
    if kind is bytes or kind is typing.IO or origin is typing.IO:
        return Place(kinds={BYTES})
    if kind in (typing.Any, object):
        return Place(kinds={ANY})
    if kind in _ARRAYS or origin in _ARRAYS or _is_sequence(origin):
        return _array(arguments, seen)
    if kind in _MAPPINGS or origin in _MAPPINGS:
        inner = _place(arguments[1], (*seen, None)) if len(arguments) > 1 else Place(kinds={ANY})
        return Place(kinds={KEY}, below={"*": inner})
    if isinstance(kind, Mapping) or _fields(kind) is not None:
        return _object(kind, seen, choice=choice)
    raise TypeError(f"{kind!r} is of no sort that is known")


def _is_enum(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, enum.Enum)


def _has_words(kind: object) -> bool:
    values = typing.get_args(kind) or [member.value for member in kind]  # type: ignore[attr-defined]
    return any(isinstance(value, str) for value in values)


def _is_sequence(origin: object) -> bool:
    """Whether it is an SDK's own word for a sequence that is no string."""
    return getattr(origin, "__name__", "") == "SequenceNotStr"


def _array(arguments: tuple[object, ...], seen: _Seen) -> Place:
    inner = arguments[0] if arguments else object
    if list(_members(inner)) == [int]:
        return Place(kinds={INTEGERS})
    return Place(below={"[]": _place(inner, (*seen, None))})


def _object(kind: object, seen: _Seen, *, choice: bool) -> Place:
    if _is_written_as_text(kind):
        return Place(kinds={TEXT})
    if kind in seen:
        return Place(again={len(seen) - seen.index(kind)})
    fields = kind if isinstance(kind, Mapping) else _fields(kind)
    assert fields is not None
    step = _variant(fields) if choice else ""
    here = (*seen, kind, None) if step else (*seen, kind)
    inner = _extras(kind, here)
    for name, field in _spelled(kind, fields, seen):
        if not step.startswith(f"<{name}="):
            inner.below[name] = _place(field, here)
    inner.below = {name: place for name, place in inner.below.items() if not _is_empty(place)}
    return Place(below={step: inner}) if step else inner


def _is_written_as_text(kind: object) -> bool:
    """Whether a model is sent as one string: its serialiser says so."""
    decorators = getattr(kind, "__pydantic_decorators__", None)
    serialisers = decorators.model_serializers.values() if decorators else ()
    return any(
        typing_extensions.get_type_hints(each.func).get("return", str) is str
        for each in serialisers
        if each.info.mode == "plain"
    )


def _extras(kind: object, here: _Seen) -> Place:
    """What an object may hold beside its fields, where its type says so (PEP 728)."""
    extra = getattr(kind, "__extra_items__", None)
    if extra in (None, typing.Never, getattr(typing_extensions, "NoExtraItems", None)):
        return Place()
    return Place(kinds={KEY}, below={"*": _place(extra, here)})


def _spelled(kind: object, fields: Fields, seen: _Seen) -> Iterator[tuple[str, object]]:
    """Fields as they are sent: a dictionary's take the spelling of the model that holds it."""
    models = [one for one in seen if isinstance(one, type) and issubclass(one, BaseModel)]
    own = isinstance(kind, type) and issubclass(kind, BaseModel)
    spell = models[-1].model_config.get("alias_generator") if models and not own else None
    for name, field in fields.items():
        yield spell(name) if callable(spell) else name, field


def _is_empty(place: Place) -> bool:
    return not (place.kinds or place.again or place.below)


def _variant(fields: Fields) -> str:
    """The step that tells this object from others by a field with a word of its own."""
    for name in _DISCRIMINATORS:
        words = [
            word
            for member in _members(fields.get(name, int))
            if typing.get_origin(member) is typing.Literal
            for word in typing.get_args(member)
        ]
        if words and (len(words) == 1 or name == "type"):
            return f"<{name}={'|'.join(map(str, words))}>"
    return ""


@cache
def _fields(kind: object) -> Fields | None:
    """The fields of an object under their wire names; None for a type that is no object."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not getattr(kind, "__pydantic_fields_complete__", True):
            kind.model_rebuild()
        return {
            field.serialization_alias or field.alias or _annotated(field.metadata) or name: (
                field.annotation
            )
            for name, field in kind.model_fields.items()
            if not field.exclude
        }
    if isinstance(kind, type) and typing_extensions.is_typeddict(kind):
        hints = typing_extensions.get_type_hints(kind, include_extras=True)
        return {_wire_name(hint) or name: hint for name, hint in hints.items()}
    return None


def _wire_name(hint: object) -> str | None:
    while typing.get_origin(hint) in _QUALIFIERS:
        if name := _annotated(getattr(hint, "__metadata__", ())):
            return name
        hint = typing.get_args(hint)[0]
    return None


def _annotated(metadata: Iterable[object]) -> str | None:
    for data in metadata:
        alias = getattr(data, "alias", None)
        if isinstance(alias, str):
            return alias
    return None


# ── the APIs ─────────────────────────────────────────────────────────────────────────────────────


def without(named: str, *names: str) -> Callable[[], Fields]:
    """The fields of a model but for those that only its SDK knows."""

    def read() -> Fields:
        fields = _fields(load(named))
        assert fields is not None
        return {name: field for name, field in fields.items() if name not in names}

    return read


def parameters(named: str) -> Callable[[], Fields]:
    """The parameters of an SDK's method that go into the body."""

    def read() -> Fields:
        method = load(named)
        assert callable(method)
        hints = typing_extensions.get_type_hints(method, include_extras=True)
        names = inspect.signature(method).parameters
        return {
            name: hints[name] for name in names if name not in ("self", "request_options", "stream")
        }

    return read
