"""Whatever bytes a provider sends, its parsers answer with a value or a typed error."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from peers.oidcprovider import b64, rsa_key, signing_key

from secureflow.adapters.identity.fetching import Fetcher
from secureflow.adapters.identity.idtokens import (
    ALGORITHMS,
    Expected,
    Header,
    read_header,
    read_keys,
    verify,
)
from secureflow.adapters.identity.metadata import checked
from secureflow.kit.errors import SecureFlowError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)

FETCHER = Fetcher("sso", frozenset({"sso.example"}))
EXPECTED = Expected("https://sso.example", "client", "nonce", 0, 1000)
ENDPOINTS = st.sampled_from(["https://sso.example/x", "https://evil.example/", "", "x" * 3000])
DESCRIBED = {
    "issuer": st.just("https://sso.example") | VALUES,
    "authorization_endpoint": ENDPOINTS | VALUES,
    "token_endpoint": ENDPOINTS | VALUES,
    "jwks_uri": ENDPOINTS | VALUES,
    "response_types_supported": st.just(["code"]) | VALUES,
    "id_token_signing_alg_values_supported": st.just(["RS256"]) | VALUES,
}
KEYS = ("kty", "kid", "use", "alg", "crv", "n", "e", "x", "y", "k", "d")


def outcome(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or the code of its typed error."""
    try:
        return call()
    except SecureFlowError as error:
        return error.code


@given(st.text(max_size=60) | st.text("ab.-_=", max_size=60) | VALUES)
def test_headers_of_anything(token: Any) -> None:
    header = outcome(lambda: read_header(token, ALGORITHMS))
    assert header == "id_token_refused" or header.algorithm in ALGORITHMS


@given(st.fixed_dictionaries({"alg": st.sampled_from([*ALGORITHMS, "none", "HS256"]) | VALUES},
                             optional={"kid": VALUES, "crit": VALUES, "b64": VALUES}))  # fmt: skip
def test_headers_of_any_json(head: dict[str, Any]) -> None:
    token = f"{b64(json.dumps(head).encode())}.e30.c2ln"
    header = outcome(lambda: read_header(token, ALGORITHMS))
    (key,) = read_keys({"keys": [signing_key().as_dict(private=False)]})
    if header != "id_token_refused":
        assert outcome(lambda: verify(token, header, key, EXPECTED)) == "id_token_refused"


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8) | VALUES, max_size=3)
       | VALUES)  # fmt: skip
def test_key_sets_of_anything(keys: Any) -> None:
    assert len(read_keys({"keys": keys})) <= (len(keys) if isinstance(keys, list) else 0)


@given(st.sampled_from(KEYS), VALUES, st.booleans())
def test_keys_with_one_member_changed(name: str, value: Any, rsa: bool) -> None:
    own = dict((rsa_key() if rsa else signing_key()).as_dict(private=False))
    header = Header("RS256" if rsa else "ES256", "")
    for key in read_keys({"keys": [{**own, name: value}]}):
        assert key.kind == ("RSA" if rsa else "EC")
        refusal = outcome(lambda key=key: verify("e30.e30.c2ln", header, key, EXPECTED))
        assert refusal == "id_token_refused"


@given(st.fixed_dictionaries({}, optional=DESCRIBED))
def test_descriptions_of_anything(found: dict[str, Any]) -> None:
    metadata = outcome(lambda: checked(FETCHER, "https://sso.example", found))
    assert metadata == "provider_untrusted" or metadata.token_endpoint == "https://sso.example/x"
