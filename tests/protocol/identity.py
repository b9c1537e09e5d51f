# SPDX-License-Identifier: Apache-2.0
"""Client certificates made with openssl from the gateway's own CA: what a stolen or stale identity would be."""

import os
from pathlib import Path

from harness.command import execute


def own(state: Path) -> tuple[Path, Path]:
    """What an agent's own state directory holds: certificate, chain and key are one file."""
    identity = state / "identity" / "identity.pem"
    return identity, identity


def request(folder: Path, name: str) -> bytes:
    """A certificate request (DER) with a new key."""
    folder.mkdir(parents=True, exist_ok=True)
    key, der = folder / f"{name}.key", folder / f"{name}.der"
    execute(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)])
    make = ["openssl", "req", "-new", "-key", str(key), "-subj", "/CN=x", "-outform", "DER"]
    execute([*make, "-out", str(der)])
    return der.read_bytes()


def issue(
    folder: Path,
    agent_id: str,
    *,
    ca: Path,
    ca_key: Path,
    expired: bool = False,
    usage: str = "clientAuth",
    own_key: Path | None = None,
) -> tuple[Path, Path]:
    """Returns certificate and key: a new one, or the one in a file. An expired one is made under a false clock."""
    folder.mkdir(parents=True, exist_ok=True)
    key, request, certificate = folder / "key.pem", folder / "request.pem", folder / "certificate.pem"
    extensions = folder / "extensions"
    extensions.write_text(
        f"subjectAltName=URI:fleet://agent/{agent_id}\nextendedKeyUsage={usage}\n"
        "keyUsage=critical,digitalSignature\nbasicConstraints=critical,CA:FALSE\n"
    )
    make = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"]
    if own_key:
        make = ["openssl", "pkey", "-in", str(own_key)]
    execute([*make, "-out", str(key)])
    execute(["openssl", "req", "-new", "-key", str(key), "-subj", f"/CN={agent_id}", "-out", str(request)])
    sign = ["openssl", "x509", "-req", "-in", str(request), "-CA", str(ca), "-CAkey", str(ca_key)]
    sign += ["-days", "1", "-extfile", str(extensions), "-out", str(certificate)]
    if expired:
        sign = ["faketime", "2 days ago", *sign]
    execute(sign, env={**os.environ})
    return certificate, key
