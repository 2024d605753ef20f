"""`secureflow engine`: what there is, what is refused, and what each says next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent.owner.engines import INSTALLABLE

SETTINGS = """
directory: .
organisation: bank-a
server: https://localhost:8443
link: localhost:8444
trust_domain: x.example
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "agent.yaml"
    path.write_text(SETTINGS)
    return path


def test_the_list_says_what_there_is_and_how_to_have_it(cli: Any, config: Path) -> None:
    status, out, _ = cli("engine", "list", "--config", config, "--output", "json")
    assert status == 0
    rows = {one["name"]: one for one in json.loads(out)}
    assert set(rows) == set(INSTALLABLE)
    assert {one["state"] for one in rows.values()} == {"absent"}
    status, out, err = cli("engine", "list", "--config", config)
    assert status == 0
    assert "not installed" in out
    assert "secureflow engine install" in err


@pytest.mark.parametrize("verb", ["install", "remove", "doctor"])
def test_an_engine_that_there_is_not_is_told_with_those_that_there_are(
    cli: Any, config: Path, verb: str
) -> None:
    more = ("--yes",) if verb == "remove" else ()
    status, _, err = cli("engine", verb, "nix", "--config", config, *more)
    assert status == 4
    assert "engine_unknown" in err
    assert "mpyc" in err


def test_what_is_not_installed_is_neither_removed_nor_well(cli: Any, config: Path) -> None:
    for verb in (("remove", "mpyc", "--yes"), ("doctor", "mpyc")):
        status, _, err = cli("engine", *verb, "--config", config)
        assert status == 5
        assert "engine_absent" in err
        assert "secureflow engine install mpyc" in err


def test_an_installation_says_how_much_it_fetches_and_why_it_failed(
    cli: Any, config: Path, tmp_path: Path
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    told = cli("engine", "install", "mpyc", "--config", config, "--find-links", wheels)
    assert told[0] == 8
    assert "MB to fetch" in told[2]
    assert "environment_failed" in told[2]
    assert [one for one in (tmp_path / "engines").iterdir() if one.is_dir()] == []
    status, _, err = cli(
        "engine", "install", "mpyc", "--config", config, "--find-links", wheels, "--index", "x"
    )
    assert status == 2
    assert "not both" in err
