"""`secureflow identity` and `secureflow server check --providers`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.unit.cli.conftest import Centre

Cli = Callable[..., tuple[int, str, str]]
KEY = "usr_00000000000000000000"
IDENTITY = {"id": "idn_1", "provider": "sso", "issuer": "https://sso.example",
            "subject": "248289761001\x1b[2J", "created": 1}  # fmt: skip
USER = {"id": KEY, "name": "ada", "organisation": "bank-a", "roles": []}


def test_identities_are_bound_listed_and_removed(centre: Centre, cli: Cli) -> None:
    path = f"/users/{KEY}/identities"
    centre.answers |= {
        f"GET /users/{KEY}": (200, USER),
        f"GET {path}": (200, {"items": [IDENTITY], "next": ""}),
        f"POST {path}": (201, IDENTITY),
        f"DELETE {path}/idn_1": (204, b""),
    }
    code, out, _ = cli("identity", "list", KEY)
    assert (code, "sso" in out, "\x1b" in out) == (0, True, False)
    assert cli("identity", "bind", KEY, "sso", "248289761001", "--yes")[0] == 0
    assert centre.asked[-1][2] == {"provider": "sso", "subject": "248289761001"}
    assert cli("identity", "unbind", KEY, "idn_1", "--yes")[0] == 0
    assert centre.asked[-1][0] == f"DELETE {path}/idn_1"


def test_a_provider_that_nobody_reaches_ends_the_check(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "server.yaml"
    config.write_text("""
identity:
  oidc:
    - name: sso
      issuer: http://127.0.0.1:9
      client_id: secureflow
      redirect: https://centre.example
      loopback_http: true
      organisation: {fixed: bank-a}
      roles: {fixed: [auditor]}
""")
    code, out, err = cli("server", "check", "--providers", "--config", config)
    assert (code, "does not answer" in out + err) == (6, True)
