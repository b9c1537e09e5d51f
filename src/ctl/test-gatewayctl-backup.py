#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-gatewayctl-backup.py FLEET-GATEWAYCTL: what "backup" makes of a good answer, and leaves of a bad one. (A backup under
load that is restored: tests/protocol/test_backup.py.)"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time

from gatewayctl_bench import Terminal, base, interrupt

DATABASE = b"SQLite format 3\0" + os.urandom(1_000_003)
CA = "-----BEGIN CERTIFICATE-----\nfake\n-----END CERTIFICATE-----\n"


class Handler(base.Handler):
    def route(self, method, path, query, body):
        s = self.state
        if path == "/ca.pem":
            self.send_response(200)
            self.send_header("Content-Length", str(len(CA)))
            self.end_headers()
            self.wfile.write(CA.encode())
            return None
        if path != "/api/v1/backup":
            return super().route(method, path, query, body)
        s.asked += 1
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.sqlite3")
        if s.length is not None:
            self.send_header("Content-Length", str(s.length))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for piece in s.pieces:
            if callable(piece):
                piece()
            else:
                self.wfile.write(piece)
                self.wfile.flush()
        return None


class Bench(base.Bench):
    handler = Handler

    def __init__(self, program, folder):
        super().__init__(program, folder)
        self.place = self.folder / "backups"
        self.place.mkdir()
        self.file = self.place / "backup.tar"
        self.gateway = self.folder / "gateway"
        (self.gateway / "trust" / "root_history").mkdir(parents=True)
        self.secrets = {"ca.pem": CA, "ca.key": "the key", "server.pem": "s", "server.key": "sk", "admin.token": "t",
                        "trust/root.json": "{}", "trust/root_history/1.root.json": "{1}"}
        for name, text in self.secrets.items():
            (self.gateway / name).write_text(text)
        (self.gateway / "trust" / "link").symlink_to("../ca.key")
        (self.gateway / "gateway.db").write_text("not this one")
        (self.gateway / "setup-code").write_text("nor this")
        self.clear()

    def clear(self):
        self.state.asked, self.state.length, self.state.pieces = 0, len(DATABASE), [DATABASE]
        for left in self.place.iterdir():
            left.unlink()

    def backup(self, *options, code=0, **more):
        return self.ctl("backup", str(self.file), f"--state-directory={self.gateway}", *options, code=code, **more)

    def left(self):
        return sorted(p.name for p in self.place.iterdir())


def check_database(archive):
    data = archive.extractfile("gateway.db").read()
    assert hashlib.sha256(data).digest() == hashlib.sha256(DATABASE).digest()


def test_whole(b):
    b.clear()
    result = b.backup()
    assert result.stdout == "" and "CA's key" in result.stderr and b.left() == ["backup.tar"]
    assert b.file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(b.file) as archive:
        members = archive.getmembers()
        assert [m.name for m in members] == ["gateway.db", "ca.pem", "ca.key", "server.pem", "server.key", "admin.token", "trust", "trust/root.json",
                                             "trust/root_history", "trust/root_history/1.root.json"], members
        assert all(m.mode == (0o700 if m.isdir() else 0o600) and m.uid == m.gid == 0 and abs(m.mtime - time.time()) < 60 for m in members)
        check_database(archive)
        for name, text in b.secrets.items():
            assert archive.extractfile(name).read().decode() == text, name
    # the tar of the system agrees
    listed = subprocess.run(["tar", "-tf", b.file], capture_output=True, text=True, check=True)
    assert listed.stderr == "" and "trust/root_history/1.root.json" in listed.stdout


def test_database_only(b):
    b.clear()
    result = b.ctl("backup", str(b.file), "--database-only")
    assert "without the CA" in result.stderr
    with tarfile.open(b.file) as archive:
        assert archive.getnames() == ["gateway.db"]
        check_database(archive)
    size = b.file.stat().st_size
    answer = json.loads(b.ctl("backup", str(b.file), "--database-only", "--force", "-o", "json").stdout)
    assert answer == {"file": str(b.file), "bytes": size, "database_bytes": len(DATABASE), "keys": False}
    out = subprocess.run([b.program, "backup", "-", "--database-only"], env=b.env, capture_output=True, timeout=30)
    assert out.returncode == 0 and len(out.stdout) == size and b"Backed up" in out.stderr
    code, text = Terminal(b, "backup", "-", "--database-only").end()
    assert code == 2 and "terminal" in text


def test_file(b):
    b.clear()
    b.file.write_text("old")
    assert "--force" in b.backup(code=5).stderr and b.file.read_text() == "old" and b.state.asked == 0
    b.backup("--force")
    assert tarfile.is_tarfile(b.file) and b.left() == ["backup.tar"]
    assert "regular" in b.ctl("backup", str(b.folder), "--database-only", "--force", code=2).stderr
    assert "regular" in b.ctl("backup", "/dev/null", "--database-only", "--force", code=2).stderr
    b.ctl("backup", "/nonexistent/backup.tar", "--database-only", code=1)
    b.ctl("backup", code=2)
    # somebody else was faster
    b.clear()
    b.state.pieces = [DATABASE[:1000], lambda: b.file.write_text("theirs"), DATABASE[1000:]]
    assert "exists" in b.backup(code=5).stderr and b.left() == ["backup.tar"] and b.file.read_text() == "theirs"


def test_state_directory(b):
    b.clear()
    assert "--database-only" in b.ctl("backup", str(b.file), "--state-directory=/nonexistent", code=3).stderr
    other = b.folder / "other"
    other.mkdir()
    (other / "ca.pem").write_text(CA.replace("fake", "other"))
    assert "ca.key" not in b.left() and b.ctl("backup", str(b.file), f"--state-directory={other}", code=3)
    (other / "ca.key").write_text("x")
    assert "another gateway" in b.ctl("backup", str(b.file), f"--state-directory={other}", code=5).stderr
    assert b.state.asked == 0 and b.left() == []
    shutil.rmtree(other)


def test_broken(b):
    """Nothing is left of what is not whole."""
    for length, pieces, told in ((len(DATABASE), [DATABASE[:500_000]], ""), (len(DATABASE) - 1, [DATABASE[:10]], ""), (None, [DATABASE], "no database"),
                                 (1000, [b"x" * 1000], "no database"), (5, [b"SQLit"], "no database")):
        b.clear()
        b.state.length, b.state.pieces = length, pieces
        result = b.backup(code=1)
        assert told in result.stderr and b.left() == [], (length, told, result, b.left())
        out = subprocess.run([b.program, "backup", "-", "--database-only"], env=b.env, capture_output=True, timeout=30)
        assert out.returncode == 1, out
    for status, name, code in ((429, "too-many", 1), (503, "overloaded", 1), (403, "forbidden", 4), (409, "conflict", 5)):
        b.clear()
        b.state.fail["/api/v1/backup"] = (status, name, f"detail of {name}")
        assert f"detail of {name}" in b.backup(code=code).stderr and b.left() == []
        b.state.fail.clear()
    full = subprocess.run(["sh", "-c", 'exec "$0" backup - --database-only >/dev/full', b.program], env=b.env, capture_output=True, text=True, timeout=30)
    assert full.returncode == 1 and "No space" in full.stderr, full


def test_interrupted(b):
    b.clear()
    b.state.pieces = [DATABASE[:100_000], lambda: time.sleep(5)]
    code, out, err = interrupt(b, "backup", str(b.file), "--database-only", when=lambda: b.left() and (b.place / b.left()[0]).stat().st_size > 0)
    assert code == -signal.SIGINT and "Interrupted" in err and b.left() == [], (code, err, b.left())


def main():
    with tempfile.TemporaryDirectory(prefix="fleet-gatewayctl-") as folder:
        b = Bench(sys.argv[1], folder)
        for test in (test_whole, test_database_only, test_file, test_state_directory, test_broken, test_interrupted):
            started = time.monotonic()
            test(b)
            print(f"{test.__name__}: ok ({time.monotonic() - started:.1f}s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
