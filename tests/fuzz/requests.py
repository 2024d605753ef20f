"""Requests over every operation of the API: genuine ones, and what a seed makes of them."""

from __future__ import annotations

from random import Random
from typing import Any, Final
from urllib.parse import quote

from blake3 import blake3

from secureflow.engines.bundles import Bundle, pack
from tests.fuzz.asgi import Asked
from tests.fuzz.callers import BROWSER, Callers, sendable
from tests.fuzz.mutations import (
    changed_bytes,
    changed_text,
    changed_value,
    hostile_text,
    hostile_value,
    spelled,
)
from tests.fuzz.schemas import Description
from tests.security.test_authorisation import RULES
from tests.stage import FEATURES, NOW, PASSWORD

HEADERS: Final = (
    ("idempotency-key", "k-1"), ("idempotency-key", "k" * 129), ("idempotency-key", "ä\x7f"),
    ("accept-language", "zh-CN,zh;q=0.9"), ("accept-language", "q=1;;,," * 50),
    ("accept", "text/html"), ("accept", "*/*;q=\xff"), ("content-length", "-1"),
    ("content-length", "9" * 40), ("content-length", "²"), ("transfer-encoding", "chunked"),
    ("content-encoding", "gzip"), ("x-forwarded-for", "::1, 10.0.0.1"), ("host", "evil.example"),
    ("host", "["),
    ("host", "test:99999999"),
    ("host", "a]b@c#d?e"),
    ("x-request-id", "a b\tc"), ("origin", "null"), ("sec-fetch-site", "cross-site"),
    ("last-event-id", "-1"), ("last-event-id", "99999999999999999999"), ("range", "bytes=9-1"),
    ("cookie", "=;=;;,"), ("authorization", "Bearer"), ("authorization", "\xff\xfe"),
    ("expect", "100-continue"), ("if-match", '"'), ("te", "trailers"), ("upgrade", "websocket"),
)  # fmt: skip
TYPES: Final = (
    *("application/json", "application/json; charset=utf-16", "text/plain", "text/html"),
    *("application/octet-stream", "application/x-www-form-urlencoded", "application/xml", "x/\xff"),
    *("multipart/form-data; boundary=" + "b" * 80, "", "application/json" * 30),
)
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "get", "ß")


class Requests:
    """Draws requests: genuine ones of every operation, and what a seed makes of them."""

    def __init__(self, callers: Callers) -> None:
        self.callers, self.world = callers, callers.world
        self.operations = sorted(self.world.operations.items())
        self.description = Description(self.world.api.app.openapi())
        self.bodies = bodies(callers)
        code = Bundle({"model.py": b"x = 1\n"})
        weights = blake3(bytes(4)).hexdigest()
        self.files = {
            "upload_bundle": (code.digest, pack(code)),
            "upload_model": (weights, bytes(4)),
        }

    def draw(self, random: Random) -> tuple[str, Asked, bool]:
        """Return an operation, a request of it, and whether its credential may open anything."""
        operation, (method, template) = random.choice(self.operations)
        headers, may = self.callers.credential(random)
        asked = Asked(method, self._path(random, operation, template), headers=headers)
        asked.query = self._query(random, operation)
        self._with_body(random, operation, asked)
        for _ in range(random.choice((0, 0, 1, 1, 2))):
            random.choice((self._path_changed, self._header, self._type, self._method,
                           self._header))(random, asked)  # fmt: skip
        return operation, asked, may

    def _path(self, random: Random, operation: str, template: str) -> str:
        rule, world = RULES[operation], self.world
        whose = random.choice(("own", "own", "own", "foreign", "unknown"))
        key = world.key(rule.noun, whose) if rule.place == "path" else "x"
        path = template
        for name, value in rule.path.items():
            path = path.replace(f"{{{name}}}", str(world.filled(value)))
        named = {"key": key, "token": world.ids["audited.token"], "name": "sso"}
        named |= {"identity": "idn_x", "code": self.callers.others["code"]}
        for name, value in named.items():
            if f"{{{name}}}" in path:
                changed = changed_text(random, value) or "." if random.random() < 0.25 else value
                data = changed.encode("utf-8", "replace")
                path = path.replace(f"{{{name}}}", quote(data, safe=""))
        return path

    def _query(self, random: Random, operation: str) -> str:
        rule = RULES[operation]
        pairs = [tuple(one.split("=", 1)) for one in rule.query.split("&") if one]
        if rule.place == "query":
            pairs.append((rule.noun, self.world.key(rule.noun, random.choice(("own", "foreign")))))
        for name, schema in self.description.parameters(operation, "query"):
            if random.random() < 0.4:
                pairs.append((name, str(self.description.value(random, schema))))
        if operation == "finish_oidc":
            pairs += [("state", self.callers.others["state"]), ("code", "c")]
        if operation in self.files and random.random() < 0.5:
            digest = ("digest", self.files[operation][0])
            pairs = [digest, ("project", self.world.key("project", "own")), ("layout", "0" * 64)]
            del pairs[2 if operation == "upload_bundle" else 3 :]
        changed = []
        for name, value in pairs:
            told = changed_text(random, value) if random.random() < 0.15 else value
            changed += [(name, told)] * random.choice((0, 1, 1, 1, 1, 1, 1, 1, 1, 2))
        if random.random() < 0.05:
            changed.append((hostile_text(random), hostile_text(random)))
        return "&".join(f"{_encoded(random, n)}={_encoded(random, v)}" for n, v in changed)

    def _with_body(self, random: Random, operation: str, asked: Asked) -> None:
        if operation == "finish_oidc":
            browser = self.callers.others["browser"]
            if random.random() < 0.4:
                browser = changed_text(random, browser)
            asked.headers.append(("cookie", sendable(f"{BROWSER}={browser}")))
        if operation in self.files:
            asked.body = self.files[operation][1]
            if random.random() < 0.5:
                asked.body = changed_bytes(random, asked.body)
            asked.headers.append(("content-type", b"application/octet-stream"))
            asked.parts = random.choice((1, 1, 3))
            return
        schema = self.description.body(operation)
        if schema is None and random.random() < 0.9:
            return
        value: Any = self.bodies.get(operation, RULES[operation].body or {})
        value = {name: self.world.filled(one) for name, one in value.items()}
        if RULES[operation].place == "body":
            value[RULES[operation].noun] = self.world.key(RULES[operation].noun, "own")
        if schema is not None and random.random() < 0.35:
            drawn = self.description.value(random, schema)
            value = {**value, **drawn} if isinstance(drawn, dict) else drawn
        for _ in range(random.choice((0, 1, 1, 1, 2))):
            value = changed_value(random, value)
        if random.random() < 0.04:
            value = hostile_value(random)
        asked.body = spelled(random, value)
        asked.headers.append(("content-type", b"application/json"))
        asked.parts = random.choice((1, 1, 1, 1, 2, 7))

    def _path_changed(self, random: Random, asked: Asked) -> None:
        parts = asked.path.split("/")
        at = random.randrange(len(parts))
        text = hostile_text(random).encode("utf-8", "replace")
        parts[at] = random.choice((quote(text, safe=""), "", "..", parts[at] + "/", "%", "%zz"))
        asked.path = "/" + "/".join(parts).lstrip("/") if random.random() < 0.9 else asked.path[1:]

    def _header(self, random: Random, asked: Asked) -> None:
        name, value = random.choice(HEADERS)
        asked.headers.append((name, value.encode("latin-1", "replace")))

    def _type(self, random: Random, asked: Asked) -> None:
        kept = [one for one in asked.headers if one[0] != "content-type"]
        asked.headers = [*kept, ("content-type", random.choice(TYPES).encode("latin-1"))]

    def _method(self, random: Random, asked: Asked) -> None:
        asked.method = random.choice(METHODS)


def bodies(callers: Callers) -> dict[str, dict[str, Any]]:
    """Return bodies that do something, where the matrix has shorter ones."""
    others, ids = callers.others, callers.world.ids
    login = {"name": "bank-a.auditor", "password": PASSWORD, "refresh": True}
    coded = {"name": "bank-b.data-owner", "password": PASSWORD, "code": others["later"]}
    data = [ids[f"{bank}.dataset"] for bank in ("bank-a", "bank-b", "bank-c")]
    job = {"kind": "training", "name": "n", "purpose": "credit-scoring", "datasets": data,
           "features": FEATURES, "project": ids["project"]}  # fmt: skip
    return {
        "login": login,
        "open_session": coded,
        "refresh_login": {"refresh": others["refresh"]},
        "logout": {"refresh": others["refresh"]},
        "poll_device": {"device_code": others["device"]},
        "start_device": {"client": "training-3"},
        "enroll": {"token": others["enrolment"], "csr": "x", "name": "agent-2"},
        "change_password": {"old": PASSWORD, "new": "five quite other words"},
        "confirm_second_factor": {"code": others["later"]},
        "remove_second_factor": {"code": others["recovery"]},
        "submit_job": job,
        "dry_run_job": job,
        "create_token": {"label": "ci", "days": 30, "scopes": ["jobs"]},
        "create_user": {"name": "eve", "password": PASSWORD, "roles": ["auditor"], "display": "E"},
        "create_grant": {"columns": ["age"], "expires": NOW + 60, "project": ids["project"],
                         "purposes": ["credit-scoring"]},
        "create_webhook": {"url": "https://siem.example/", "kinds": ["job_ended"]},
        "update_preferences": {"language": "zh", "silenced": ["job_ended"]},
    }  # fmt: skip


def _encoded(random: Random, text: str) -> str:
    data = text.encode("utf-8", "replace")
    return quote(data, safe=random.choice(("", "", "/:?;[]@!$'()*,")))
