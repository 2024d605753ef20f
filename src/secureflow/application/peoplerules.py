"""What the operator demands of people's passwords and logins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from secureflow.application.passwordrules import MIN_LENGTH
from secureflow.domain.specs.base import STRICT
from secureflow.domain.users import Role


@dataclass(frozen=True)
class PeopleRules:
    """Rules for accounts.

    Args:
        password_length: the minimum length of new passwords.
        require_second_factor: the roles whose people need one; until they have enrolled it, their
            logins are good for that only.
    """

    __pydantic_config__ = STRICT
    password_length: Annotated[int, Field(ge=8, le=64)] = MIN_LENGTH
    require_second_factor: tuple[Role, ...] = ()
