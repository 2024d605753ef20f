"""The centre's roots while it changes its CA: the issuing one, and its successor or predecessor.

    ca/ca.key    ca/ca.pem        the root that issues
    ca/next.key  ca/next.pem      its successor, announced to the parties; ca/next.proof vouches
    ca/previous.pem               its predecessor, still trusted; its key is gone

`rotate` makes the successor, `switch` lets it issue, `retire` ends the predecessor. The centre may
run: it follows the files (`server.cawatch`), and jobs go on. A party pins the successor when it is
told (`kit.caroots`), over a link that the old root authenticates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from secureflow.adapters.database.engine import Database
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.organisations import Agent
from secureflow.kit.atomic import flush_directory, write_atomically
from secureflow.kit.canonical import JSON, b64encode
from secureflow.kit.caroots import joined, root_name, roots, successor_message
from secureflow.kit.clock import system_clock
from secureflow.kit.disk import remove
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folderlock import folder_lock
from secureflow.kit.keyfiles import CA, CA_NEXT
from secureflow.kit.pki import Authority, key_digest, new_link_key, private_pem, self_signed
from secureflow.kit.text import Text
from secureflow.server.keyfiles import NEXT_KEY, read_authority
from secureflow.server.settings import ServerSettings

NEXT, PROOF, PREVIOUS = "next.pem", "next.proof", "previous.pem"
_PAGE: Final = 200
_STATUS: Final = "See it: secureflow server ca status"


@dataclass(frozen=True)
class Authorities:
    """The roots of a centre.

    Attributes:
        issuing: the root that issues.
        next: PEM of its successor, and the proof; empty if there is none.
        previous: PEM of its predecessor; empty if there is none.
    """

    issuing: Authority
    next: str = ""
    proof: str = ""
    previous: str = ""

    @property
    def trusted(self) -> str:
        """All of them, PEM, in the order of their adoption."""
        return self.previous + self.issuing.pem + self.next

    @property
    def moving(self) -> bool:
        """Whether a change is under way."""
        return bool(self.next or self.previous)

    def greeting(self) -> dict[str, JSON]:
        """Return what parties are told when they link up."""
        told: dict[str, JSON] = {
            "issuing": root_name(roots(self.issuing.pem)[0]),
            "trusted": [root_name(one) for one in roots(self.trusted)],
        }
        return {**told, "next": {"pem": self.next, "proof": self.proof}} if self.next else told


def read_authorities(settings: ServerSettings) -> Authorities:
    """Read the centre's roots.

    Raises:
        SecureFlowError: those of `read_authority`; `certificate_malformed`.
    """
    ca = settings.ca
    if (ca / NEXT).exists() and (ca / PREVIOUS).exists():
        raise _moving(
            "A switch of the CA was interrupted.", "Repeat it: secureflow server ca switch"
        )
    issuing = read_authority(settings)
    successor, previous = (_root(ca / name) for name in (NEXT, PREVIOUS))
    return Authorities(issuing, successor, _text(ca / PROOF).strip() if successor else "", previous)


def rotate(settings: ServerSettings) -> str:
    """Make a successor of the CA and the proof for it; return its fingerprint.

    Raises:
        SecureFlowError: `ca_busy`; `ca_moving` if a change is under way.
    """
    with _changing(settings):
        found = read_authorities(settings)
        if found.moving:
            raise _moving(
                "A change of the CA is under way already.", "See it: secureflow server ca status"
            )
        if found.issuing.above:
            raise SecureFlowError(
                "ca_refused",
                "The CA is an intermediate, and its key cannot vouch for another root than the "
                "one that parties pin.",
                "Make a new centre with another chain before this one ends.",
            )
        now = system_clock()
        key = new_link_key()
        made = Authority(key, self_signed(key, found.issuing.trust_domain, now))
        remove(settings.ca / NEXT_KEY)  # of an attempt that was killed
        keys, digest = settings.key_files, key_digest(made.certificate)
        keys.write_new(settings.ca / NEXT_KEY, private_pem(key), CA_NEXT, digest)
        message = successor_message(made.certificate)
        proof = found.issuing.key.sign(message, ec.ECDSA(hashes.SHA256()))
        write_atomically(settings.ca / PROOF, f"{b64encode(proof)}\n".encode(), 0o666)
        write_atomically(settings.ca / NEXT, made.pem.encode("ascii"), 0o666)  # last: it counts
        return root_name(roots(made.pem)[0])


def switch(settings: ServerSettings, left: Mapping[str, str], *, force: bool = False) -> str:
    """Let the successor issue; the predecessor stays trusted, and its key is destroyed.

    Args:
        settings: the centre's.
        left: parties that do not trust the successor yet (`standing`); they would be cut off.
        force: cut them off.

    Raises:
        SecureFlowError: `ca_busy`, `ca_moving`, `ca_parties_left`.
    """
    with _changing(settings):
        ca, keys = settings.ca, settings.key_files
        if not (ca / NEXT).exists():
            raise _moving(
                "There is no successor of the CA.", "Make one: secureflow server ca rotate"
            )
        if not (ca / PREVIOUS).exists():  # else it was interrupted, and is finished
            _require_nobody(left, force=force)
            issuing = read_authority(settings)
            write_atomically(ca / PREVIOUS, issuing.pem.encode("ascii"), 0o666)
        pem = _root(ca / NEXT)
        secret = keys.read(ca / NEXT_KEY, CA_NEXT)
        digest = key_digest(roots(pem)[0])
        write_atomically(ca / "ca.key", keys.wrapped(secret, CA, digest))
        write_atomically(ca / "ca.pem", pem.encode("ascii"), 0o666)
        for name in (NEXT, PROOF, NEXT_KEY):
            remove(ca / name)
        flush_directory(ca)
        return root_name(roots(pem)[0])


def retire(settings: ServerSettings, left: Mapping[str, str], *, force: bool = False) -> None:
    """End the trust in the predecessor.

    Raises:
        SecureFlowError: `ca_busy`, `ca_moving`, `ca_parties_left`.
    """
    with _changing(settings):
        if not read_authorities(settings).previous:
            raise _moving(
                "There is no predecessor of the CA.", "See it: secureflow server ca status"
            )
        _require_nobody(left, force=force)
        remove(settings.ca / PREVIOUS)
        flush_directory(settings.ca)


@contextmanager
def _changing(settings: ServerSettings) -> Iterator[None]:
    """Change the CA's files, as the only one on this folder."""
    busy = SecureFlowError(
        "ca_busy",
        Text("Another change of the CA is being made in {directory}.", directory=settings.ca),
        "Wait until it is done. See it: secureflow server ca status",
    )
    with folder_lock(settings.ca, busy):
        yield


async def note_roots(work: UnitOfWork, party: str, said: JSON) -> bool:
    """Store which roots a party says it pins, if that is news; the caller commits."""
    if not isinstance(said, Mapping):
        return False
    pinned = said.get("pinned")
    names = [one for one in pinned[:8] if _is_name(one)] if isinstance(pinned, list) else []
    leaf = said.get("leaf") if _is_name(said.get("leaf")) else ""
    news = {"pinned": names, "leaf": leaf}
    if await work.setting(_place(party)) == news:
        return False
    await work.set_setting(_place(party), news)
    return True


async def standing(settings: ServerSettings) -> list[dict[str, Any]]:
    """Return each enrolled party with whether it pins the newest root and is certified by it."""
    found = read_authorities(settings)
    newest = root_name(roots(found.next or found.issuing.pem)[-1])
    database = Database(settings.database_url)
    try:
        await database.start()
        async with database.begin() as work:
            rows = []
            for agent in await _agents(work):
                known = await work.setting(_place(agent.id)) or {}
                pins, leaf = newest in known.get("pinned", ()), known.get("leaf") == newest
                rows.append({"party": agent.party, "id": agent.id, "pins": pins, "leaf": leaf})
            return rows
    finally:
        await database.close()


async def left(settings: ServerSettings, wanted: str) -> dict[str, str]:
    """Return the parties that do not pin the newest root, or have no certificate of it.

    Args:
        settings: the centre's.
        wanted: `pins` or `leaf`.

    Returns:
        SPIFFE id → party.
    """
    if (settings.ca / NEXT).exists() and (settings.ca / PREVIOUS).exists():
        return {}  # an interrupted switch is finished
    return {one["id"]: one["party"] for one in await standing(settings) if not one[wanted]}


async def _agents(work: UnitOfWork) -> list[Agent]:
    found: list[Agent] = []
    cursor = ""
    while True:
        page = await work.agents.list(cursor=cursor, limit=_PAGE)
        found += [one for one in page.items if one.revoked is None]
        cursor = page.next
        if not cursor:
            return found


def _require_nobody(left: Mapping[str, str], *, force: bool) -> None:
    if left and not force:
        raise SecureFlowError(
            "ca_parties_left",
            Text("{parties} would be cut off.", parties=", ".join(sorted(left))),
            "Wait until they have linked up again (secureflow server ca status), revoke those that "
            "are gone (secureflow party revoke), or cut them off: --force. They then enrol again.",
        )


def _moving(problem: str, step: str) -> SecureFlowError:
    return SecureFlowError("ca_moving", problem, step)


def _place(party: str) -> str:
    return f"roots/{party}"


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and value.isalnum() and value.isascii()


def _root(path: Path) -> str:
    text = _text(path)
    return joined(roots(text)[:1]) if text else ""


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip() + "\n"
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeError) as error:
        raise SecureFlowError(
            "certificate_malformed",
            Text("{path} cannot be read.", path=path),
            "Restore it from a backup.",
        ) from error
