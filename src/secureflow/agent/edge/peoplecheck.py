"""The doctor's check of who decides at this agent."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from secureflow.agent.edge.check import opened_record
from secureflow.agent.edge.diagnosis import Diagnosis
from secureflow.agent.owner.personrules import (
    DECIDER,
    holds,
)
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def check_people(so_far: Diagnosis) -> str:
    """Say who decides here; rules that ask for two people need two who can decide.

    Raises:
        SecureFlowError: `two_people_needed`, `second_factor_missing`, `record_…`.
    """
    settings = so_far.known
    people = _accounts(so_far)
    deciders = [one for one in people if not one["disabled"] and _decides(one)]
    if settings.consent.two_people and len(deciders) < 2:
        raise SecureFlowError(
            "two_people_needed",
            Text(
                "Rules of agent.yaml ask for two people, and {count} {count:account|accounts} can "
                "decide here: such requests wait for ever.",
                count=len(deciders),
            ),
            "Make accounts for them: secureflow agent people add NAME --role decider.",
        )
    if not people:
        return "no people accounts: whoever has this uid decides"
    here = [one for one in deciders if one["password"]]  # of the others, the provider says it
    without = [one for one in here if not one["confirmed"]]
    if without and settings.control.second_factor == "required":
        raise SecureFlowError(
            "second_factor_missing",
            Text(
                "{count} of {all} {all:account|accounts} that can decide {count:has|have} no "
                "second factor, which control.second_factor asks for.",
                count=len(without),
                all=len(deciders),
            ),
            "Each sets it up: secureflow agent people totp",
        )
    return Text(
        "{count} {count:account|accounts}; {deciding} can decide, {factors} of them with a second "
        "factor",
        count=len(people),
        deciding=len(deciders),
        factors=len(deciders) - len(without),
    )


def _decides(one: Any) -> bool:
    return holds(json.loads(one["roles"]), DECIDER)


def _accounts(so_far: Diagnosis) -> Sequence[Any]:
    """Return the rows of accounts; a record of an older version has none."""
    with opened_record(so_far.known.record) as database:
        try:
            return database.execute(
                "SELECT roles, disabled, confirmed, password FROM people"
            ).fetchall()
        except sqlite3.OperationalError:
            return ()
