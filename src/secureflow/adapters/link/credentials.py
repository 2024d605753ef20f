"""A party's link credentials on disk, and their renewal.

`DIR/link.pem` holds the private key and the certificate chain in one 0600 file, so that a renewal
replaces both or neither; `DIR/ca.pem` holds the pinned authority. A renewal makes a new key, which
waits in `DIR/link.next` until its certificate arrives. If a centre whose clock is ahead issued one
that is not valid here yet, `DIR/link.before` is the previous `link.pem`: other parties, whose
clocks are right, accept that one. `DIR/link.asked` lists the keys for which certificates were
requested here: one issued for another key was requested by someone else.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_csr

from secureflow.kit.atomic import write_atomically
from secureflow.kit.canonical import JSON
from secureflow.kit.caroots import issuer_of, root_name, roots, with_successor, without_left
from secureflow.kit.certchains import MAX_ISSUERS, issued_chain, parse_chain
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.keyfiles import LINK, LINK_BEFORE, LINK_NEXT, KeyFiles, plain_keys
from secureflow.kit.oserrors import reason_of
from secureflow.kit.pki import (
    key_digest,
    make_csr,
    new_link_key,
    parse_certificate,
    private_pem,
    spiffe_id,
)
from secureflow.kit.privatefiles import DENIED
from secureflow.kit.text import Text

ASKED = 512
"""Maximum number of remembered keys; each renewal makes one."""
_BEGIN = b"-----BEGIN CERTIFICATE-----"
_ANEW = "Restore it from a backup, or enrol again with a new token from the operator."


@dataclass(frozen=True)
class Credentials:
    """PEM bytes of one end of a link: authority, own chain (leaf first), own key."""

    ca: bytes
    certificate: bytes
    key: bytes = field(repr=False)

    @property
    def leaf(self) -> Certificate:
        """This end's own certificate."""
        return parse_certificate(self.certificate.decode("ascii"))

    @property
    def between(self) -> list[Certificate]:
        """What comes with the leaf: the certificates up to its root."""
        return parse_chain(self.certificate.decode("ascii"), MAX_ISSUERS + 1)[1:]

    @property
    def intermediate(self) -> Certificate | None:
        """The intermediate that issued the leaf; None if a root did."""
        return _intermediate(self.certificate)

    @property
    def span(self) -> tuple[int, int]:
        """Validity of the leaf, from and until, in unix seconds."""
        leaf = self.leaf
        return int(leaf.not_valid_before_utc.timestamp()), int(leaf.not_valid_after_utc.timestamp())

    def holds(self, now: int) -> bool:
        """Tell whether the leaf is valid at a time."""
        start, end = self.span
        return start <= now <= end

    def due(self, now: int) -> bool:
        """Tell whether less than a third of the leaf's lifetime is left."""
        start, end = self.span
        return now > end - (end - start) / 3


class CredentialFiles:
    """The credentials in a directory, with renewal.

    Args:
        directory: holds `ca.pem` and `link.pem`.
        keys: wraps and unwraps the keys; by default they are plain.
    """

    def __init__(self, directory: Path, keys: KeyFiles | None = None) -> None:
        self._directory = directory
        self._keys = keys or plain_keys()
        self._cached: tuple[tuple[int, ...], Credentials] | None = None

    @staticmethod
    def judge(ca: str, key: ec.EllipticCurvePrivateKey, certificate: str) -> None:
        """Check what `create` checks, before anything is written.

        Raises:
            SecureFlowError: `certificate_foreign`, `certificate_malformed`.
        """
        _pair(private_pem(key), certificate, ca)

    @classmethod
    def create(
        cls,
        directory: Path,
        ca: str,
        key: ec.EllipticCurvePrivateKey,
        certificate: str,
        keys: KeyFiles | None = None,
    ) -> CredentialFiles:
        """Write an enrolment's result; existing credentials are never overwritten.

        `link.pem` is written last, atomically: if this is interrupted, there are no credentials
        (`complete`).

        Raises:
            InfrastructureError: a fault of the disk (`kit.disk`).
            SecureFlowError: `certificate_foreign` if the certificate is for another key, or not
                from this authority.
            FileExistsError: the directory already holds credentials.
        """
        made, pair = cls(directory, keys), _pair(private_pem(key), certificate, ca)
        if made.complete:
            raise FileExistsError(errno.EEXIST, "it holds link credentials", str(directory))
        with writing(Place(directory, "own files")):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (directory / "link.pem").unlink(missing_ok=True)  # left by an interrupted one
            (directory / "link.before").unlink(missing_ok=True)  # of another identity
            write_atomically(directory / "ca.pem", ca.encode("ascii"), 0o666)
            made._write("link.pem", pair, LINK)
            made._remember(key_digest(parse_certificate(certificate)))
        return made

    @property
    def complete(self) -> bool:
        """Tell whether credentials were written completely.

        If interrupted, earlier versions left an empty `link.pem`, or one without `ca.pem`.

        Raises:
            SecureFlowError: `certificate_malformed` for what this user may not read, or no file.
            InfrastructureError: they cannot be read (`kit.disk`).
        """
        with writing(Place(self._directory, "own files")):
            try:
                pem = (self._directory / "link.pem").read_bytes()
                return bool((self._directory / "ca.pem").read_bytes()) and bool(pem)
            except FileNotFoundError:
                return False
            except (PermissionError, IsADirectoryError) as error:
                raise self._refused(error) from error

    def __call__(self) -> Credentials:
        """Return the newest credentials (read again only if a file changed).

        Raises:
            SecureFlowError: `not_enrolled`; `key_exposed` if others can read the key;
                `certificate_malformed` naming a damaged file.
        """
        path = self._directory / "link.pem"
        with self._reading("link.pem"):
            both = (path.stat(), (self._directory / "ca.pem").stat())
            stamp = tuple(at for one in both for at in (one.st_mtime_ns, one.st_ino))
            if self._cached is not None and self._cached[0] == stamp:
                return self._cached[1]
            pem = self._keys.read(path, LINK)
        if not pem:
            raise self._unreadable("link.pem", "it is empty")
        known = self._read(pem, self.authority())
        self._cached = (stamp, known)
        return known

    def at(self, now: int) -> Credentials:
        """Return the credentials to show to other parties: the newest that are valid at this time.

        If none are, the newest of all.

        Raises:
            SecureFlowError: those of the newest.
        """
        newest = self()
        if newest.holds(now):
            return newest
        try:
            pem = self._keys.read(self._directory / "link.before", LINK_BEFORE)
            before = self._read(pem, self.authority())
            return before if before.holds(now) else newest
        except (OSError, SecureFlowError):  # there is none, or it is damaged
            return newest

    def remove_previous(self) -> None:
        """Remove the previous credentials: a peer calls them expired."""
        with writing(Place(self._directory, "own files")):
            (self._directory / "link.before").unlink(missing_ok=True)

    def authority(self) -> str:
        """Return the pinned authority (PEM), read from its file.

        Raises:
            SecureFlowError: `not_enrolled`, `certificate_malformed`.
        """
        with self._reading("ca.pem"):
            pem = (self._directory / "ca.pem").read_bytes()
        with self._naming("ca.pem"):
            ca = pem.decode("ascii")
            roots(ca)
        return ca

    def told(self) -> dict[str, JSON]:
        """Return what the centre is told of the roots that are pinned here."""
        known = self()
        pinned = roots(known.ca.decode("ascii"))
        return {
            "pinned": [*map(root_name, pinned)],
            "leaf": issuer_of(known.leaf, pinned, known.between),
        }

    def follow(self, said: JSON) -> tuple[bool, bool]:
        """Pin the centre's new root if an old one vouches for it; drop one that was left behind.

        Args:
            said: the centre's roots: `issuing`, `trusted`, and perhaps `next`.

        Returns:
            Whether the pinned roots changed, and whether a certificate of the issuing root is due.

        Raises:
            SecureFlowError: `ca_mismatch`, `certificate_malformed`: nothing was changed.
            InfrastructureError: a fault of the disk (`kit.disk`).
        """
        if not isinstance(said, Mapping):
            return False, False
        known = self()
        before = pinned = known.ca.decode("ascii")
        successor, trusted = said.get("next"), said.get("trusted")
        own = known.leaf, known.between
        if isinstance(successor, Mapping):
            pem, proof = str(successor.get("pem", "")), str(successor.get("proof", ""))
            pinned = with_successor(pinned, pem, proof)
        if isinstance(trusted, list) and trusted:
            pinned = without_left(pinned, [str(one) for one in trusted[:8]], *own)
        if pinned != before:
            with writing(Place(self._directory, "own files")):
                write_atomically(self._directory / "ca.pem", pinned.encode("ascii"), 0o666)
            self._cached = None
        names = [*map(root_name, roots(pinned))]
        issuing = said.get("issuing")
        due = issuing in names and issuer_of(own[0], roots(pinned), own[1]) != issuing
        return pinned != before, due

    def check(self) -> None:
        """Check that key, certificate and authority match.

        Raises:
            SecureFlowError: `not_enrolled`, `key_exposed`, `certificate_foreign`,
                `certificate_malformed`.
        """
        known = self()
        try:
            _pair(known.key, known.certificate.decode("ascii"), known.ca.decode("ascii"))
        except SecureFlowError as error:
            raise SecureFlowError(
                error.code,
                Text(
                    "Key and certificate in {pair} and the authority in {authority} do "
                    "not belong together.",
                    pair=self._directory / "link.pem",
                    authority=self._directory / "ca.pem",
                ),
                _ANEW,
            ) from error

    def _read(self, pem: bytes, ca: str) -> Credentials:
        """Split the content of `link.pem` into key and chain; each part must be readable."""
        key, *chain = pem.split(_BEGIN)
        with self._naming("link.pem"):
            load_pem_private_key(key, None)
            for one in [_BEGIN + one for one in chain] or [b""]:
                parse_certificate(one.decode("ascii"))
        return Credentials(ca.encode("ascii"), pem[len(key) :], key)

    @contextlib.contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        """Name the file whose content is damaged."""
        try:
            yield
        except (ValueError, TypeError, UnsupportedAlgorithm, SecureFlowError) as error:
            raise SecureFlowError(
                "certificate_malformed",
                Text(
                    "The link credentials in {directory} cannot be read.",
                    directory=self._directory / name,
                ),
                _ANEW,
            ) from error

    @contextlib.contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Tell a file that is not there from one that cannot be read, which a backup has."""
        try:
            yield
        except FileNotFoundError as error:
            raise SecureFlowError(
                "not_enrolled",
                Text("{directory} holds no link credentials.", directory=self._directory),
                "Enrol first, with a token from the operator.",
            ) from error
        except OSError as error:
            raise self._refused(error, name) from error

    def _refused(self, error: OSError, name: str = "") -> SecureFlowError:
        hint = DENIED if isinstance(error, PermissionError) else _ANEW
        return self._unreadable(name or Path(error.filename).name, reason_of(error), hint)

    def _unreadable(self, name: str, reason: str, hint: str = _ANEW) -> SecureFlowError:
        return SecureFlowError(
            "certificate_malformed",
            Text(
                "The link credentials in {directory} cannot be read: {reason}.",
                directory=self._directory / name,
                reason=reason,
            ),
            hint,
        )

    def request(self) -> str:
        """Make a new key for the next certificate and return its CSR (PEM).

        Raises:
            InfrastructureError: a fault of the disk (`kit.disk`).
        """
        key = new_link_key()
        path = self._directory / "link.next"
        with writing(Place(self._directory, "own files")):
            path.unlink(missing_ok=True)
            csr = make_csr(key)
            self._keys.write_new(path, private_pem(key), LINK_NEXT)
            self._remember(key_digest(load_pem_x509_csr(csr.encode("ascii"))))
        return csr

    def install(self, certificate: str, now: int) -> None:
        """Replace key and certificate together by the requested ones, for the same identity.

        Args:
            certificate: the chain (PEM) that the centre sent.
            now: unix seconds, by this machine's clock.

        Raises:
            SecureFlowError: `certificate_foreign`, `certificate_malformed`; the old ones stay.
            InfrastructureError: a fault of the disk (`kit.disk`).
        """
        waiting, known = self._directory / "link.next", self()
        asked = self._keys.read(waiting, LINK_NEXT)
        pair = _pair(asked, certificate, known.ca.decode("ascii"))
        old, new = spiffe_id(known.leaf), spiffe_id(parse_certificate(certificate))
        if old != new:
            raise SecureFlowError(
                "certificate_foreign",
                Text(
                    "The certificate that the server sent is for {new}, not for {old}.",
                    new=new,
                    old=old,
                ),
                "Keep the old certificate and tell the operator.",
            )
        fresh, before = self._directory / "link.pem.new", self._directory / "link.before"
        begun = parse_certificate(certificate).not_valid_before_utc.timestamp() <= now
        with writing(Place(self._directory, "own files")):
            if begun:
                before.unlink(missing_ok=True)
            elif known.holds(now):
                before.unlink(missing_ok=True)
                self._write("link.before", known.key + known.certificate, LINK_BEFORE)
            fresh.unlink(missing_ok=True)
            self._write(fresh.name, pair, LINK)
            os.replace(fresh, self._directory / "link.pem")  # noqa: PTH105  atomic, and says so
            waiting.unlink(missing_ok=True)

    def foreign(self, issued: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
        """Return those of the centre's {key, at} that were issued for keys not made here.

        Ones issued before keys were remembered here are left out.
        """
        lines = self._asked()
        since = min((at for at, _ in lines), default=None)
        known = {digest for _, digest in lines}
        return [
            one
            for one in issued
            if since is not None
            and isinstance(at := one.get("at"), int)
            and at >= since
            and one.get("key") not in known
        ]

    def _write(self, name: str, pair: bytes, purpose: str) -> None:
        leaf = parse_certificate(pair[pair.index(_BEGIN) :].decode("ascii"))
        self._keys.write_new(self._directory / name, pair, purpose, key_digest(leaf))

    def _asked(self) -> list[tuple[int, str]]:
        try:
            text = (self._directory / "link.asked").read_text("ascii")
        except (OSError, UnicodeError):
            return []
        lines = [line.split() for line in text.splitlines()]
        return [(int(line[0]), line[1]) for line in lines if len(line) == 2 and line[0].isdigit()]

    def _remember(self, digest: str) -> None:
        """Record a key before its certificate is requested, with the centre's last known time."""
        known = self()
        at, _ = known.span
        lines = [*(self._asked() or [(at, key_digest(known.leaf))]), (at, digest)][-ASKED:]
        text = "".join(f"{at} {one}\n" for at, one in lines)
        write_atomically(self._directory / "link.asked", text.encode("ascii"))


@lru_cache(maxsize=8)
def _intermediate(chain: bytes) -> Certificate | None:
    above = parse_chain(chain.decode("ascii"), MAX_ISSUERS + 1)[1:]
    return above[0] if len(above) > 1 else None


def _pair(key: bytes, certificate: str, ca: str) -> bytes:
    """Combine a key and its chain, if they match each other and the authority."""
    private = load_pem_private_key(key, None)
    chain = issued_chain(certificate, ca)
    if private.public_key() != parse_certificate(chain).public_key():
        raise SecureFlowError(
            "certificate_foreign",
            "The certificate that the server sent is for another key.",
            "Keep the old certificate and ask again; tell the operator if this happens again.",
        )
    return key + chain.encode("ascii")
