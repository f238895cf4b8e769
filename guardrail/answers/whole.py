"""Whole answers: one payload, one text, or bytes that are given back as they came."""

from __future__ import annotations

import codecs
from typing import Protocol as Interface

from guardrail.answers.channels import Changes, Event
from guardrail.answers.events import EventAnswer
from guardrail.answers.joined import Texts
from guardrail.answers.leaves import changeable, is_plain, rules_of, sink_of, tool_of
from guardrail.answers.offsets import move_offsets
from guardrail.answers.payloads import no_text
from guardrail.errors import Refusal
from guardrail.guard import Filter
from guardrail.protocols.bodies import read_body
from guardrail.protocols.fields import Action, Path, leaves, rewrite
from guardrail.protocols.maps import Protocol
from guardrail.protocols.payload import Json
from guardrail.remembering import Witness


class Answer(Interface):
    """Filters one answer; it holds state and belongs to one exchange."""

    def feed(self, data: bytes) -> bytes:
        """Takes the next bytes and gives those that are safe to release."""
        ...

    def close(self) -> bytes:
        """Ends the answer and gives the rest."""
        ...


class WholeAnswer:
    """An answer that is read to its end before anything is released."""

    def __init__(
        self,
        *,
        content_type: str,
        protocol: Protocol,
        outgoing: Filter,
        limit: int,
        witness: Witness | None = None,
    ) -> None:
        self._content_type = content_type
        self._protocol = protocol
        self._filter = outgoing
        self._limit = limit
        self._witness = witness
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """Keeps the bytes; raises Refusal (502) beyond the limit."""
        self._size += len(data)
        if self._size > self._limit:
            raise Refusal(502, "upstream_too_large", "the answer is too large to be inspected")
        self._parts.append(data)
        return b""

    def close(self) -> bytes:
        """Gives the whole answer, filtered. Raises Refusal (502) if it cannot be read."""
        raw = b"".join(self._parts)
        if not raw.strip():
            return raw
        try:
            body = read_body(raw, content_type=self._content_type)
        except Refusal as refusal:
            raise Refusal(502, "upstream_uninspectable", refusal.message) from None
        payload = body.payload
        if self._protocol.chunks and isinstance(payload, list):
            stream = EventAnswer(
                protocol=self._protocol, outgoing=self._filter, witness=self._witness
            )
            said: Json = stream.rewritten(payload)
        else:
            if self._witness:
                self._witness.hear_whole(payload, leaves(payload, self._protocol.response))
            said = rewrite(payload, _filtered(payload, self._protocol, self._filter))
        return raw if said is payload else body.encode(said)


def _filtered(payload: Json, protocol: Protocol, outgoing: Filter) -> Changes:
    """The leaves of a whole payload that filtering changes."""
    event = Event(payload, no_text, b"")
    texts = Texts(event, protocol, outgoing)
    restated: list[Path] = []
    for leaf in leaves(payload, protocol.response):
        if leaf.action is Action.DERIVED:
            # A word alone may be half of what is masked in the text that it restates.
            rules = rules_of(leaf, None, protocol)
            if leaf.text and outgoing.transform(leaf.text, **rules) == leaf.text:
                restated.append(leaf.path)
            else:
                event.changes[leaf.path] = None
        elif is_plain(leaf):
            continue
        elif texts.joins(leaf):
            texts.feed(leaf)
        else:
            sink = sink_of(leaf, tool_of(payload, leaf), protocol)
            text = outgoing.transform(leaf.text, **rules_of(leaf, sink, protocol))
            if text != leaf.text:
                event.changes[leaf.path] = changeable(leaf, text)
    texts.flush()
    move_offsets(event, protocol, lambda path, row, held: texts.where.get(path))
    if event.changes:
        event.changes.update(dict.fromkeys(restated))
    return event.changes


class TextAnswer:
    """Plain text as it streams; UTF-8 may be cut anywhere."""

    def __init__(self, outgoing: Filter) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._transformer = outgoing.transformer(tool=None)

    def feed(self, data: bytes) -> bytes:
        """Gives the text that no later byte can change."""
        return self._transformer.feed(self._decoder.decode(data)).encode("utf-8", "replace")

    def close(self) -> bytes:
        """Gives the rest."""
        rest = self._transformer.feed(self._decoder.decode(b"", final=True))
        return (rest + self._transformer.flush()).encode("utf-8", "replace")


class UntouchedAnswer:
    """A picture, a sound or a font: passed as it is, for there is no text in it."""

    def feed(self, data: bytes) -> bytes:
        """Gives the bytes themselves."""
        return data

    def close(self) -> bytes:
        """Gives nothing more."""
        return b""
