"""Serves an app on a socket that the parent process listens on: `serve.py MODULE:APP FD`."""

from __future__ import annotations

import socket
import sys

import uvicorn

if __name__ == "__main__":
    name, descriptor = sys.argv[1:]
    config = uvicorn.Config(name, log_level="warning", access_log=False)
    # uvicorn's own `--fd` takes the socket for a Unix one and leaves Nagle's algorithm on.
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(descriptor))])
