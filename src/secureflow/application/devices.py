"""The device flow (RFC 8628): a program without a browser is logged in by a person elsewhere.

The program gets a secret for itself and a code for people. Somebody who is logged in types the
code, is shown who asks (the program's own name, which may lie, and the address, which does not) and
approves or denies; the program asks for the outcome at an interval. A code has 8 of 20 letters (no
vowels: no words; section 6.1), lasts ten minutes, and is decided once. Guesses of codes are slowed
down per person and per address. What is approved is a login like the person's own, so it takes one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field, replace
from typing import Final

from secureflow.application.access import Principal, require_own
from secureflow.application.accounts import is_active
from secureflow.application.endings import access_of, has_access
from secureflow.application.listing import list_first
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.proofs import require_proof
from secureflow.application.refreshing import Refreshing
from secureflow.application.shares import Share, make_room
from secureflow.application.throttle import Throttle, too_fast
from secureflow.application.tokens import Issued, unauthenticated
from secureflow.application.transactions import Transactions
from secureflow.domain.ids import new_id
from secureflow.domain.logins import Device, DeviceState
from secureflow.kit.addresses import block_of
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
CODE_LENGTH: Final = 8
SECONDS: Final = 600
SLOWER: Final = 5
"""Seconds by which the interval grows when a program asks too early (section 3.5)."""
SHARE: Final = Share(20, 1000)
"""Devices that may ask at a time: no caller has proven anything yet."""
_SHAPE: Final = re.compile(r"sfd_([0-9a-z]{20})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class Started:
    """What a program gets: a secret to ask with, and the code for people."""

    secret: str = field(repr=False)
    code: str
    expires: int
    interval: int


class Devices:
    """Logs programs in with the word of a person who is logged in elsewhere.

    Args:
        begin: starts units of work.
        transactions: those whose changes are recorded.
        refreshing: begins their logins.
        clock: dates them.
        ticks: rate limits for beginnings and guesses.
        key: of the codes' digests, 32 bytes: a copied database gives no codes.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        refreshing: Refreshing,
        clock: Clock,
        ticks: Ticks,
        key: bytes,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._refreshing = refreshing
        self._clock = clock
        self._key = key
        self.share = SHARE
        self._starts = Throttle(1 / 10, 20, ticks)
        self._blocks = Throttle(1 / 2, 60, ticks)
        self._by_user = Throttle(1 / 10, 10, ticks)
        self._by_address = Throttle(1.0, 60, ticks)

    async def start(self, client: str, address: str) -> Started:
        """Begin: anybody may, so they are few per address.

        Args:
            client: the program's own name; one line.
            address: where the request came from, as counted by limits.

        Raises:
            SecureFlowError: `rate_limited`.
        """
        block = block_of(address)
        if wait := self._starts.take(address) or self._blocks.take(block):
            raise too_fast(wait)
        now, secret = self._clock(), secrets.token_urlsafe(32)
        code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))
        digest = hashlib.sha256(secret.encode()).hexdigest()
        device = Device(
            *(new_id("dev"), digest, self._digest(code), client, address, now, now + SECONDS),
            block=block,
        )
        async with self._begin() as work:
            await work.lock("devices")
            await make_room(work.devices, block, now, self.share)
            await work.devices.add(device)
            await work.commit()
        text = f"sfd_{device.id.removeprefix('dev_')}_{secret}"
        return Started(text, _spelled(code), device.expires, device.interval)

    async def find(self, principal: Principal, code: str, address: str) -> Device:
        """Return who asks, for the person who is to decide.

        Raises:
            SecureFlowError: `not_found`, `rate_limited`, `scope_too_narrow`.
        """
        require_own(principal, "device.decide")
        async with self._begin() as work:
            device = await self._guessed(work, principal, code, address)
        return replace(device, digest="", code="")

    async def decide(
        self, principal: Principal, code: str, address: str, *, approve: bool
    ) -> Device:
        """Approve or deny, once.

        Raises:
            SecureFlowError: `not_found`, `rate_limited`, `scope_too_narrow`; `unauthenticated` if
                the caller's own access was ended meanwhile; `proof_required` to approve.
        """
        require_own(principal, "device.decide")
        state = DeviceState.APPROVED if approve else DeviceState.DENIED
        async with self._transactions(held=True, numbered=False) as transaction:
            work = transaction.work
            found = await self._guessed(work, principal, code, address)
            await work.lock(f"device/{found.id}")
            device = await self._guessed(work, principal, code, address)
            access = access_of(principal)
            if approve and access and not await has_access(work, principal.user, access):
                raise unauthenticated()
            if approve:
                await require_proof(work, principal, self._clock())
            user = principal.user if approve else ""
            await work.devices.save(replace(device, state=state, user=user))
            about = {"user": principal.user, "organisation": principal.organisation}
            kind = "device.approved" if approve else "device.denied"
            transaction.record(kind, {**about, "device": device.id})
            return transaction.answer(replace(device, digest="", code=""))

    async def poll(self, text: str) -> Issued:
        """Return the login of a device that was approved; it is given once.

        Raises:
            SecureFlowError: `authorization_pending`; `slow_down` with the interval to keep from now
                on; `access_denied`; `device_code_expired`.
        """
        async with self._begin() as work:  # strangers with wrong secrets lock nothing
            key = (await _holder(work, text)).id
        async with self._transactions(held=True, numbered=False) as transaction:
            work = transaction.work
            await work.lock(f"device/{key}")
            device = await _holder(work, text)
            user = await work.users.find(device.user) if device.user else None
            pending = device.state is DeviceState.PENDING and self._clock() < device.expires
            if pending:
                refusal = await self._ask_again(work, device)
            else:
                await work.devices.remove(device.id)
                refusal = _denied() if device.state is DeviceState.DENIED else _expired()
                approved = device.state is DeviceState.APPROVED and self._clock() < device.expires
                if approved and user is not None and await is_active(work, user):
                    return await self._refreshing.begin_in(
                        *(transaction, user, "device"), device.address, "device"
                    )
        raise refusal  # what it changed is committed

    async def _ask_again(self, work: UnitOfWork, device: Device) -> SecureFlowError:
        now = self._clock()
        early = 0 <= now - device.asked < device.interval
        interval = device.interval + SLOWER if early else device.interval
        await work.devices.save(replace(device, asked=now, interval=interval))
        if early:
            return SecureFlowError(
                "slow_down",
                "The program asks too often.",
                Text("Ask every {seconds} s.", seconds=interval),
                {"interval": interval, "retry_after": interval},
            )
        return SecureFlowError(
            "authorization_pending",
            "Nobody has decided about this login yet.",
            "Approve it where you are logged in: secureflow login approve CODE.",
            {"interval": interval},
        )

    async def _guessed(
        self, work: UnitOfWork, principal: Principal, typed: str, address: str
    ) -> Device:
        """Return the pending device of a typed code; a wrong one counts as a guess."""
        for throttle, key in ((self._by_user, principal.user), (self._by_address, address)):
            if wait := throttle.take(key):
                raise too_fast(wait)
        code = re.sub(r"[\s-]", "", shown(typed[:32])).upper()
        spelled = _spelled(code) if len(code) == CODE_LENGTH else code
        device = await list_first(work.devices, code=self._digest(code), unexpired=self._clock())
        if device is None or device.state is not DeviceState.PENDING:
            raise SecureFlowError(
                "not_found",
                Text("No program waits with the code {code}.", code=spelled),
                "Compare it with what the program shows; a code lasts ten minutes.",
            )
        self._by_user.give_back(principal.user)
        self._by_address.give_back(address)
        return device

    def _digest(self, code: str) -> str:
        return hmac.digest(self._key, code.encode(), "sha256").hex()


def _spelled(code: str) -> str:
    return f"{code[: CODE_LENGTH // 2]}-{code[CODE_LENGTH // 2 :]}"


async def _holder(work: UnitOfWork, text: str) -> Device:
    """Return the device of a secret; raises `device_code_expired`."""
    match = _SHAPE.fullmatch(text)
    device = await work.devices.find(f"dev_{match[1]}") if match else None
    digest = hashlib.sha256(match[2].encode()).hexdigest() if match else ""
    if device is None or not hmac.compare_digest(digest, device.digest):
        raise _expired()
    return device


def _denied() -> SecureFlowError:
    return SecureFlowError(
        "access_denied", "The login was denied.", "Begin again: secureflow login URL --device."
    )


def _expired() -> SecureFlowError:
    return SecureFlowError(
        "device_code_expired",
        "This code has expired, or its login was fetched already.",
        "Begin again: secureflow login URL --device.",
    )
