#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-http-client.py PROGRAM: runs PROGRAM beside a real HTTPS server on a free port of the loopback interface.

The certificates are made by openssl for this run. What the server does is chosen by the path; PROGRAM knows the same
table. Its only arguments are the ports and the two CA files."""

import http.server
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

BODY = bytes((i * 7 + i // 256) % 256 for i in range(200_000))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):
        pass

    def answer(self, status, body, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def read_body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def range_start(self):
        value = self.headers.get("Range", "")
        return int(value[6:-1]) if value.startswith("bytes=") and value.endswith("-") else None

    def do_GET(self):
        start = self.range_start()
        if self.path == "/ok":
            self.answer(200, BODY, {"X-Test": "yes"})
        elif self.path == "/range":
            if start is None:
                self.answer(200, BODY)
            elif start >= len(BODY):
                self.answer(416, b"")
            else:
                self.answer(206, BODY[start:], {"Content-Range": f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"})
        elif self.path == "/range-wrong":
            self.answer(206, BODY[1:], {"Content-Range": f"bytes 1-{len(BODY) - 1}/{len(BODY)}"})
        elif self.path == "/redirect":
            self.answer(302, b"elsewhere", {"Location": "/ok"})
        elif self.path == "/missing":
            self.answer(404, b'{"title":"not here"}', {"Content-Type": "application/problem+json"})
        elif self.path == "/missing-endless":
            self.endless(404)
        elif self.path == "/endless":
            self.endless(200)
        elif self.path == "/trickle":
            self.trickle()
        elif self.path == "/stall":
            self.stall()
        elif self.path == "/short":
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY[:1000])
            self.close_connection = True
        elif self.path == "/headers":
            self.answer(200, b"", {f"X-{i}": "y" * 1000 for i in range(90)})
        elif self.path == "/gzip":
            self.answer(200, b"not really gzip", {"Content-Encoding": "gzip"})
        else:
            self.answer(404, b"")

    def do_HEAD(self):
        self.do_GET()

    def do_echo(self):
        body = self.read_body()
        text = f"{self.command} {self.headers.get('Content-Type')} {self.headers.get('X-Give')} {len(body)} ".encode()
        self.answer(200, text + body[:100])

    do_POST = do_PUT = do_DELETE = do_echo

    def endless(self, status):
        self.send_response(status)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            while True:
                self.wfile.write(BODY)
        except OSError:
            pass

    def stall(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[:100])
        self.wfile.flush()
        time.sleep(30)

    def trickle(self):
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for _ in range(300):
                self.wfile.write(b": \n")
                self.wfile.flush()
                time.sleep(0.1)
        except OSError:
            pass


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_certificates(directory):
    def path(name):
        return os.path.join(directory, name)

    for name in ("ca", "other-ca"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", f"/CN=test {name}", "-keyout", path(name + ".key"), "-out", path(name + ".pem"))
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
            "-keyout", path("server.key"), "-out", path("server.csr"))
    with open(path("server.ext"), "w", encoding="ascii") as f:
        f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-days", "2", "-in", path("server.csr"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"),
            "-CAcreateserial", "-extfile", path("server.ext"), "-out", path("server.pem"))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients that hang up are what this is for


def main():
    program = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="fleet-http-") as directory:
        make_certificates(directory)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(directory, "server.pem"), os.path.join(directory, "server.key"))
        server = Server(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()

        # bound, so that nobody else gets the port, but not listening: connections are refused
        closed = socket.socket()
        closed.bind(("127.0.0.1", 0))
        # accepts connections in the kernel and never says a word
        silent = socket.socket()
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)

        environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        result = subprocess.run(
            [*program, str(server.server_address[1]), str(closed.getsockname()[1]), str(silent.getsockname()[1]),
             os.path.join(directory, "ca.pem"), os.path.join(directory, "other-ca.pem")],
            env=environment, timeout=110, check=False)
        if result.returncode < 0:
            print(f"{program[0]} was killed by signal {-result.returncode}", file=sys.stderr)
        return 0 if result.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
