#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-gateway-console.py FLEET-GATEWAYD: the files of the console over HTTPS, their headers, and what must not be
answered with them."""

import gzip
import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

from gateway_fleet import Gateway

PAGE = b"<!doctype html><title>console</title>"
CODE = b"export const answer = 42;" * 40
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"


def build(folder):
    """A console as ui/build.mjs leaves it; brotli is faked, since nothing here decodes it."""
    (folder / "assets").mkdir(parents=True)
    files = []
    for path, data, immutable in (("index.html", PAGE, False), ("assets/app-1a2b.js", CODE, True)):
        item = {"path": path, "immutable": immutable, "sha256": hashlib.sha256(data).hexdigest()}
        (folder / path).write_bytes(data)
        for name, suffix, packed in (("gzip", ".gz", gzip.compress(data)), ("br", ".br", b"br:" + path.encode())):
            (folder / (path + suffix)).write_bytes(packed)
            item[f"{name}_sha256"] = hashlib.sha256(packed).hexdigest()
        files.append(item)
    (folder / "console.json").write_text(json.dumps({"format": 1, "files": files}))


def get(gateway, path, method="GET", **headers):
    connection = gateway.connect()
    connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, answer.headers, data


def test_page(gateway):
    for path in ("/", "/index.html"):
        status, headers, data = get(gateway, path)
        assert status == 200 and data == PAGE, (path, status, data)
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert headers["Content-Security-Policy"].startswith(POLICY), headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "camera=()" in headers["Permissions-Policy"]
        assert headers["Cache-Control"] == "no-cache"
        assert headers["Content-Encoding"] is None
    status, headers, data = get(gateway, "/", "HEAD")
    assert status == 200 and data == b"" and headers["Content-Length"] == str(len(PAGE))


def test_encodings(gateway):
    seen = set()
    for accept, coding in (("gzip, deflate, br", "br"), ("gzip", "gzip"), ("gzip;q=0, br;q=0", None), ("zstd", None)):
        status, headers, data = get(gateway, "/assets/app-1a2b.js", Accept_Encoding=accept)
        assert status == 200 and headers["Content-Encoding"] == coding, (accept, status, headers["Content-Encoding"])
        assert "Accept-Encoding" in headers["Vary"]
        assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert headers["Content-Type"] == "text/javascript; charset=utf-8"
        if coding == "gzip":
            assert gzip.decompress(data) == CODE
        elif not coding:
            assert data == CODE
        seen.add(headers["ETag"])
        again, headers, data = get(gateway, "/assets/app-1a2b.js", Accept_Encoding=accept, If_None_Match=headers["ETag"])
        assert again == 304 and data == b"" and headers["ETag"], (accept, again)
    assert len(seen) == 3, seen


def test_pages_of_its_own(gateway):
    """Addresses that the console makes up, asked for by a browser."""
    for path in ("/agents", "/agents/6f2d3a0f", "/rollouts/7?tab=members", "/a/b/c/d"):
        status, headers, data = get(gateway, path, Accept=BROWSER)
        assert status == 200 and data == PAGE, (path, status)
        assert headers["Cache-Control"] == "no-cache" and "Accept" in headers["Vary"].split(", ")
        for accept in ("application/json", "*/*"):
            status, headers, data = get(gateway, path, Accept=accept)
            assert status == 404 and json.loads(data)["type"] == "urn:fleet-agent:problem:not-found", (path, accept)


def test_everything_else(gateway):
    """A browser that asks for what is not there, and other methods, get the API's answers, not a page."""
    for path, status, kind in (
        ("/api/v1/nonsense", 404, "not-found"), ("/api", 404, "not-found"), ("/tuf", 404, "not-found"),
        ("/tuf/metadata/none.json", 404, "not-found"), ("/assets/app-9z.js", 404, "not-found"), ("/assets", 404, "not-found"),
        ("/metrics", 404, "not-found"), ("/api/v1/agents", 401, "unauthenticated"), ("/console.json/..", 400, "bad-request"),
        ("/assets/%2e%2e/console.json", 400, "bad-request"),
    ):
        got, headers, data = get(gateway, path, Accept=BROWSER)
        assert got == status, (path, got, data)
        assert json.loads(data)["type"] == f"urn:fleet-agent:problem:{kind}", (path, data)
        assert headers["Content-Security-Policy"] is None
    for path in ("/console.json", "/index.html.gz", "/unlisted.js"):
        assert get(gateway, path)[0] == 404, path
    for method, path, status in (("POST", "/", 404), ("PUT", "/index.html", 404), ("DELETE", "/agents", 404),
                                 ("GET", "/api/v1/session", 405), ("DELETE", "/healthz", 405)):
        got, headers, data = get(gateway, path, method, Accept=BROWSER)
        assert got == status, (method, path, got, data)


def test_without(gateway):
    """No console: the rest works, and the root says so."""
    gateway.stop()
    gateway.config.write_text(gateway.config.read_text().replace("ConsoleDirectory=", "ConsoleDirectory=\n#"))
    gateway.start()
    status, _, data = get(gateway, "/", Accept=BROWSER)
    assert status == 404 and "no console" in json.loads(data)["detail"], data
    assert get(gateway, "/agents", Accept=BROWSER)[0] == 404
    assert gateway.ask("GET", "/me")["role"] == "admin"


def test_damaged(gateway):
    """A file that is not the one that was built: no console, but a gateway."""
    folder = gateway.folder / "console"
    (folder / "assets" / "app-1a2b.js").write_bytes(b"something else")
    gateway.stop()
    gateway.config.write_text(gateway.config.read_text().replace("ConsoleDirectory=\n#", "ConsoleDirectory="))
    gateway.start()
    assert get(gateway, "/")[0] == 404
    assert gateway.ask("GET", "/me")["role"] == "admin"
    assert "assets/app-1a2b.js of the console is not the one" in (gateway.folder / "log").read_text()


def main():
    folder = Path(tempfile.mkdtemp(prefix="test-gateway-console-"))
    gateway = Gateway(str(Path(sys.argv[1]).resolve()), folder)
    try:
        build(folder / "console")
        (folder / "console" / "unlisted.js").write_text("unlisted")
        with gateway.config.open("a") as config:
            config.write(f"ConsoleDirectory={folder}/console\n")
        gateway.start()
        for test in (test_page, test_encodings, test_pages_of_its_own, test_everything_else, test_without, test_damaged):
            test(gateway)
            print(f"ok {test.__name__}", flush=True)
        gateway.stop()
    except BaseException:
        print((folder / "log").read_text()[-4000:], file=sys.stderr)
        raise
    finally:
        if gateway.process and gateway.process.poll() is None:
            gateway.process.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
