"""The guard that keeps the tests on this machine does what it says."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import loopback_only
import pytest
from loopback_only import NetworkRefused

ELSEWHERE = "203.0.113.1"
"""An address that belongs to nobody. Source: RFC 5737, https://www.rfc-editor.org/rfc/rfc5737."""


@pytest.fixture
def refused() -> Iterator[list[str]]:
    """What was refused, forgiven when the test ends: here it is what the test is about."""
    yield loopback_only.refused
    loopback_only.refused.clear()


def udp() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def tcp6() -> socket.socket:
    return socket.socket(socket.AF_INET6)


@pytest.mark.parametrize(
    ("expected", "leave"),
    [
        pytest.param(
            f"{ELSEWHERE}:443", lambda: socket.create_connection((ELSEWHERE, 443)), id="connect"
        ),
        pytest.param(
            f"{ELSEWHERE}:443", lambda: socket.socket().connect((ELSEWHERE, 443)), id="connect-raw"
        ),
        pytest.param(
            f"{ELSEWHERE}:80", lambda: socket.socket().connect_ex((ELSEWHERE, 80)), id="connect-ex"
        ),
        pytest.param("2001:db8::1:443", lambda: tcp6().connect(("2001:db8::1", 443)), id="ipv6"),
        pytest.param(f"{ELSEWHERE}:53", lambda: udp().sendto(b"", (ELSEWHERE, 53)), id="sendto"),
        pytest.param(
            f"{ELSEWHERE}:53", lambda: udp().sendmsg([b""], [], 0, (ELSEWHERE, 53)), id="sendmsg"
        ),
        pytest.param("0.0.0.0:0", lambda: socket.socket().bind(("0.0.0.0", 0)), id="bind-any"),
        pytest.param("('', 0)", lambda: socket.socket().bind(("", 0)), id="bind-empty"),
        pytest.param(
            "publicsuffix.org:443",
            lambda: socket.getaddrinfo("publicsuffix.org", 443),
            id="getaddrinfo",
        ),
        pytest.param(
            "publicsuffix.org",
            lambda: socket.gethostbyname("publicsuffix.org"),
            id="gethostbyname",
        ),
        pytest.param(ELSEWHERE, lambda: socket.gethostbyaddr(ELSEWHERE), id="gethostbyaddr"),
        pytest.param(
            f"{ELSEWHERE}:443", lambda: socket.getnameinfo((ELSEWHERE, 443), 0), id="getnameinfo"
        ),
        pytest.param(
            "localhost.publicsuffix.org:443",
            lambda: httpx.get("https://localhost.publicsuffix.org", trust_env=False),
            id="httpx",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_leaves_the_machine_is_refused_and_named(
    expected: str, leave: Callable[[], object], refused: list[str]
) -> None:
    with pytest.raises(NetworkRefused, match="this machine only") as caught:
        leave()
    assert expected in str(caught.value)
    assert len(refused) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_works(host: str) -> None:
    with (
        socket.create_server((host, 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as peer,
    ):
        client.sendall(b"hello")
        assert peer.recv(5) == b"hello"


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="the platform has no Unix sockets")
def test_unix_sockets_work(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))


def test_a_refusal_that_the_code_hides_is_still_known(refused: list[str]) -> None:
    with suppress(Exception):
        socket.getaddrinfo("publicsuffix.org", 443)
    assert refused == ["publicsuffix.org:443"]


@pytest.mark.parametrize(
    ("expected", "code"),
    [
        pytest.param(
            f"socket.connect to {ELSEWHERE}:443",
            f"import socket; socket.socket().connect(({ELSEWHERE!r}, 443))",
            id="connect",
        ),
        pytest.param(
            "socket.getaddrinfo to publicsuffix.org:443",
            "import socket; socket.getaddrinfo('publicsuffix.org', 443)",
            id="resolve",
        ),
    ],
)
def test_a_child_process_is_refused_too(expected: str, code: str) -> None:
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert child.returncode != 0
    assert f"NetworkRefused: {expected}: tests reach this machine only" in child.stderr
