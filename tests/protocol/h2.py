# SPDX-License-Identifier: Apache-2.0
"""Just enough HTTP/2 (RFC 9113) and gRPC framing, by hand, to say what a gRPC library would not let us say."""

import socket
import ssl
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def header(name: str, value: str) -> bytes:
    """A literal header field without indexing and without Huffman coding (RFC 7541, 6.2.2)."""

    def text(s: str) -> bytes:
        raw = s.encode()
        assert len(raw) < 127
        return bytes((len(raw),)) + raw

    return b"\x00" + text(name) + text(value)


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes((value & 127 | 128,))
        value >>= 7
    return out + bytes((value,))


def pb_bytes(number: int, value: bytes | str) -> bytes:
    """A length-delimited protobuf field."""
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def message(payload: bytes) -> bytes:
    """gRPC's length-prefixed message, not compressed."""
    return b"\x00" + struct.pack(">I", len(payload)) + payload


@dataclass
class Answer:
    """What came back on one stream."""

    data: bytes = b""
    headers: bytes = b""
    reset: bool = False
    ended: bool = False
    frames: list[int] = field(default_factory=list)


class Connection:
    """One TLS connection that has said hello in HTTP/2."""

    def __init__(
        self,
        port: int,
        *,
        ca: Path,
        identity: tuple[Path, Path] | None = None,
        timeout: float = 10,
        receive_buffer: int = 0,
    ) -> None:
        context = ssl.create_default_context(cafile=str(ca))
        context.set_alpn_protocols(["h2"])
        if identity:
            context.load_cert_chain(*map(str, identity))
        raw = socket.socket()
        raw.settimeout(timeout)
        if receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.connect(("127.0.0.1", port))
        self.socket = context.wrap_socket(raw, server_hostname="localhost")
        self.closed = False
        self._buffer = b""
        self._streams: dict[int, Answer] = {}
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0))

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def open(self, stream: int, method: str, payload: bytes | None = None, *, end: bool = False) -> Answer:
        fields = header(":method", "POST") + header(":scheme", "https")
        fields += header(":path", f"/fleet.v1.AgentGateway/{method}") + header(":authority", "localhost")
        fields += header("content-type", "application/grpc") + header("te", "trailers")
        self.send(frame(HEADERS, END_HEADERS, stream, fields))
        self._streams[stream] = Answer()
        if payload is not None:
            self.send_message(stream, payload, end=end)
        return self._streams[stream]

    def send_message(self, stream: int, payload: bytes, *, end: bool = False) -> None:
        data = message(payload)
        pieces = [data[i : i + 16000] for i in range(0, len(data), 16000)]
        for i, piece in enumerate(pieces):
            last = i == len(pieces) - 1
            self.send(frame(DATA, END_STREAM if end and last else 0, stream, piece))

    def read(self, stream: int, *, until_end: bool = True, timeout: float = 10) -> Answer:
        """Reads frames until the stream ended or, otherwise, its first data came."""
        answer = self._streams[stream]
        deadline = time.monotonic() + timeout
        while not (answer.ended or answer.reset or self.closed or (answer.data and not until_end)):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self.socket.settimeout(left)
            try:
                more = self.socket.recv(65536)
            except TimeoutError:
                break
            except OSError:
                more = b""
            if not more:
                self.closed = True
                break
            self._buffer += more
            self._take_frames()
        return answer

    def close(self) -> None:
        self.socket.close()

    def _take_frames(self) -> None:
        while len(self._buffer) >= 9:
            size = int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < 9 + size:
                return
            kind, flags = self._buffer[3], self._buffer[4]
            stream = int.from_bytes(self._buffer[5:9], "big") & 0x7FFFFFFF
            payload = self._buffer[9 : 9 + size]
            self._buffer = self._buffer[9 + size :]
            self._take_frame(kind, flags, stream, payload)

    def _take_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK, 0))
        if kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        if kind == GOAWAY:
            self.closed = True
        answer = self._streams.get(stream)
        if answer is None:
            return
        answer.frames.append(kind)
        if kind == DATA:
            answer.data += payload
        if kind == HEADERS:
            answer.headers += payload
        if kind == RST_STREAM:
            answer.reset = True
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            answer.ended = True
