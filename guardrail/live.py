"""The policies in force, and how others take their place while requests are served.

A thread looks at the files every few seconds. What has changed, and then kept still for one more
look, is loaded and checked beside the requests; what is sound takes the place of what was in force
in one step, and what is not leaves it as it is. An exchange asks once which policies decide it, and
keeps to them; on a WebSocket that is each frame of the client. Each process looks for itself.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from guardrail.errors import ConfigError, PolicyUnavailable
from guardrail.exchange import Deployment
from guardrail.policy.loader import PolicyStore
from guardrail.policy.rollout import Rollout, read_rollout

_logger = logging.getLogger(__name__)

_FILES = 4096
"""Files of a folder that are looked at, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where policies come from: the configuration's folders, a rollout's, and a shadow's.

    `load` gives the policies of two folders, policies/ and regions/, checked for serving.
    """

    policies: Path
    regions: Path
    rollout: Path | None
    shadow: Path | None
    load: Callable[[Path, Path], PolicyStore] = field(repr=False)

    def look(self) -> Hashable:
        """What the files look like, without reading them: paths, times and sizes."""
        places = [self.policies, self.regions, *self._named(self.shadow)]
        places += [self.rollout] if self.rollout else []
        try:
            rollout = self._rollout()
        except ConfigError:
            rollout = Rollout()
        for folder in (rollout.stable, rollout.candidate):
            places += self._named(Path(folder.path) if folder else None)
        return tuple(mark for place in places for mark in _marks(place))

    def _rollout(self) -> Rollout:
        return read_rollout(self.rollout) if self.rollout else Rollout()

    @staticmethod
    def _named(folder: Path | None) -> list[Path]:
        return [folder / "policies", folder / "regions"] if folder else []

    def read(self) -> Loaded:
        """Loads all that is named. What is wrong with a candidate or shadow leaves it out.

        Raises:
            ConfigError, PolicyUnavailable: the policies that must decide cannot be loaded.
        """
        rollout = self._rollout()
        stable = (
            self.load(*self._named(Path(rollout.stable.path)))
            if rollout.stable
            else self.load(self.policies, self.regions)
        )
        problems: list[str] = []
        candidate = shadow = None
        if rollout.candidate:
            candidate = self._beside(Path(rollout.candidate.path), "the candidate", problems)
            if candidate and candidate.digest != rollout.candidate.digest:
                candidate = None
                problems.append("the candidate is not what the rollout began with; start it again")
        if self.shadow:
            shadow = self._beside(self.shadow, "the shadow", problems)
        return Loaded(stable, candidate, shadow, rollout, tuple(problems))

    def _beside(self, folder: Path, name: str, problems: list[str]) -> PolicyStore | None:
        try:
            return self.load(*self._named(folder))
        except (ConfigError, PolicyUnavailable) as error:
            problems += [f"{name}: {one}" for one in _problems(error)]
            return None


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


def _problems(error: ConfigError | PolicyUnavailable) -> Sequence[str]:
    return error.problems if isinstance(error, ConfigError) else (str(error),)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Policies that were read together: those that decide, and those that may beside them."""

    stable: PolicyStore
    candidate: PolicyStore | None
    shadow: PolicyStore | None
    rollout: Rollout
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What decides now, since when, and what is wrong with what would take its place."""

    stable: Deployment
    candidate: Deployment | None
    rollout: Rollout
    since: datetime
    problems: tuple[str, ...] = ()


class Live:
    """Gives each exchange its deployment, and puts new policies into force between exchanges.

    Without `folders` what there is at the beginning stays. `every` is how many seconds pass between
    two looks; 0: none is taken. Safe to use from several threads.
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
        self._now = InForce(
            stable=deployment, candidate=None, rollout=Rollout(), since=datetime.now(UTC)
        )
        if loaded:
            self._now = self._in_force(loaded)

    @property
    def now(self) -> InForce:
        """What is in force at this moment."""
        return self._now

    def deployment(self, conversation: str = "") -> Deployment:
        """What decides a conversation: the candidate's share of them tries the candidate."""
        self._start()
        now = self._now
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
                self._refuse([f"policies cannot be looked at: {type(error).__name__}"])

    def _refuse(self, problems: Sequence[str]) -> None:
        self._now = replace(self._now, problems=tuple(problems))
        _logger.warning(
            "policies stay as they are: %d problems, the first at %s",
            len(problems),
            problems[0].partition(" ")[0].rstrip(":"),
        )

    def _in_force(self, loaded: Loaded) -> InForce:
        def deployment(store: PolicyStore) -> Deployment:
            guard = replace(self._base.guard, policies=store, shadow=loaded.shadow)
            return replace(self._base, guard=guard)

        return InForce(
            stable=deployment(loaded.stable),
            candidate=deployment(loaded.candidate) if loaded.candidate else None,
            rollout=loaded.rollout,
            since=datetime.now(UTC),
        )
