"""The use cases around people, and how they come in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from secureflow.application.derivedkeys import derived_key
from secureflow.application.devices import Devices
from secureflow.application.failedlogins import FailedLogins
from secureflow.application.identities import Identities, LoginProvider
from secureflow.application.loginplaces import Places
from secureflow.application.logins import Logins
from secureflow.application.oidc import OidcLogins
from secureflow.application.passwords import Passwords
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.application.proofs import Proofs
from secureflow.application.refreshing import Refreshing
from secureflow.application.secondfactors import SecondFactors
from secureflow.application.sessions import Sessions
from secureflow.application.tokens import Tokens
from secureflow.application.transactions import Transactions
from secureflow.application.users import Users
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.crypto import SigningKey
from secureflow.server.bounds import Bounds


@dataclass(frozen=True)
class People:
    """The use cases around people."""

    failed_logins: FailedLogins
    logins: Logins
    proofs: Proofs
    tokens: Tokens
    sessions: Sessions
    second_factors: SecondFactors
    refreshing: Refreshing
    devices: Devices
    oidc: OidcLogins
    users: Users


def make_people(
    begin: UnitOfWorkFactory,
    transactions: Transactions,
    clock: Clock,
    ticks: Ticks,
    bounds: Bounds,
    sealing_key: SigningKey,
    trust_domain: str,
    providers: Mapping[str, LoginProvider],
) -> People:
    """Return the use cases around people.

    Args:
        begin, transactions, clock: of the platform.
        ticks: paces their guesses.
        bounds: what settings bound.
        sealing_key: what the keys are derived from under which secrets lie in the database.
        trust_domain: the platform's name in an authenticator app.
        providers: of logins elsewhere.
    """
    quotas, rules, key = bounds.quotas, bounds.rules, partial(derived_key, sealing_key)
    passwords = Passwords(rules.password_length)
    failed = FailedLogins(transactions, clock)
    factors = SecondFactors(
        *(begin, transactions, clock, ticks, key("second factors"), rules.require_second_factor),
        trust_domain,
    )
    places = Places(key("login places"))
    refreshing = Refreshing(transactions, clock, key("refresh tokens"), quotas.tokens, places)
    logins = Logins(begin, passwords, ticks, failed, factors)
    sessions = Sessions(begin, transactions, clock, bounds.sessions, places, factors.allowed)
    identities = Identities(begin, transactions, providers, quotas, clock, failed)
    return People(
        failed_logins=failed,
        logins=logins,
        proofs=Proofs(begin, logins, clock),
        tokens=Tokens(begin, transactions, logins, clock, quotas.tokens, places, factors.allowed),
        sessions=sessions,
        second_factors=factors,
        refreshing=refreshing,
        devices=Devices(begin, transactions, refreshing, clock, ticks, key("device codes")),
        oidc=OidcLogins(begin, identities, sessions, failed, clock, ticks),
        users=Users(begin, transactions, passwords, clock, quotas, ticks, logins.forget),
    )
