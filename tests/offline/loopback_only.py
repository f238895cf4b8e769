"""Keeps this Python process on its own machine: loopback and Unix sockets, nothing else.

An audit hook (PEP 578) sees every socket call of the interpreter, from whatever library, cannot be
undone, and stops a call by raising. What it raises is no `OSError`, because network libraries
swallow those and carry on. It does not see extensions that open sockets below Python, nor children
other than Python, nor a Python child started with `-I`, `-E` or another `PYTHONPATH`.
"""

from __future__ import annotations

import socket
import sys
from ipaddress import ip_address

refused: list[str] = []
"""Every `host:port` this process was kept from, oldest first: a caller may hide the error."""


class NetworkRefused(RuntimeError):
    """A test tried to leave the machine."""


def install() -> None:
    """Guard this process for the rest of its life."""
    sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event in {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"}:
        _check_address(event, *arguments)
    elif event == "socket.getaddrinfo":
        _check_host(event, arguments[0], arguments[1])
    elif event in {"socket.gethostbyname", "socket.gethostbyaddr"}:
        _check_host(event, arguments[0], None)
    elif event == "socket.getnameinfo":
        _check_host(event, *_host_and_port(arguments[0]))


def _check_address(event: str, sock: object, address: object) -> None:
    assert isinstance(sock, socket.SocketType)
    if sock.family == getattr(socket, "AF_UNIX", None):
        return
    if address is None and event == "socket.sendmsg":
        return  # the peer was checked when the socket was connected
    if sock.family in {socket.AF_INET, socket.AF_INET6}:
        host, port = _host_and_port(address)
        if host != "":  # to bind to "" is to bind to every interface
            return _check_host(event, host, port)
    _refuse(event, f"{sock.family!r} {address!r}")


def _host_and_port(address: object) -> tuple[object, object]:
    assert isinstance(address, tuple)
    return address[0], address[1]


def _check_host(event: str, host: object, port: object) -> None:
    if host is None:  # getaddrinfo: loopback, or every interface, which bind refuses
        return
    name = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else str(host)
    if name.lower() == "localhost" or _is_loopback(name):
        return
    _refuse(event, name if port is None else f"{name}:{port}")


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _refuse(event: str, where: str) -> None:
    refused.append(where)
    raise NetworkRefused(f"{event} to {where}: tests reach this machine only")
