#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-tuf-fetch.py PROGRAM: runs PROGRAM beside a real HTTPS server on a free port of the loopback interface.

The server hands out the files of a directory that PROGRAM fills. The first part of the path chooses how:
/repo/ plainly, /forbidden/ with 403 for what is absent, /broken/ with 500, /endless/ without an end, /stall/ stops."""

import http.server
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = ""

    def log_message(self, format, *args):
        pass

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        _, way, name = self.path.split("/", 2)
        if way == "broken":
            self.answer(500, b"broken")
        elif way == "stall":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.flush()
            time.sleep(20)
        elif way == "endless":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            try:
                while True:
                    self.wfile.write(b" " * 10000)
            except OSError:
                pass
        else:
            try:
                with open(os.path.join(self.folder, name), "rb") as f:
                    self.answer(200, f.read())
            except OSError:
                self.answer(403 if way == "forbidden" else 404, b"nothing here")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        pass


def certificate(folder, name):
    key, cert = os.path.join(folder, name + ".key"), os.path.join(folder, name + ".pem")
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=" + name]
    argv += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
    return key, cert


def main():
    with tempfile.TemporaryDirectory() as folder:
        key, ca = certificate(folder, "server")
        _, other_ca = certificate(folder, "other")
        Handler.folder = os.path.join(folder, "metadata")
        os.mkdir(Handler.folder)

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(ca, key)
        server = Server(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()

        environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        argv = [sys.argv[1], str(server.server_address[1]), Handler.folder, ca, other_ca]
        return subprocess.run(argv, timeout=100, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
