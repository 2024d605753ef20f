"""Canonical JSON (RFC 8785, JCS) and digests over it.

Everything that is signed or hashed as JSON goes through `canonical_bytes`. Integers beyond
±(2^53-1) and NaN/Infinity have no canonical form and are refused. The centre serialises every
message of every party this way, so strings are escaped by Python's C encoder, many times as fast as
in the `rfc8785` package; that package serialises the numbers, and a test compares both.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring
from typing import Any, Final

import rfc8785

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

JSON = Any
"""A JSON value to or from elsewhere, whose content has not been checked."""
MAX_INTEGER: Final = 2**53 - 1
_AT_ONCE: Final = 4096
_NO_FORM: Final = (rfc8785.CanonicalizationError, RecursionError, UnicodeError)
_NUMBERS: Final = {int, float}
_LONG: Final = re.compile(r"[0-9]{16}")
"""Fewer digits are a whole number within ±(2^53-1)."""
_WORDS: Final = {None: "null", True: "true", False: "false"}


def canonical_bytes(value: Any) -> bytes:
    """Return the RFC 8785 bytes of a JSON value.

    Raises:
        SecureFlowError: `not_canonical` when the value has no canonical form.
    """
    parts: list[str] = []
    try:
        _spell(value, parts.append)
        return "".join(parts).encode("utf-8")  # refuses lone surrogates
    except _NO_FORM as error:
        raise _not_canonical(error) from error


def sha256(data: bytes) -> bytes:
    """Return the 32-byte SHA-256 digest."""
    return hashlib.sha256(data).digest()


def digest(value: Any) -> str:
    """Return the lowercase hex SHA-256 of the canonical bytes of a JSON value.

    The bytes are never in memory as a whole: a script's question to hundreds of parties is long.

    Raises:
        SecureFlowError: `not_canonical`.
    """
    hasher = hashlib.sha256()
    parts: list[str] = []

    def take() -> None:
        hasher.update("".join(parts).encode("utf-8"))
        parts.clear()

    def add(part: str) -> None:
        parts.append(part)
        if len(part) > _AT_ONCE or len(parts) > _AT_ONCE:
            take()

    try:
        _spell(value, add)
        take()
    except _NO_FORM as error:
        raise _not_canonical(error) from error
    return hasher.hexdigest()


def parse_json(data: bytes | str, limit: int = 1 << 20) -> Any:
    """Parse foreign JSON: size-bounded, strict UTF-8, no NaN or Infinity, no duplicate keys.

    A number is a double (RFC 8785), whole ones up to ±(2^53-1) are `int`: a larger one is read as
    the double that JCS writes without a point, so a value written as a float is read as one.

    Raises:
        SecureFlowError: `malformed_json` naming the reason.
    """
    if len(data) > limit:
        raise _malformed(
            Text("it has {count} bytes, more than {limit}", count=len(data), limit=limit)
        )
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        return json.loads(
            text,
            parse_int=_integer if _LONG.search(text) else int,
            parse_float=_finite,
            parse_constant=_no_constant,
            object_pairs_hook=_unique_keys,
        )
    except (ValueError, RecursionError) as error:
        raise _malformed(str(error)) from error


def b64encode(data: bytes) -> str:
    """Return standard base64 text."""
    return base64.b64encode(data).decode("ascii")


def b64decode(text: str, limit: int = 1 << 20) -> bytes:
    """Decode standard base64 text of at most `limit` characters, in its one canonical form.

    Python's own strict mode lets stray padding and trailing bits through: two encodings of one key
    would pass for two keys.

    Raises:
        SecureFlowError: `malformed_base64`.
    """
    if len(text) > limit:
        raise SecureFlowError(
            "malformed_base64", Text("base64 text longer than {limit} characters", limit=limit)
        )
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SecureFlowError(
            "malformed_base64", Text("not base64: {error}", error=error)
        ) from error
    if b64encode(data) != text:
        raise SecureFlowError("malformed_base64", "not canonical base64: stray padding or bits")
    return data


def _not_canonical(error: Exception) -> SecureFlowError:
    return SecureFlowError(
        "not_canonical",
        Text("The value has no canonical JSON form: {error}", error=error),
        "Use strings, finite numbers, integers below 2^53, lists and objects.",
    )


def _spell(value: Any, add: Callable[[str], None]) -> None:
    """Add the canonical text of a value piece by piece."""
    if isinstance(value, str):
        add(encode_basestring(value))
    elif isinstance(value, dict):
        _spell_object(value, add)
    elif isinstance(value, list | tuple):
        if 0 < len(value) <= _AT_ONCE and (types := set(map(type, value))) <= _NUMBERS:
            add(f"[{_spelt_numbers(value, types)}]")  # sums of figures: most of a round's bytes
            return
        before = "["
        for one in value:
            add(before)
            _spell(one, add)
            before = ","
        add("]" if value else "[]")
    elif value is None or isinstance(value, bool):
        add(_WORDS[value])
    else:
        add(_spelt_number(value))


def _spelt_numbers(value: Sequence[Any], types: set[type]) -> str:
    """Return the text of numbers of these types; `bool` is none of them."""
    if types == {int} and -MAX_INTEGER <= min(value) <= max(value) <= MAX_INTEGER:
        return ",".join(map(str, value))
    return ",".join(map(_spelt_number, value))


def _spelt_number(value: float) -> str:
    if type(value) is int and -MAX_INTEGER <= value <= MAX_INTEGER:
        return str(value)
    return rfc8785.dumps(value).decode("ascii")


def _spell_object(value: dict[Any, Any], add: Callable[[str], None]) -> None:
    before = "{"
    for key in _in_order(value):
        one = value[key]
        if type(one) is str:  # most strings are: saves one piece each
            add(f"{before}{encode_basestring(key)}:{encode_basestring(one)}")
        else:
            add(f"{before}{encode_basestring(key)}:")
            _spell(one, add)
        before = ","
    add("}" if value else "{}")


def _in_order(value: dict[Any, Any]) -> list[str]:
    """Return the keys sorted by UTF-16 code units, which for ASCII is Python's own order."""
    try:
        plain = "".join(value).isascii()
    except TypeError as error:
        raise rfc8785.CanonicalizationError("object keys must be strings") from error
    return sorted(value) if plain else sorted(value, key=_units)


def _units(key: str) -> bytes:
    return key.encode("utf-16-be")


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_json", Text("The JSON text is malformed: {reason}.", reason=reason)
    )


def _integer(text: str) -> int | float:
    if len(text) < 16:  # no closer check needed
        return int(text)
    value = _finite(text)
    return value if abs(value) > MAX_INTEGER else int(text)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        message = f"{text[:40]} is beyond every double"
        raise ValueError(message)
    return value


def _no_constant(name: str) -> None:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        message = "an object has a duplicate key"
        raise ValueError(message)
    return value
