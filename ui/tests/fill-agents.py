# SPDX-License-Identifier: Apache-2.0
"""fill-agents.py DATABASE NUMBER: so many agents in the database of a gateway that is stopped, none of them online."""

import random
import sqlite3
import sys
import time

draw = random.Random(1)
now = int(time.time()) * 10**6
agents, labels = [], []
for i in range(int(sys.argv[2])):
    agent = draw.randbytes(16).hex()
    role, site = draw.choice(("web", "db", "app", "cache")), draw.choice(("ams", "fra", "nyc"))
    seen = now - draw.randrange(10**11)
    agents.append((agent, 1, draw.choice(("1.0.0", "1.1.0", "1.2.0")), seen - 10**12, seen, seen - 10**9,
                   f"{role}{i:06}.{site}.example.com", draw.choice(("debian", "ubuntu", "rhel")), "12", "6.1.0-31-amd64",
                   draw.choice(("x86_64", "aarch64")), draw.randbytes(16).hex(), agent * 2))  # fmt: skip
    labels += [(agent, "role", role), (agent, "site", site)]
with sqlite3.connect(sys.argv[1]) as db:
    db.executemany(
        "INSERT INTO agents (id, state, version, enrolled, last_seen, connected, hostname, os_id, os_version_id, kernel,"
        " architecture, boot_id, key_hash, token_misses, clone_suspected, metadata_expires, pinned, packaging)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,0,0,0,0,1)", agents)  # fmt: skip
    db.executemany("INSERT INTO agent_labels VALUES (?,?,?)", labels)
