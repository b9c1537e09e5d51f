# SPDX-License-Identifier: Apache-2.0
"""The gateway's REST API, for tests that ask it often: one connection, which is made anew when it breaks."""

import http.client
import json
import ssl
import time
from typing import Any

from contract import exchanges

from .loopback import Loopback


class Api:
    def __init__(self, loop: Loopback) -> None:
        self.port = loop.https_port
        self.tls = ssl.create_default_context(cafile=str(loop.ca))
        self.token = (loop.state / "admin.token").read_text().strip()
        self.connection: exchanges.HTTPSConnection | None = None
        exchanges.begin(loop.build.program("fleet-gatewayd"))

    def once(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        if self.connection is None:
            self.connection = exchanges.HTTPSConnection("localhost", self.port, context=self.tls, timeout=30)
        send = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        send |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            self.connection.request(method, "/api/v1" + path, None if body is None else json.dumps(body), send)
            answer = self.connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise
        if answer.will_close:
            self.connection = None
        self.headers = answer.headers
        return answer.status, json.loads(data) if data else None

    def ask(self, method: str, path: str, body: Any = None, expect: int = 200, **headers: str) -> Any:
        status, answer = self.once(method, path, body, **headers)
        assert status == expect, (method, path, body, status, answer)
        return answer

    def get(self, path: str) -> Any:
        return self.ask("GET", path)

    def etag(self, path: str) -> str:
        self.get(path)
        return str(self.headers["ETag"])

    def get_patiently(self, path: str, patience: float = 30) -> Any:
        """Of a gateway that may just be starting."""
        deadline = time.monotonic() + patience
        while True:
            try:
                status, answer = self.once("GET", path)
                if status == 200:
                    return answer
            except (OSError, http.client.HTTPException):
                pass
            assert time.monotonic() < deadline, f"no answer to {path}"
            time.sleep(0.05)

    def members(self, rollout: int, query: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.get(f"/rollouts/{rollout}/members?limit=1000{query}{cursor}")
            found += page["members"]
            if "next_cursor" not in page:
                assert page["total"] == len(found)
                return found
            cursor = f"&cursor={page['next_cursor']}"
