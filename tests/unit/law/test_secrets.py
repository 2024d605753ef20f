"""No object shows a secret: not its repr, not a log line, not a saved session."""

from __future__ import annotations

import ast
import copy
import importlib
import pickle
import pkgutil
import pprint
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import secureflow
from secureflow.sdk import Profile
from secureflow.sdk.answers import build
from secureflow.sdk.calls import Call
from secureflow.sdk.connection import Connection
from secureflow.sdk.renewal import Tokens
from secureflow.sdk.views import (
    Account,
    DeviceCodes,
    Enrolling,
    IssuedEnrolment,
    IssuedToken,
    RecoveryCodes,
    Session,
)
from tests.syntax import nodes

SOURCE = Path(secureflow.__file__).parent
SECRET = "sft_canary_2b7e151628aed2a6"
NAMES = {
    "token",
    "refresh",
    "recovery",
    "device_code",
    "secret",
    "secrets",
    "password",
    "old",
    "new",
    "salt",
    "shares",
    "seeds",
}
BYTES = {"seed", "key"}
"""Names of fields that are secret when they are bytes."""
OPEN = {
    ("application/access.py", "Principal", "token"): "the token's public id",
    ("server/rest/session.py", "LoginRequest", "refresh"): "whether a refresh token is wanted",
    ("sdk/renewal.py", "Renewable", "token"): "a protocol, which holds nothing",
    ("sdk/renewal.py", "Renewable", "refresh"): "a protocol, which holds nothing",
    ("application/tokens.py", "Issued", "token"): "the record, which holds a digest",
    ("engines/training/models.py", "UpdateLayout", "seeds"): "how many words a seed has",
    ("demo/study.py", "Study", "shares"): "who has which rows of the demo's table",
    ("engines/ledger/bundle_format.py", "BundleEntry", "salt"): "handed out in bundles",
    ("server/rest/audit.py", "Entry", "salt"): "handed out to who may read the document",
    ("engines/anchors/entries.py", "SetContributions", "shares"): "basis points, for everybody",
}
HOLDERS = (
    Session(SECRET, 1, Account("usr_1", "sam")),
    IssuedToken("tok_1", token=SECRET),
    IssuedEnrolment("enr_1", token=SECRET),
    Session("sft_x", 1, Account("usr_1", "sam"), SECRET),
    DeviceCodes(SECRET, "BCDF-GHJK", 9),
    Enrolling(SECRET, f"otpauth://totp/x?secret={SECRET}"),
    RecoveryCodes((SECRET,)),
    Tokens(SECRET, SECRET),
    Profile("https://c.example", token=SECRET, refresh=SECRET),
    Connection("https://c.example", SECRET),
)


def _fields() -> Iterator[tuple[tuple[str, str, str], str, str]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in nodes(path):
            if not isinstance(node, ast.ClassDef):
                continue
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    place = (path.relative_to(SOURCE).as_posix(), node.name, field.target.id)
                    value = ast.unparse(field.value) if field.value else ""
                    yield place, ast.unparse(field.annotation), value


def test_every_field_with_a_secret_is_left_out_of_repr() -> None:
    shown = {
        place
        for place, kind, value in _fields()
        if (place[2] in NAMES or (place[2] in BYTES and kind.startswith("bytes")))
        and "repr=False" not in value
        and "SecretStr" not in kind
    }
    assert shown <= set(OPEN), shown - set(OPEN)


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda one: type(one).__name__)
def test_sdk_objects_neither_show_nor_save_their_secret(holder: Any) -> None:
    told = [repr(holder), str(holder), f"{holder}", pprint.pformat(holder), repr([holder])]
    assert not [text for text in told if SECRET in text]
    for save in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError) as refused:
            save(holder)
        assert SECRET not in str(refused.value)


def test_a_login_call_and_a_broken_answer_show_nothing() -> None:
    call = Call("POST", "/login", lambda _: None, body={"password": SECRET})
    assert SECRET not in repr(call)
    with pytest.raises(secureflow.kit.errors.SecureFlowError) as refused:
        build(Session, {"token": SECRET})
    error: BaseException | None = refused.value
    while error is not None:
        assert SECRET not in str(error)
        assert SECRET not in repr(error)
        error = error.__cause__


@pytest.mark.parametrize("unwritable", [float("nan"), object(), {1, 2}])
def test_not_even_a_verbose_traceback_shows_the_token(unwritable: Any) -> None:
    """IPython's `%xmode Verbose` and rich print the local variables of every frame."""
    from secureflow.kit.errors import SecureFlowError

    connection = Connection("https://c.example", SECRET)
    call = Call("POST", "/jobs", lambda _: None, body={"x": unwritable})
    with pytest.raises(SecureFlowError) as refused:
        connection.request_of(call)
    assert refused.value.code == "invalid_request"
    told = traceback.TracebackException.from_exception(refused.value, capture_locals=True)
    assert SECRET not in "".join(told.format())
    sent = connection.request("GET", "/me", extra={"Accept": "text/event-stream"})
    assert sent.headers["Authorization"] == f"Bearer {SECRET}"
    assert sent.headers["Accept"] == "text/event-stream"


def test_request_bodies_show_nothing() -> None:
    from secureflow.server.rest.devices import DeviceQuestion
    from secureflow.server.rest.secondfactors import CodeRequest
    from secureflow.server.rest.session import LoginRequest, PasswordChange, RefreshRequest
    from secureflow.server.rest.users import UserChange, UserRequest

    bodies = (
        LoginRequest(name="sam", password=SECRET),
        PasswordChange(old=SECRET, new=SECRET),
        UserChange(password=SECRET),
        RefreshRequest(refresh=SECRET),
        CodeRequest(code=SECRET),
        DeviceQuestion(device_code=SECRET),
        UserRequest(name="sam", password=SECRET, roles=["auditor"]),  # type: ignore[list-item]
    )
    assert not [body for body in bodies if SECRET in repr(body) + str(body)]


def test_every_module_of_the_sdk_was_looked_at() -> None:
    import secureflow.sdk

    found = [one.name for one in pkgutil.iter_modules(secureflow.sdk.__path__)]
    holders = {type(one) for one in HOLDERS}
    for name in found:
        module = importlib.import_module(f"secureflow.sdk.{name}")
        for value in vars(module).values():
            if isinstance(value, type) and "token" in getattr(value, "__dataclass_fields__", {}):
                assert value in holders, value
