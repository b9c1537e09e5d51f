# SPDX-License-Identifier: Apache-2.0
"""Connections to the gateway that write down what they carry, for check-exchanges.mjs, which holds it against the contract.

With FLEET_TEST_EXCHANGES set, each exchange is a line of JSON in that file: what was asked (method, path, headers, body), what
was answered (status, headers, body), and one line for each event of a stream. Without it nothing is written. There are the
passwords and tokens of tests in it.

    {"gateway": "SHA-256 of the program"}
    {"server": "https", "method": "GET", "path": "/api/v1/me", "headers": {...}, "body": null,
     "status": 200, "answer_headers": [[name, value], ...], "answer": "{...}"}
    {"path": "/api/v1/events", "event": {"id": "7", "event": "agent", "data": "{...}"}}

"answer" is missing when the body was not read to its end; bodies that are no text are {"bytes": N}.
"""

import hashlib
import http.client
import json
import os
import socket
import threading
from pathlib import Path
from typing import IO, Any

# What the contract has nothing to say about, or nobody needs to see.
_QUIET = {"authorization", "cookie", "host", "accept-encoding", "user-agent"}

_lock = threading.Lock()
_file: IO[str] | None = None


def begin(program: str | Path) -> None:
    """The gateway that answers from now on; once in each process is enough."""
    if _file is None and "FLEET_TEST_EXCHANGES" in os.environ:
        _write({"gateway": hashlib.sha256(Path(program).read_bytes()).hexdigest()})


def _write(record: dict[str, Any]) -> None:
    global _file
    name = os.environ.get("FLEET_TEST_EXCHANGES")
    if not name:
        return
    line = json.dumps(record, separators=(",", ":"))
    with _lock:
        if _file is None:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            _file = open(name, "w", encoding="utf-8")
        _file.write(line + "\n")
        _file.flush()


def _text(body: Any) -> Any:
    if isinstance(body, str):
        return body
    if not isinstance(body, (bytes, bytearray)):
        return None
    try:
        return bytes(body).decode()
    except UnicodeDecodeError:
        return {"bytes": len(body)}


class _Response(http.client.HTTPResponse):
    """Of a stream each event is written as it comes; of anything else the whole, at its end."""

    exchange: dict[str, Any] | None = None
    _seen = b""
    _in_readline = False

    def begin_recording(self, exchange: dict[str, Any]) -> None:
        self.exchange = {**exchange, "status": self.status, "answer_headers": self.getheaders()}
        self._stream = self.getheader("Content-Type") == "text/event-stream"
        if self._stream:
            _write(self.exchange)

    def read(self, amt: int | None = None) -> bytes:
        data = super().read(amt)
        if not self._in_readline:
            self._take(data, end=amt is None or (amt > 0 and not data))
        return data

    def readline(self, limit: int = -1) -> bytes:  # type: ignore[override]
        self._in_readline = True          # which reads, in a body of chunks
        try:
            line = super().readline(limit)
        finally:
            self._in_readline = False
        self._take(line, end=not line)
        return line

    def close(self) -> None:
        super().close()
        if self.exchange and not self._stream and self.length not in (0, None):
            _write(self.exchange)         # nobody read it
            self.exchange = None

    def _take(self, data: bytes, end: bool) -> None:
        if self.exchange is None:
            return
        self._seen += data
        if self._stream:
            *whole, self._seen = self._seen.split(b"\n\n")
            for block in whole:
                self._take_event(block.decode())
        elif end:
            _write({**self.exchange, "answer": _text(self._seen)})
        if end:
            self.exchange = None

    def _take_event(self, block: str) -> None:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if self.exchange and fields and set(fields) != {"retry"}:
            _write({"path": self.exchange["path"], "event": fields})


class _Recording(http.client.HTTPConnection):
    server = "https"                      # the one of the contract's that is spoken to
    response_class = _Response
    _exchange: dict[str, Any] | None = None

    def putrequest(self, method: str, url: str, *arguments: Any, **more: Any) -> None:
        self._exchange = {"server": self.server, "method": method, "path": url, "headers": {}, "body": None}
        super().putrequest(method, url, *arguments, **more)

    def putheader(self, header: str | bytes, *values: Any) -> None:
        name = header if isinstance(header, str) else header.decode()
        if self._exchange is not None and name.lower() not in _QUIET:
            self._exchange["headers"][name] = ", ".join(str(v) for v in values)
        super().putheader(header, *values)

    def endheaders(self, message_body: Any = None, **more: Any) -> None:
        if self._exchange is not None:
            self._exchange["body"] = _text(message_body)
        super().endheaders(message_body, **more)

    def getresponse(self) -> Any:
        response = super().getresponse()
        if self._exchange is not None and "FLEET_TEST_EXCHANGES" in os.environ:
            response.begin_recording(self._exchange)
        return response


class HTTPSConnection(_Recording, http.client.HTTPSConnection):
    pass


class LocalConnection(_Recording):
    """HTTP over the admin socket."""

    server = "admin"

    def __init__(self, path: str | Path) -> None:
        super().__init__("localhost", timeout=30)
        self.path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)
