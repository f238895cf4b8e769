"""What one exchange takes over from earlier ones, and what it leaves to later ones.

What a provider keeps under an id cannot be read. But where all of it went through guardrail, for
the same caller, to the same endpoint, under the same facts, it is what policy let go there already,
and its placeholders are in the vault that is kept under that id. And what an endpoint wrote itself
tells it nothing when it comes back to it word for word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from guardrail.protocols.fields import Action, Leaf, Path
from guardrail.protocols.maps import Protocol, StatePlaces
from guardrail.protocols.payload import Json, JsonNumber
from guardrail.transform.vault import Entry, Vault
from guardrail.transform.vaults import Kept, Reference, Vaults
from guardrail.types import RequestContext

CONVERSATION = "guardrail.conversation"
"""The space of the ids that callers give their conversations in a header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a request names at the provider, where it does so, and what is kept of it.

    `path` is the leaf of the body; None where the address names it. `shared`: requests add to it.
    """

    reference: Reference
    path: Path | None
    shared: bool
    kept: Kept | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """How a request looks to some endpoints: the vault, what of it they hold, and what of that is
    all known (`given`: the leaves of the body that lead there, `address`: ids in the address).

    `injected`: something that the request names, wherever it lies, speaks to the model.
    """

    vault: Vault = field(repr=False)
    held: tuple[Named, ...] = ()
    given: frozenset[Path] = frozenset()
    address: frozenset[str] = field(default=frozenset(), repr=False)
    injected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What is remembered when a request is decided. `own` is the caller's own conversation.

    Without `vaults` nothing is.
    """

    vaults: Vaults | None
    context: RequestContext
    base: Vault = field(repr=False)
    own: Kept | None = None
    named: tuple[Named, ...] = ()

    def at(self, endpoints: frozenset[str]) -> Case:
        """How the request looks where it may go to any of these endpoints."""
        held = tuple(
            one for one in self.named if one.kept and endpoints and endpoints <= one.kept.endpoints
        )
        injected = any(one.kept.injected for one in self.named if one.kept)
        if not held:
            return Case(vault=self.base, injected=injected)
        try:
            vault = Vault((*self.base, *(e for one in held if one.kept for e in one.kept.entries)))
        except ValueError:  # one placeholder would stand for two values
            return Case(vault=self.base, injected=injected)
        facts = _facts(self.context)
        known = [o for o in held if o.kept and o.kept.inspected and o.kept.facts == facts]
        return Case(
            vault=vault,
            held=held,
            given=frozenset(one.path for one in known if one.path is not None),
            address=frozenset(one.reference.id for one in known if one.path is None),
            injected=injected,
        )

    def is_astray(self, case: Case, endpoints: frozenset[str]) -> bool:
        """Whether the request may add to something shared whose placeholders it does not share."""
        return any(
            one.shared and one.kept and one not in case.held and one.kept.endpoints & endpoints
            for one in self.named
        )

    def wrote(self, endpoints: frozenset[str], leaf: Leaf) -> bool:
        """Whether the one endpoint wrote this thought itself."""
        if self.vaults is None or leaf.action is not Action.THOUGHT or len(endpoints) != 1:
            return False
        context = self.context
        (endpoint,) = endpoints
        return self.vaults.recalls(context.principal, endpoint, digest(leaf.text), now=context.now)

    def save(
        self, case: Case, endpoints: frozenset[str], *, inspected: bool, injected: bool
    ) -> bool:
        """Keeps what the request adds to shared vaults, before anything leaves.

        Gives False where somebody else did in the meantime: what was numbered must be undone.

        Raises:
            VaultUnavailable: it cannot be kept, so nothing may leave.
        """
        if self.vaults is None:
            return True
        entries = tuple(case.vault)
        kept: list[tuple[Reference, Kept, Kept]] = []
        if self.own is not None:
            reference = Reference(space=CONVERSATION, id=self.context.conversation)
            kept.append((reference, self.own, replace(self.own, entries=entries)))
        for one in case.held:
            if one.shared and one.kept:
                now = replace(
                    one.kept,
                    entries=entries,
                    endpoints=one.kept.endpoints & endpoints,
                    inspected=one.kept.inspected and inspected,
                    injected=one.kept.injected or injected,
                )
                kept.append((one.reference, one.kept, now))
        at, owner = self.context.now, self.context.principal
        return all(
            self.vaults.keep(owner, reference, new, now=at)
            for reference, old, new in kept
            if new != old or self.vaults.is_ageing(old, now=at)
        )


def recall(
    vaults: Vaults | None,
    context: RequestContext,
    protocol: Protocol,
    *,
    payload: Json,
    path: str,
    base: Vault,
) -> Memory:
    """Gives what is remembered of what a request to `path` names.

    Raises:
        VaultUnavailable: the store does not answer, so that numbers might be given twice.
    """
    if vaults is None:
        return Memory(vaults=None, context=context, base=base)
    own = None
    if context.conversation != context.exchange:
        reference = Reference(space=CONVERSATION, id=context.conversation)
        found = vaults.open(context.principal, reference, now=context.now)
        own = found or Kept()
        base = Vault(own.entries)
    named = [
        replace(one, kept=vaults.open(context.principal, one.reference, now=context.now))
        for one in _named(protocol, payload, path)
    ]
    return Memory(vaults=vaults, context=context, base=base, own=own, named=tuple(named))


def _named(protocol: Protocol, payload: Json, path: str) -> Iterator[Named]:
    places = protocol.state
    if places is None:
        return
    for name in places.names:
        value = _at(payload, name)
        if isinstance(value, str) and value:
            yield Named(
                reference=Reference(space=places.space, id=value),
                path=tuple(name.split(".")),
                shared=name in places.shared,
                kept=None,
            )
    address = protocol.lives_at(path)
    for segment in places.path if address else ():
        value = address.groupdict().get(segment) if address else None
        if value:
            yield Named(
                reference=Reference(space=places.space, id=value),
                path=None,
                shared=segment in places.shared,
                kept=None,
            )


def _facts(context: RequestContext) -> tuple[str, ...]:
    """What a policy is told of a request besides its data: what went under other facts may not."""
    return (
        context.purpose,
        context.basis,
        context.origin,
        str(context.age),
        *sorted(f"consent:{consent}" for consent in context.consents),
        *sorted(f"filing:{filing}" for filing in context.filings),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """What an answer begins: vaults under new ids, and what the endpoint wrote."""

    context: RequestContext
    kept: tuple[tuple[Reference, Kept], ...] = ()
    endpoint: str = ""
    said: tuple[bytes, ...] = ()

    def keep(self, vaults: Vaults) -> None:
        """Keeps it all. Raises VaultUnavailable; later requests then do without."""
        context = self.context
        vaults.put(
            context.principal,
            self.kept,
            endpoint=self.endpoint,
            said=self.said,
            now=context.now,
        )


class Witness:
    """Hears an answer as the endpoint wrote it, and tells what later requests may name or repeat.

    `named` are ids that the request itself named: what is kept under them is kept already.
    """

    def __init__(
        self,
        protocol: Protocol,
        *,
        context: RequestContext,
        entries: tuple[Entry, ...],
        endpoints: frozenset[str],
        inspected: bool,
        injected: bool = False,
        named: Iterable[Reference] = (),
        keeps: bool = True,
    ) -> None:
        self._protocol = protocol
        self._places = protocol.state if keeps else None
        self._ends = protocol.ends | (protocol.rests.kinds if protocol.rests else frozenset())
        self._context = context
        self._kept = Kept(
            entries=entries,
            endpoints=endpoints,
            facts=_facts(context),
            inspected=inspected,
            injected=injected,
        )
        self._known = set(named)
        self._new: list[Reference] = []
        self._open: dict[Path, hashlib._Hash] = {}
        self._said: list[bytes] = []

    def hear_whole(self, payload: Json, leaves: Iterable[Leaf]) -> None:
        """Takes a whole answer."""
        self._take_ids(payload, self._places.ids if self._places else ())
        for leaf in leaves:
            if leaf.action is Action.THOUGHT and leaf.text:
                self._said.append(digest(leaf.text))

    def hear_event(self, payload: Json, leaves: Iterable[Leaf]) -> None:
        """Takes an event of a stream, with its pieces of longer texts."""
        self._take_ids(payload, self._places.event_ids if self._places else ())
        for leaf in leaves:
            if leaf.action is not Action.THOUGHT or not leaf.text:
                continue
            if leaf.piece:
                self._open.setdefault(self._channel(payload), _hash()).update(_bytes(leaf.text))
            else:
                self._said.append(digest(leaf.text))
        if self._open and _plain(_at(payload, self._protocol.kind)) in self._ends:
            ended = self._channel(payload)
            for key in [k for k in self._open if k == ended or not any(ended)]:
                self._said.append(self._open.pop(key).digest())

    def leave(self) -> Leaving | None:
        """What was heard since the last time, None if nothing."""
        new, self._new = self._new, []
        said, self._said = self._said, []
        endpoints = self._kept.endpoints
        if not new and not (said and len(endpoints) == 1):
            return None
        return Leaving(
            context=self._context,
            kept=tuple((reference, self._kept) for reference in new),
            endpoint=next(iter(endpoints)),
            said=tuple(said) if len(endpoints) == 1 else (),
        )

    def _take_ids(self, payload: Json, places: Iterable[str]) -> None:
        for place in places:
            value = _at(payload, place)
            if self._places and isinstance(value, str) and 0 < len(value) <= _LONGEST_ID:
                reference = Reference(space=self._places.space, id=value)
                if reference not in self._known:
                    self._known.add(reference)
                    self._new.append(reference)

    def _channel(self, payload: Json) -> Path:
        return tuple(_plain(_at(payload, name)) for name in self._protocol.channel)


_LONGEST_ID = 512


def keeps(places: StatePlaces | None, payload: Json) -> bool:
    """Whether the provider keeps what answers this request."""
    return places is not None and not (places.unless and _at(payload, places.unless) is False)


def digest(text: str) -> bytes:
    """The digest of a text, the same however a stream cuts it, within a character too."""
    hashed = _hash()
    hashed.update(_bytes(text))
    return hashed.digest()


def _hash() -> hashlib._Hash:
    return hashlib.sha256()


def _bytes(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def _at(payload: Json, dotted: str) -> Json:
    for name in dotted.split("."):
        payload = payload.get(name) if isinstance(payload, dict) else None
    return payload


def _plain(value: Json) -> str:
    if isinstance(value, JsonNumber):
        return value.lexeme
    return value if isinstance(value, str) else ""
