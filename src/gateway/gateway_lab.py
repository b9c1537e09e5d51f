# SPDX-License-Identifier: Apache-2.0
"""What the tests of the real gateway have in common beyond test-gateway-api.py: a gateway with users, a browser that keeps
its cookie, the command line, and somebody who looks at the database."""

import contextlib
import importlib.machinery
import importlib.util
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

_loader = importlib.machinery.SourceFileLoader("test_gateway_api", str(Path(__file__).with_name("test-gateway-api.py")))
_spec = importlib.util.spec_from_loader(_loader.name, _loader)
api = importlib.util.module_from_spec(_spec)
_loader.exec_module(api)

COOKIE = "__Host-fleet-session"
WORDS = "several words do well"


def bearer(gateway, token, method, path, body=None, headers=None):
    return gateway.ask(method, path, body, token=token, headers=headers)


class Browser:
    """Keeps its cookie and the CSRF token, as the console does; from an address of its own."""

    def __init__(self, gateway, address="127.0.0.1"):
        self.gateway, self.address = gateway, address
        self.cookie = self.csrf = self.set_cookie = None

    def ask(self, method, path, body=None, headers=None, csrf=True):
        connection = api.exchanges.HTTPSConnection(
            "localhost", self.gateway.port, context=self.gateway.tls, timeout=30, source_address=(self.address, 0))
        send = dict(headers or {})
        if self.cookie is not None:
            send.setdefault("Cookie", f"theme=dark; {COOKIE}={self.cookie}")
        if csrf and self.csrf and method not in ("GET", "HEAD"):
            send.setdefault("X-CSRF-Token", self.csrf)
        connection.request(method, path, json.dumps(body) if isinstance(body, dict) else body, send)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        self.headers = answer.headers
        self.set_cookie = answer.headers.get("Set-Cookie")
        return answer.status, json.loads(data) if data else None

    def problem(self, expected, kind, *request, **more):
        status, answer = self.ask(*request, **more)
        assert status == expected and answer["type"] == f"urn:fleet-agent:problem:{kind}", (request, status, answer)
        return answer

    def sign_in(self, name, password=WORDS):
        status, answer = self.ask("POST", "/api/v1/session", {"name": name, "password": password})
        if status == 201:
            self.cookie = re.match(f"{COOKIE}=([^;]+)", self.set_cookie).group(1)
            self.csrf = answer["csrf_token"]
        return status, answer

    def must_sign_in(self, name, password=WORDS):
        status, answer = self.sign_in(name, password)
        assert status == 201, answer
        return answer


class Lab:
    """A gateway, its admin token, its users, and somebody who looks at its database."""

    def __init__(self, program, release, ctl, source, folder, settings):
        self.ctl_program, self.source, self.folder = ctl, Path(source), folder
        repository = api.Repository(release, folder / "repo")
        repository.publish()
        self.gateway = api.Gateway(program, folder, repository.root)
        with self.gateway.config.open("a") as f:
            f.write(f"[Gateway]\n{settings}")
        self.addresses = iter(f"127.0.1.{i}" for i in range(1, 250))

    def browser(self, name=None, password=WORDS):
        """From an address that nobody has used, so that the limits of the tests do not add up."""
        b = Browser(self.gateway, next(self.addresses))
        if name:
            b.must_sign_in(name, password)
        return b

    def make_user(self, name, role="viewer", password=WORDS, **more):
        status, answer = self.gateway.ask("POST", "/api/v1/users", {"name": name, "role": role, "password": password, **more})
        assert status == 201, answer
        return answer

    def etag(self, name):
        return self.gateway.ask("GET", f"/api/v1/users/{name}", raw=True)[1]["ETag"]

    def change(self, name, **members):
        """As somebody who has just read it."""
        return self.gateway.ask("PATCH", f"/api/v1/users/{name}", members, headers={"If-Match": self.etag(name)})

    def audit(self, query=""):
        return [e["entry"] for e in self.gateway.ask("GET", f"/api/v1/audit?limit=1000{query}")[1]["entries"]]

    @contextlib.contextmanager
    def database(self):
        database = sqlite3.connect(self.gateway.state / "gateway.db", isolation_level=None, timeout=10)
        try:
            yield database
        finally:
            database.close()

    def ctl_environment(self):
        return {
            "PATH": os.environ["PATH"], "FLEET_GATEWAY": f"https://localhost:{self.gateway.port}",
            "FLEET_CA": str(self.gateway.state / "ca.pem"), "FLEET_TOKEN_FILE": str(self.gateway.state / "admin.token"),
        }

    def ctl(self, *arguments, expect=0, **more):
        argv = [self.ctl_program, *map(str, arguments)]
        done = subprocess.run(argv, capture_output=True, text=True, env=self.ctl_environment(), timeout=60, **more)
        assert done.returncode == expect, (arguments, done)
        return done

    def log(self):
        return (self.gateway.folder / "log").read_text()


def guess_until_limited(browser, wrong, *request):
    """Five guesses are answered at once; on a slow machine a pause may be over before the next comes, and doubles. Returns
    how long the last answer says to wait, which is more than a second."""
    for i in range(12):
        status, answer = browser.ask(*request)
        if status == 429:
            assert i >= 5 and answer["type"].endswith(":too-many-attempts"), (i, answer)
            wait = int(browser.headers["Retry-After"])
            assert 1 <= wait <= min(60, 2 << (i - 5)), (i, wait)
            if wait > 1:
                return wait
            time.sleep(1.1)
        else:
            assert status == wrong, (status, answer)
    raise AssertionError("a dozen guesses, and no pause")


class Stream(threading.Thread):
    """An event stream with a session's cookie; it says how long it lasted."""

    def __init__(self, browser):
        super().__init__(daemon=True)
        self.connection = browser.gateway.connect()
        self.connection.request("GET", "/api/v1/events", headers={"Cookie": f"{COOKIE}={browser.cookie}"})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200
        self.start()

    def run(self):
        self.answer.read()

    def ended(self, within=3):
        self.join(within)
        done = not self.is_alive()
        self.connection.close()
        return done


def run(tests, settings=""):
    """GATEWAYD RELEASE GATEWAYCTL API.C on the command line; each test has the Lab, what one leaves the next finds."""
    program, release, ctl, source = (str(Path(a).resolve()) for a in sys.argv[1:5])
    folder = Path(tempfile.mkdtemp(prefix=f"{Path(sys.argv[0]).stem}-"))
    lab = None
    try:
        lab = Lab(program, release, ctl, source, folder, settings)
        lab.gateway.start()
        for test in tests:
            started = time.monotonic()
            test(lab)
            print(f"ok {test.__name__} ({time.monotonic() - started:.1f}s)", flush=True)
        lab.ctl("audit", "verify")
        lab.gateway.stop()
    except BaseException:
        if (folder / "log").exists():
            print((folder / "log").read_text()[-6000:], file=sys.stderr)
        raise
    finally:
        if lab and lab.gateway.process and lab.gateway.process.poll() is None:
            lab.gateway.process.kill()
        shutil.rmtree(folder, ignore_errors=True)
