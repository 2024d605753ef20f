"""SPIFFE identifiers of links (SPIFFE-ID, X.509-SVID), in exactly the three shapes in use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from cryptography import x509

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Role = Literal["agent", "enclave", "server"]

_SEGMENT: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
_DOMAIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,253}[a-z0-9])?")
_NAME: Final = re.compile(_SEGMENT)
_URI: Final = re.compile(
    rf"spiffe://(?P<domain>{_DOMAIN.pattern})"
    rf"/(?:org/(?P<org>{_SEGMENT})/agent/(?P<agent>{_SEGMENT})"
    rf"|enclave/(?P<enclave>{_SEGMENT})|server)"
)


@dataclass(frozen=True)
class SpiffeId:
    """One end of a link.

    Args:
        trust_domain: lowercase DNS-like name.
        role: `agent`, `enclave` or `server`.
        organisation: the agent's organisation, else empty.
        name: the agent's or enclave's name, empty for the server.

    Raises:
        SecureFlowError: `spiffe_malformed` when a part does not fit its role.
    """

    trust_domain: str
    role: Role
    organisation: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        wanted = {"agent": (True, True), "enclave": (False, True), "server": (False, False)}
        parts = (self.organisation, self.name)
        named = wanted.get(self.role)
        if (
            not _DOMAIN.fullmatch(self.trust_domain)
            or named is None
            or any(
                bool(_NAME.fullmatch(part)) != needed or (part != "" and not needed)
                for part, needed in zip(parts, named, strict=True)
            )
        ):
            raise _malformed(f"{self.trust_domain!r} {self.role!r} {parts!r}")

    @classmethod
    def parse(cls, uri: str) -> SpiffeId:
        """Parse one of the three URI shapes.

        Raises:
            SecureFlowError: `spiffe_malformed`.
        """
        match = _URI.fullmatch(uri)
        if match is None:
            raise _malformed(repr(uri[:200]))
        domain = match["domain"]
        if match["agent"]:
            return cls(domain, "agent", match["org"], match["agent"])
        if match["enclave"]:
            return cls(domain, "enclave", "", match["enclave"])
        return cls(domain, "server")

    @property
    def common_name(self) -> str:
        """A subject for people, at most 64 characters; nothing decides by it."""
        return (self.name and f"{self.role} {self.name}")[:64] or self.role

    def __str__(self) -> str:
        path = {
            "agent": f"org/{self.organisation}/agent/{self.name}",
            "enclave": f"enclave/{self.name}",
            "server": "server",
        }
        return f"spiffe://{self.trust_domain}/{path[self.role]}"


def spiffe_id(certificate: x509.Certificate) -> str:
    """Return the one SPIFFE URI of a leaf certificate, in canonical text.

    Raises:
        SecureFlowError: `spiffe_malformed` for a CA certificate, none or several URI names, or
            a URI of another shape.
    """
    try:
        extensions = certificate.extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
    except (
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        ValueError,
    ) as error:
        raise _malformed(str(error)) from error
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if constraints.ca or len(uris) != 1:
        kind = "a CA" if constraints.ca else Text("{count} URI names", count=len(uris))
        raise _malformed(Text("a certificate with {kind}", kind=kind))
    return str(SpiffeId.parse(uris[0]))


def _malformed(found: str) -> SecureFlowError:
    return SecureFlowError(
        "spiffe_malformed",
        Text("Not the SPIFFE identity of a link: {found}.", found=found),
        "Expected spiffe://<domain>/org/<org>/agent/<name>, /enclave/<name> or /server.",
    )
