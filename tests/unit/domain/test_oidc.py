"""Local paths, claims and what they make of a person."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureflow.domain.oidc import (
    MAX_NEXT,
    ClaimMapping,
    Standing,
    account_name,
    identity_id,
    local_path,
    valid_subject,
    values_at,
)
from secureflow.domain.users import Role
from secureflow.kit.errors import SecureFlowError

LOCAL = ("/", "/jobs", "/jobs/", "/jobs/job_01?tab=log&x=a%20b", "/a?u=https://b.example/", "/#x")
ELSEWHERE = (
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https:evil.example",
    "https://evil.example",
    "HTTPS:/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "",
    " /jobs",
    "/jobs\r\nSet-Cookie: a=b",
    "/\tevil.example",
    "/%2fevil.example",
    "/%2Fevil.example",
    "/%5cevil.example",
    "/%5Cevil.example",
    "%2f%2fevil.example",
    "/%252fevil.example",
    "/%25252fevil.example",
    "/%2525252525252fevil.example",
    "/%0d%0aSet-Cookie:%20a=b",
    "/%09/evil.example",
    "/.//evil.example",
    "/x/..//evil.example",
    "/x/%2e%2e//evil.example",
    "/%2e/%2fevil.example",
    "/..",
    "/./x",
    "///evil.example",
    "/a//evil.example",
    "/\u3000/evil.example",
    "/%ff",
    "/\u2215evil.example",
    "/x" * MAX_NEXT,
)


@pytest.mark.parametrize("text", LOCAL)
def test_a_login_may_lead_to_a_path_of_this_site(text: str) -> None:
    assert local_path(text) == text


@pytest.mark.parametrize("text", ELSEWHERE)
def test_open_redirects_are_refused(text: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        local_path(text)
    assert caught.value.code == "invalid_next"


@given(st.text(max_size=40) | st.text("/\\%25fF.:ae", max_size=24))
def test_whatever_is_let_through_has_no_host(text: str) -> None:
    try:
        path = local_path(text)
    except SecureFlowError:
        return
    assert path[:1] == "/"
    assert path[1:2] not in {"/", "\\"}
    assert "\\" not in path


KEYCLOAK = {"realm_access": {"roles": ["sf-scientist", "offline_access"]}, "groups": ["/staff"]}
CASDOOR = {"owner": "bank-a", "roles": [{"name": "scientist"}, {"name": "other"}, "x", None]}
MAPPING = ClaimMapping(
    organisation_claim=("owner",),
    organisations={"bank-a": "bank-a", "bank-b": "bank-b"},
    roles_claim=("roles", "name"),
    role_names={"scientist": Role.DATA_SCIENTIST, "root": Role.PLATFORM_ADMIN},
)


def test_values_are_found_where_providers_have_them() -> None:
    assert values_at(KEYCLOAK, ("realm_access", "roles")) == ["sf-scientist", "offline_access"]
    assert values_at(CASDOOR, ("roles", "name")) == ["scientist", "other"]
    assert values_at(CASDOOR, ("owner",)) == ["bank-a"]
    assert values_at(CASDOOR, ("nothing", "there")) == []
    assert values_at(CASDOOR, ()) == []


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3),
                    lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
                    max_leaves=12))  # fmt: skip
def test_claims_of_any_form_give_texts_or_nothing(value: Any) -> None:
    found = values_at({"a": value}, ("a", "b"))
    assert all(isinstance(one, str) for one in found)


def test_claims_become_organisation_and_roles() -> None:
    assert MAPPING.standing(CASDOOR) == Standing("bank-a", (Role.DATA_SCIENTIST,))
    fixed = ClaimMapping(organisation="bank-c", roles=(Role.AUDITOR,))
    assert fixed.standing({}) == Standing("bank-c", (Role.AUDITOR,))
    assert fixed.reach == {"bank-c"}
    assert MAPPING.reach == {"bank-a", "bank-b", ""}


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"owner": "bank-a"}, "no group"),
        ({"owner": "bank-a", "roles": [{"name": "Scientist"}]}, "no group"),
        ({"roles": [{"name": "scientist"}]}, "no organisation"),
        ({"owner": "bank-z", "roles": [{"name": "scientist"}]}, "no organisation"),
        ({"owner": ["bank-a", "bank-b"], "roles": [{"name": "scientist"}]}, "several"),
        ({"owner": "bank-a", "roles": "platform-admin"}, "no group"),
    ],
)
def test_who_maps_to_nothing_is_refused_with_the_reason(
    claims: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        MAPPING.standing(claims)
    assert caught.value.code == "identity_refused"
    assert reason in caught.value.message


def test_the_operators_people_belong_to_no_organisation() -> None:
    claims = {"owner": "bank-a", "roles": [{"name": "root"}, {"name": "scientist"}]}
    assert MAPPING.standing(claims) == Standing("", (Role.PLATFORM_ADMIN,))


def test_an_identity_is_one_issuer_and_one_subject() -> None:
    ids = {
        identity_id("https://a.example", "1"),
        identity_id("https://a.example", "2"),
        identity_id("https://b.example", "1"),
        identity_id("https://a.example1", ""),
    }
    assert len(ids) == 4
    assert identity_id("https://a.example", "1") in ids


@pytest.mark.parametrize("value", ["", "x" * 256, "a\nb", "ä", 5, None, ["a"]])
def test_what_is_no_subject(value: object) -> None:
    assert not valid_subject(value)


def test_names_of_new_accounts_are_plain() -> None:
    assert account_name({"preferred_username": "Ada.Lovelace@bank"}, "x") == "ada.lovelace@bank"
    assert account_name({"preferred_username": "../Ada B\x1b[2J"}, "x") == "ada-b-2j"
    assert account_name({"preferred_username": "王小明"}, "sso-1") == "sso-1"
    assert account_name({"preferred_username": ["a"]}, "sso-1") == "sso-1"
    assert account_name({"email": "root@bank"}, "sso-1") == "sso-1"
    assert len(account_name({"preferred_username": "x" * 500}, "y")) == 48
