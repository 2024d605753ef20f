"""One suite over every adapter of `KeyVault`: a passphrase, a key, several, a PKCS#11 token."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secureflow.adapters.keyvault.secretvault import (
    LEAST_LOG2,
    PassphraseVault,
    WrappingKeyVault,
    new_key,
    secret_vault,
)
from secureflow.adapters.keyvault.tokenvault import TokenVault
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.keyenvelope import Envelope, KeyLabel, parse_envelope
from secureflow.kit.keyvault import KeyVault, KeyVaultError

SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "8765-4321"
LABEL = KeyLabel("log", "demo.test/log")
SECRET = b"a private key \x00\xff" * 20
NOW = 1_700_000_000
KINDS = ("passphrase", "key", "several", "pkcs11")

Token = Callable[[str], TokenVault]


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    """A SoftHSM token; skipped, and said so, where SoftHSM or python-pkcs11 is not installed."""
    util = shutil.which("softhsm2-util")
    pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed: extra pkcs11")
    if util is None or not SOFTHSM.exists():
        pytest.skip(f"no SoftHSM: {SOFTHSM} and softhsm2-util are in Debian's softhsm2")
    folder = tmp_path_factory.mktemp("hsm")
    (folder / "tokens").mkdir()
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(config))
        words = ["--init-token", "--free", "--label", "tests", "--so-pin", "12345678", "--pin", PIN]
        subprocess.run([util, *words], check=True, capture_output=True)
        yield lambda pin: TokenVault(SOFTHSM, "tests", "secureflow", lambda: pin)
        pkcs11.unload(str(SOFTHSM))


@pytest.fixture(params=KINDS)
def two(request: pytest.FixtureRequest) -> tuple[KeyVault, KeyVault]:
    """Two vaults of a kind with different wrapping keys."""
    if request.param == "passphrase":
        return PassphraseVault("one long phrase", LEAST_LOG2), PassphraseVault("other", LEAST_LOG2)
    if request.param == "key":
        return WrappingKeyVault(b"k" * 32), WrappingKeyVault(b"j" * 32)
    if request.param == "several":
        lines = f"{new_key()}\n{new_key()}\n"
        return secret_vault(lines, LEAST_LOG2, "FILE"), WrappingKeyVault(b"j" * 32)
    vault = request.getfixturevalue("token")(PIN)
    vault.make_key()
    return vault, WrappingKeyVault(b"j" * 32)


def test_what_it_wraps_it_unwraps_from_its_text(two: tuple[KeyVault, KeyVault]) -> None:
    vault, other = two
    made = vault.wrap(LABEL, SECRET, "ab" * 32, NOW)
    assert (made.label, made.public, made.since) == (LABEL, "ab" * 32, NOW)
    read = parse_envelope(made.text(), "FILE")
    assert read == made
    assert vault.unwrap(read) == SECRET
    assert vault.wrapped(read)
    assert other.unwrap(read) is None
    assert not other.wrapped(read)
    assert SECRET[:14] not in made.text()
    assert vault.wrap(LABEL, SECRET, "", NOW).sealed != made.sealed  # a fresh nonce each time


@pytest.mark.parametrize(
    "change",
    [
        {"label": KeyLabel("link", "demo.test/log")},
        {"label": KeyLabel("log", "other.test/log")},
        {"public": "cd" * 32},
        {"since": NOW + 1},
        {"nonce": b"n" * 12},
        {"sealed": b"s" * 64},
    ],
    ids=lambda change: next(iter(change)),
)
def test_nothing_of_it_can_be_changed(
    two: tuple[KeyVault, KeyVault], change: dict[str, Any]
) -> None:
    vault, _ = two
    made = vault.wrap(LABEL, SECRET, "ab" * 32, NOW)
    assert vault.unwrap(made) == SECRET
    with pytest.raises(KeyVaultError) as refused:
        vault.unwrap(replace(made, **change))
    assert refused.value.code == "wrapped_key_changed"


def test_a_passphrase_costs_one_derivation_for_all_keys() -> None:
    first, began = PassphraseVault("one long phrase", LEAST_LOG2), time.process_time()
    made = [first.wrap(KeyLabel("log", f"o{n}"), SECRET, "", NOW) for n in range(30)]
    again = PassphraseVault("one long phrase", LEAST_LOG2)
    assert all(again.unwrap(one) == SECRET for one in made)
    assert len({one.parameters["salt"] for one in made}) == 1
    assert time.process_time() - began < 20 * 0.1  # two derivations, not sixty
    assert again.wrap(LABEL, SECRET, "", NOW).parameters == made[0].parameters


def test_a_dearer_passphrase_is_a_reason_to_wrap_again() -> None:
    cheap, dear = (PassphraseVault("one long phrase", LEAST_LOG2 + more) for more in (0, 1))
    made = cheap.wrap(LABEL, SECRET, "", NOW)
    assert dear.unwrap(made) == SECRET
    assert not dear.wrapped(made)


@pytest.mark.parametrize("log2", [0, LEAST_LOG2 - 1, 21, 63, "16", True])
def test_a_foreign_cost_is_not_paid(log2: Any) -> None:
    vault = PassphraseVault("one long phrase", LEAST_LOG2)
    made = vault.wrap(LABEL, SECRET, "", NOW)
    with pytest.raises(KeyVaultError, match="changed"):
        vault.unwrap(replace(made, parameters={**made.parameters, "log2": log2}))


def test_the_first_line_wraps_and_the_others_unwrap() -> None:
    old, new = new_key(), "a phrase of several words"
    made = secret_vault(old, LEAST_LOG2, "FILE").wrap(LABEL, SECRET, "", NOW)
    both = secret_vault(f"{new}\n{old}\n", LEAST_LOG2, "FILE")
    assert both.unwrap(made) == SECRET
    assert not both.wrapped(made)
    assert both.source == "passphrase"
    assert both.wrapped(both.wrap(LABEL, SECRET, "", NOW))


@pytest.mark.parametrize("text", ["", "\n \n", "short", "a" * 64, f"{new_key()}\n" * 9])
def test_a_text_that_is_no_wrapping_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(KeyVaultError) as refused:
        secret_vault(text, LEAST_LOG2, "FILE")
    assert refused.value.code in {"wrapping_key_unavailable", "wrapping_key_weak"}
    assert not text.strip() or text.strip() not in str(refused.value)


def test_the_newest_key_of_a_token_wraps_and_none_can_be_read(token: Token) -> None:
    import pkcs11

    vault = token(PIN)
    vault.make_key()
    made = vault.wrap(LABEL, SECRET, "", NOW)
    vault.make_key()
    assert not vault.wrapped(made)
    assert vault.unwrap(made) == SECRET
    opened = pkcs11.lib(str(SOFTHSM)).get_token(token_label="tests").open(user_pin=PIN)
    with opened as session:
        for key in session.get_objects({pkcs11.Attribute.LABEL: "secureflow"}):
            assert not key[pkcs11.Attribute.EXTRACTABLE]
            with pytest.raises(pkcs11.PKCS11Error):
                key[pkcs11.Attribute.VALUE]
    newest = vault.wrap(LABEL, SECRET, "", NOW)
    assert vault.remove_older() >= 1
    assert vault.unwrap(newest) == SECRET
    assert vault.unwrap(made) is None


@pytest.mark.parametrize(("pin", "module"), [("wrong", SOFTHSM), (PIN, Path("/nowhere.so"))])
def test_a_token_that_cannot_be_used_is_named(token: Token, pin: str, module: Path) -> None:
    token(PIN)
    vault = TokenVault(module, "tests", "secureflow", lambda: pin)
    with pytest.raises(KeyVaultError, match="token tests cannot be used") as refused:
        vault.wrap(LABEL, SECRET, "", NOW)
    assert refused.value.code == "wrapping_key_unavailable"
    assert pin not in str(refused.value)


def test_a_token_without_the_key_says_how_to_make_it(token: Token) -> None:
    token(PIN)
    vault = TokenVault(SOFTHSM, "tests", "another", lambda: PIN)
    with pytest.raises(KeyVaultError, match="has no AES key") as refused:
        vault.wrap(LABEL, SECRET, "", NOW)
    assert "secureflow keys rotate" in refused.value.hint


def test_an_envelope_of_another_scheme_is_not_its_own() -> None:
    blank = Envelope(LABEL, "later", "ab", "", NOW, b"n" * 12, {}, b"s" * 32)
    for vault in (PassphraseVault("one long phrase"), WrappingKeyVault(b"k" * 32)):
        assert vault.unwrap(blank) is None
        assert not vault.wrapped(blank)


def test_errors_are_of_the_root() -> None:
    assert issubclass(KeyVaultError, SecureFlowError)
