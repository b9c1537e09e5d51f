#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-agent-download.py PROGRAM: runs PROGRAM beside a real HTTPS server on the loopback interface that serves one body
well or badly, by path. PROGRAM knows the same body. Arguments: the port and the CA file."""

import http.server
import ssl
import subprocess
import sys
import tempfile
import threading

BODY = bytes((i * 7 + i // 256) % 256 for i in range(3_000_000))
seen: dict[str, int] = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):
        pass

    def body(self, data, start, promised=None):
        status = 200 if start is None else 206
        self.send_response(status)
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        self.send_header("Content-Length", str(len(data) if promised is None else promised))
        self.end_headers()
        try:
            self.wfile.write(data)
        except OSError:
            pass  # the other side had enough

    def do_GET(self):
        kind = self.path.strip("/")
        seen[kind] = seen.get(kind, 0) + 1
        wanted = self.headers.get("Range", "")
        start = int(wanted[6:-1]) if wanted.startswith("bytes=") else None
        rest = BODY[start or 0 :]
        if kind == "good":
            self.body(rest, start)
        elif kind == "no-ranges":
            self.body(BODY, None)
        elif kind == "torn":  # a million bytes each time, then the connection ends
            self.body(rest[:1_000_000], start, len(rest))
            self.close_connection = True
        elif kind == "wrong":
            self.body(bytes(len(rest)), start)
        elif kind == "long":
            self.body(rest + b"more", start)
        elif kind == "busy" and seen[kind] < 4:
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif kind == "busy":
            self.body(rest, start)
        elif kind == "must-resume" and start is None:
            self.body(b"", None)  # asked for all of it: that is the failure
        elif kind == "must-resume":
            self.body(rest, start)
        elif kind == "stall":
            self.body(rest[:1000], start, len(rest))
            threading.Event().wait(30)
        else:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        ca, key = f"{folder}/ca.pem", f"{folder}/key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", ca],
            check=True, stderr=subprocess.DEVNULL,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(ca, key)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return subprocess.run([sys.argv[1], str(server.server_address[1]), ca, folder], timeout=150).returncode


if __name__ == "__main__":
    sys.exit(main())
