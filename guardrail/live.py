"""The policies in force, and how others take their place while requests are served.

A thread looks at the files every few seconds. What has changed, and then kept still for one more
look, is loaded and checked beside the requests; what is sound takes the place of what was in force
in one step, and what is not leaves it as it is. An exchange asks once which policies decide it, and
keeps to them; on a WebSocket that is each frame of the client. Each process looks for itself.

Where policies must be signed, what is not, or no longer, or is older than what was in force, is not
sound. Files are read once then: what was verified is what is loaded.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from guardrail.errors import ConfigError, PolicyUnavailable
from guardrail.exchange import Deployment
from guardrail.files import Entry
from guardrail.policy.loader import PolicyStore
from guardrail.policy.rollout import Rollout, read_rollout
from guardrail.policy.serials import Trust
from guardrail.policy.signing import Signed, check_digest, check_succession, expiry
from guardrail.problems import Problem

_logger = logging.getLogger(__name__)

_FILES = 4096
"""Files of a folder that are looked at, at most."""


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where policies come from: the configuration's folders, a rollout's, and a shadow's.

    `load` gives the policies of two folders, policies/ and regions/, checked for serving. `trust`
    says who may sign them, None where they need not be signed.
    """

    policies: Path
    regions: Path
    rollout: Path | None
    shadow: Path | None
    load: Callable[[Entry, Entry], PolicyStore] = field(repr=False)
    trust: Trust | None = None
    clock: Callable[[], datetime] = utc_now

    def look(self) -> Hashable:
        """What the files look like, without reading them: paths, times and sizes."""
        try:
            rollout = self._rollout()
        except ConfigError:
            rollout = Rollout()
        named = (Path(one.path) for one in (rollout.stable, rollout.candidate) if one)
        others = [one for one in (self.shadow, *named) if one]
        pairs = [(self.policies, self.regions), *map(_pair, others)]
        places = [folder for pair in pairs for folder in pair]
        places += [self.rollout] if self.rollout else []
        for policies, _ in pairs if self.trust else ():
            places += self.trust.marks(policies) if self.trust else ()
        return tuple(mark for place in places for mark in _marks(place))

    def _rollout(self) -> Rollout:
        return read_rollout(self.rollout) if self.rollout else Rollout()

    def read(self) -> Loaded:
        """Loads all that is named. What is wrong with a candidate or shadow leaves it out.

        Raises:
            ConfigError, PolicyUnavailable: the policies that must decide cannot be loaded.
        """
        rollout = self._rollout()
        own = (self.policies, self.regions)
        stable = self._open(*(_pair(Path(rollout.stable.path)) if rollout.stable else own))
        if self.trust and stable.signed:
            self.trust.check(stable.signed)
        problems: list[Problem] = []
        candidate = shadow = None
        if rollout.candidate:
            folder = Path(rollout.candidate.path)
            candidate = self._beside(folder, "the candidate", problems, after=stable.signed)
            if candidate and candidate.digest != rollout.candidate.digest:
                candidate = None
                said = "the candidate is not what the rollout began with; start it again"
                problems.append(Problem(code="changed-candidate", message=said))
        if self.shadow:
            shadow = self._beside(self.shadow, "the shadow", problems)
        return Loaded(stable, candidate, shadow, rollout, tuple(problems))

    def adopt(self, loaded: Loaded) -> None:
        """Notes that what was read is in force: an older set will not be taken from then on.

        Raises:
            ConfigError: a later set was in force meanwhile, or that cannot be noted.
        """
        if self.trust and loaded.stable.signed:
            self.trust.advance(loaded.stable.signed)

    def _open(self, policies: Path, regions: Path) -> PolicyStore:
        if self.trust is None:
            return self.load(policies, regions)
        tree, signed = self.trust.open(policies, regions, at=self.clock())
        store = self.load(tree / policies.name, tree / regions.name)
        check_digest(signed, store.digest)
        return replace(store, signed=signed)

    def _beside(
        self, folder: Path, name: str, problems: list[Problem], *, after: Signed | None = None
    ) -> PolicyStore | None:
        try:
            store = self._open(*_pair(folder))
            if store.signed and after:
                check_succession(store.signed, (after.serial, after.digest))
        except (ConfigError, PolicyUnavailable) as error:
            problems += [
                replace(one, file="", line=0, column=0, rule="", message=f"{name}: {one}")
                for one in _problems(error)
            ]
            return None
        return store


def _pair(folder: Path) -> tuple[Path, Path]:
    return folder / "policies", folder / "regions"


def _marks(place: Path) -> Iterator[Hashable]:
    """One mark per file of a folder, or of a file; what is not there has one, too."""
    try:
        files = sorted(place.rglob("*"))[:_FILES] if place.is_dir() else [place]
    except OSError:
        files = [place]
    for file in files:
        try:
            stat = file.stat()
            yield str(file), stat.st_mtime_ns, stat.st_size, stat.st_ino
        except OSError:
            yield str(file), None


def _problems(error: ConfigError | PolicyUnavailable) -> Sequence[Problem]:
    if isinstance(error, ConfigError):
        return error.details
    return (Problem(code="policy-engine", message=str(error)),)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Policies that were read together: those that decide, and those that may beside them."""

    stable: PolicyStore
    candidate: PolicyStore | None
    shadow: PolicyStore | None
    rollout: Rollout
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What decides now, since when, and what is wrong with it or what would take its place.

    `codes` are the kinds of these problems. `expired` says that the signature of what should decide
    holds no more, so that nothing may leave.
    """

    stable: Deployment
    candidate: Deployment | None
    rollout: Rollout
    since: datetime
    problems: tuple[str, ...] = ()
    codes: frozenset[str] = frozenset()
    expired: bool = False

    @property
    def signed(self) -> Signed | None:
        """What the signature of the policies in force says."""
        return self.stable.guard.policies.signed

    def at(self, time: datetime) -> InForce:
        """The same at a time, when signatures may have expired: a candidate then decides nothing,
        and for the policies in force nothing takes their place.
        """
        now = self
        if _expired(self.stable, time):
            assert self.signed is not None
            now = now.told([expiry(self.signed)], expired=True)
        if _expired(self.candidate, time):
            said = "the candidate: its signature has expired; sign it again, or roll back"
            now = now.told([Problem(code="expired", message=said)], candidate=None)
        return now

    def told(self, problems: Sequence[Problem], **changes: Any) -> InForce:
        """The same with more problems."""
        return replace(
            self,
            problems=(*self.problems, *map(str, problems)),
            codes=self.codes | {one.code for one in problems},
            **changes,
        )


def _expired(deployment: Deployment | None, at: datetime) -> bool:
    signed = deployment.guard.policies.signed if deployment else None
    return signed is not None and signed.expired(at)


class Live:
    """Gives each exchange its deployment, and puts new policies into force between exchanges.

    Without `folders` what there is at the beginning stays. `every` is how many seconds pass between
    two looks; 0: none is taken. Safe to use from several threads.

    Policies whose signature expires stay where they are, and let nothing leave.
    """

    def __init__(
        self,
        deployment: Deployment,
        folders: Folders | None = None,
        loaded: Loaded | None = None,
        *,
        every: float = 0.0,
    ) -> None:
        self._base = deployment
        self._folders = folders
        self._every = every
        self._starting = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen: Hashable = folders.look() if folders else None
        self._moving: Hashable = None
        self._clock = folders.clock if folders else utc_now
        self._told: Hashable = None
        self._now = InForce(
            stable=deployment, candidate=None, rollout=Rollout(), since=self._clock()
        )
        if loaded:
            self._now = self._in_force(loaded)
        self._tell_expiry()

    @property
    def now(self) -> InForce:
        """What is in force at this moment."""
        return self._now.at(self._clock())

    @property
    def expiring(self) -> bool:
        """Whether the signature of what is in force expires within two weeks, or has expired."""
        signed = self._now.signed
        return signed is not None and signed.expiring(self._clock())

    @property
    def days_left(self) -> int | None:
        """Whole days until the signature of what is in force expires; None: it has none."""
        signed = self._now.signed
        return signed.days_left(self._clock()) if signed else None

    def deployment(self, conversation: str = "") -> Deployment:
        """What decides a conversation: the candidate's share of them tries the candidate."""
        self._start()
        now = self.now
        if now.candidate is not None and now.rollout.tries(conversation):
            return now.candidate
        return now.stable

    def close(self) -> None:
        """Looks no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """Looks at the files once, and puts what is new, sound and at rest into force."""
        folders = self._folders
        if folders is None:
            return
        self._tell_expiry()
        found = folders.look()
        if found == self._seen:
            self._moving = None
            return
        if found != self._moving:  # somebody may be writing still
            self._moving = found
            return
        self._seen, self._moving = found, None
        try:
            loaded = folders.read()
            folders.adopt(loaded)
        except (ConfigError, PolicyUnavailable) as error:
            self._refuse(_problems(error))
        else:
            self._now = self._in_force(loaded)
            if loaded.problems:
                self._refuse(loaded.problems)
            _logger.info("policies %s are in force", loaded.stable.digest[:12])

    def _start(self) -> None:
        """Starts to look, in the process that serves; a fork takes no thread with it."""
        if self._thread is not None or self._folders is None or self._every <= 0:
            return
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="guardrail-policies", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            try:
                self.look()
            except Exception as error:  # whatever it is, what is in force stays in force
                said = f"policies cannot be looked at: {type(error).__name__}"
                self._refuse([Problem(code="policy-engine", message=said)])

    def _refuse(self, problems: Sequence[Problem]) -> None:
        self._now = replace(self._now, problems=(), codes=frozenset()).told(problems)
        _logger.warning(
            "policies stay as they are: %d problems, the first at %s: %s",
            len(problems),
            str(problems[0]).partition(" ")[0].rstrip(":"),
            problems[0].code,
        )

    def _tell_expiry(self) -> None:
        """Logs once for each set that it will expire, and once that it has."""
        signed, at = self._now.signed, self._clock()
        if signed is None or not signed.expiring(at):
            return
        expired = signed.expired(at)
        if (signed, expired) == self._told:
            return
        self._told = (signed, expired)
        if expired:
            _logger.error("nothing may leave: %s", expiry(signed))
        else:
            _logger.warning(
                "the signature of the policies, serial %d, expires in %d days, at %s",
                signed.serial,
                signed.days_left(at),
                signed.expires_at.isoformat(),
            )

    def _in_force(self, loaded: Loaded) -> InForce:
        def deployment(store: PolicyStore) -> Deployment:
            guard = replace(self._base.guard, policies=store, shadow=loaded.shadow)
            return replace(self._base, guard=guard)

        return InForce(
            stable=deployment(loaded.stable),
            candidate=deployment(loaded.candidate) if loaded.candidate else None,
            rollout=loaded.rollout,
            since=self._clock(),
        )
