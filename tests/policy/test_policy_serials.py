"""The highest serial that was in force is kept, by several processes, and never falls."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from guardrail.errors import ConfigError
from guardrail.policy.serials import advance, read_highest
from guardrail.policy.signing import Signed

DIGEST = "ab" * 32


def signed_with(serial: int, digest: str = DIGEST) -> Signed:
    time = datetime(2026, 12, 1, tzinfo=UTC)
    return Signed(serial=serial, digest=digest, key="k", issued_at=time, expires_at=time)


def test_the_serial_grows_and_never_falls(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    assert read_highest(file) is None
    for serial in (3, 3, 5):
        advance(file, signed_with(serial))
        assert read_highest(file) == (serial, DIGEST)
    for older in (signed_with(4), signed_with(5, "cd" * 32)):
        with pytest.raises(ConfigError, match="in force"):
            advance(file, older)
        assert read_highest(file) == (5, DIGEST)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_is_noted_already_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    advance(file, signed_with(3))
    before = file.stat()
    advance(file, signed_with(3))
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "null", "7", "[" * 4000, " " * 5000),
        json.dumps({"format": 1, "serial": 3}),
        json.dumps({"format": 2, "serial": 3, "digest": DIGEST}),
        json.dumps({"format": 1, "serial": 0, "digest": DIGEST}),
        json.dumps({"format": 1, "serial": "3", "digest": DIGEST}),
        json.dumps({"format": 1, "serial": True, "digest": DIGEST}),
        json.dumps({"format": 1, "serial": 3, "digest": "x"}),
    ],
    ids=lambda text: text[:20],
)
def test_a_file_that_is_none_of_ours_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    file = tmp_path / "state.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"state\.json: not what guardrail wrote.*backup"):
        read_highest(file)
    with pytest.raises(ConfigError, match=r"state\.json: not what guardrail wrote.*backup"):
        advance(file, signed_with(9))
    assert file.read_text() == content


def test_a_file_that_cannot_be_read_or_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_highest(tmp_path / "folder")
    with pytest.raises(ConfigError, match="cannot be written: No such file"):
        advance(tmp_path / "gone" / "state.json", signed_with(1))


_RACE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from guardrail.errors import ConfigError
from guardrail.policy.serials import advance
from guardrail.policy.signing import Signed
time = datetime(2026, 12, 1, tzinfo=UTC)
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
for serial in range(int(sys.argv[2]), 200, 2):
    try:
        advance(Path(sys.argv[1]),
                Signed(serial=serial, digest="ab" * 32, key="k", issued_at=time, expires_at=time))
        print(serial)
    except ConfigError as error:
        assert error.details[0].code == "rolled-back"
"""


def test_two_processes_never_undo_what_the_other_wrote(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", _RACE, str(file), str(first)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for first in (1, 2)
    ]
    for one in both:
        assert one.stdout
        assert one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin
        one.stdin.write("go\n")
        one.stdin.flush()
    told = [[int(serial) for serial in one.communicate()[0].split()] for one in both]
    assert all(one.returncode == 0 for one in both)
    assert read_highest(file) == (199, DIGEST)
    assert told[0][-1] == 199
    assert all(one == sorted(one) for one in told)


def test_a_later_set_is_not_undone_by_who_read_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "state.json"
    advance(file, signed_with(3))
    reads = [(3, DIGEST)]  # what a process saw just before another wrote

    def stale(path: Path) -> tuple[int, str] | None:
        return reads.pop() if reads else read_highest(path)

    advance(file, signed_with(8))
    monkeypatch.setattr("guardrail.policy.serials.read_highest", stale)
    with pytest.raises(ConfigError, match="lower than 8"):
        advance(file, signed_with(5))
    assert read_highest(file) == (8, DIGEST)
