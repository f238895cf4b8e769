"""Texts of one event that clients join: they are filtered as one."""

from __future__ import annotations

from guardrail.answers.channels import Channel, Event, Where
from guardrail.answers.leaves import READ, rules_of, sink_of
from guardrail.answers.payloads import path_pattern
from guardrail.guard import Filter
from guardrail.protocols.fields import Leaf, Path
from guardrail.protocols.maps import Protocol


class Texts:
    """The texts of one payload that clients join: those of neighbours in an array."""

    def __init__(self, event: Event, protocol: Protocol, outgoing: Filter) -> None:
        self._event = event
        self._protocol = protocol
        self._filter = outgoing
        self._channels: dict[Path, tuple[int, Channel]] = {}
        self.where: dict[Path, Where] = {}

    def joins(self, leaf: Leaf) -> bool:
        """Whether a text is to be fed: clients join it to others, or numbers point into it."""
        return leaf.action in READ and (
            self._position(leaf.path) is not None or path_pattern(leaf.path) in self._protocol.cited
        )

    def _position(self, path: Path) -> int | None:
        position = path[-2] if len(path) > 2 and path[-3] in self._protocol.joined else None
        return position if isinstance(position, int) else None

    def feed(self, leaf: Leaf) -> None:
        """Takes the next text of the event."""
        position = self._position(leaf.path)
        key = leaf.path if position is None else (*leaf.path[:-2], leaf.path[-1])
        position = position or 0
        last, channel = self._channels.get(key, (-1, None))
        if channel is None or position > last + 1:
            if channel is not None:
                channel.flush()
            rules = rules_of(leaf, sink_of(leaf, None, self._protocol), self._protocol)
            transformer = self._filter.transformer(**rules)
            channel = Channel(transformer, keeps=counts_bytes(self._protocol))
        self._channels[key] = position, channel
        self.where[leaf.path] = channel, channel.fed
        if leaf.text:
            channel.feed(self._event, leaf.path, leaf.text)

    def flush(self) -> None:
        """Ends every text of the event."""
        for _, channel in self._channels.values():
            channel.flush()


def counts_bytes(protocol: Protocol) -> bool:
    """Whether some offset of the protocol counts bytes of UTF-8 and not characters."""
    return any(row.in_bytes for row in protocol.offsets)
