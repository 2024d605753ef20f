"""Reference values of hardware enclaves in agent.yaml, in the vendors' own words.

A part that an owner leaves out of a reference does not become "any value": the parts that make up
the code must be named, and `any` marks those that the owner does not want compared.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from secureflow.engines.attestation import Reference
from secureflow.kit.settings import Section

ANY: Final = "any"


def _listed(value: Any) -> Any:
    """A single value may be given in place of a list of one."""
    return (value,) if isinstance(value, str) and value != ANY else value


_SOME: Final = Field(min_length=1, max_length=64)
_Hex8 = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
_Hex16 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
_Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Hex48 = Annotated[str, Field(pattern=r"^[0-9a-f]{96}$")]
_Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
Bytes8 = Annotated[tuple[_Hex8, ...], _SOME, BeforeValidator(_listed)]
Bytes16 = Annotated[tuple[_Hex16, ...], _SOME, BeforeValidator(_listed)]
Bytes32 = Annotated[tuple[_Hex32, ...], _SOME, BeforeValidator(_listed)]
Bytes48 = Annotated[tuple[_Hex48, ...], _SOME, BeforeValidator(_listed)]
Bytes64 = Annotated[tuple[_Hex64, ...], _SOME, BeforeValidator(_listed)]
Svn = Annotated[int, Field(ge=0, le=65_535)]
PolicyFlag = Literal[
    "smt",
    "migrate_ma",
    "debug",
    "single_socket",
    "cxl_allow",
    "mem_aes_256_xts",
    "rapl_dis",
    "ciphertext_hiding",
    "page_swap_disable",
]


class SgxReference(Section):
    """An accepted SGX enclave: by MRENCLAVE, or by its signer, product and lowest version."""

    mrenclave: Bytes32 | None = None
    mrsigner: Bytes32 | None = None
    isv_prod_id: Svn | None = None
    min_isv_svn: Svn | None = None
    min_tcb_evaluation: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _complete(self) -> Self:
        signed = (self.mrsigner, self.isv_prod_id, self.min_isv_svn)
        if self.mrenclave is None and None in signed:
            message = "name mrenclave, or mrsigner with isv_prod_id and min_isv_svn"
            raise ValueError(message)
        return self

    def reference(self) -> Reference:
        """Return it as the appraisal's value."""
        return Reference(
            "sgx",
            _registers(self, ("mrenclave", "mrsigner")),
            exactly=_numbers(isv_prod_id=self.isv_prod_id),
            at_least=_numbers(isv_svn=self.min_isv_svn, tcb_evaluation=self.min_tcb_evaluation),
        )


class TdxReference(Section):
    """An accepted trust domain: firmware (MRTD), its configuration (RTMR0), kernel and boot
    loader (RTMR1), command line and initrd (RTMR2), what was loaded later (RTMR3).
    """

    mrtd: Bytes48
    rtmr0: Bytes48 | Literal["any"]
    rtmr1: Bytes48
    rtmr2: Bytes48
    rtmr3: Bytes48 | Literal["any"]
    mrseam: Bytes48 | None = None
    mrsignerseam: Bytes48 = ("00" * 48,)
    mrconfigid: Bytes48 | None = None
    mrowner: Bytes48 | None = None
    mrownerconfig: Bytes48 | None = None
    td_attributes: Bytes8 | None = None
    xfam: Bytes8 | None = None
    min_tcb_evaluation: Annotated[int, Field(ge=0)] = 0

    def reference(self) -> Reference:
        """Return it as the appraisal's value."""
        names = tuple(name for name in type(self).model_fields if name != "min_tcb_evaluation")
        return Reference(
            "tdx",
            _registers(self, names),
            at_least=_numbers(tcb_evaluation=self.min_tcb_evaluation),
        )


class SnpReference(Section):
    """An accepted SEV-SNP guest: its launch measurement, and what else the owner requires."""

    measurement: Bytes48
    host_data: Bytes32 | None = None
    id_key_digest: Bytes48 | None = None
    author_key_digest: Bytes48 | None = None
    family_id: Bytes16 | None = None
    image_id: Bytes16 | None = None
    chip_id: Bytes64 | None = None
    min_guest_svn: Annotated[int, Field(ge=0, lt=1 << 32)] = 0
    min_abi: Annotated[str, Field(pattern=r"^[0-9]{1,3}\.[0-9]{1,3}$")] = "0.0"
    max_vmpl: Annotated[int, Field(ge=0, le=3)] = 0
    policy_required: tuple[PolicyFlag, ...] = ()
    policy_refused: tuple[PolicyFlag, ...] = ()

    def reference(self) -> Reference:
        """Return it as the appraisal's value."""
        names = ("measurement", "host_data", "id_key_digest", "author_key_digest")
        major, minor = (int(part) for part in self.min_abi.split("."))
        vmpls = tuple(f"{level:02x}" for level in range(self.max_vmpl + 1))
        return Reference(
            "sev-snp",
            (*_registers(self, (*names, "family_id", "image_id", "chip_id")), ("vmpl", vmpls)),
            at_least=_numbers(guest_svn=self.min_guest_svn, policy_abi=major << 8 | minor),
            required=self.policy_required,
            refused=self.policy_refused,
        )


AmdProduct = Literal["Milan", "Genoa", "Turin"]


class TcbFloor(Section):
    """The lowest versions of an AMD product's firmware that count as up to date."""

    boot_loader: Annotated[int, Field(ge=0, le=255)]
    tee: Annotated[int, Field(ge=0, le=255)]
    snp: Annotated[int, Field(ge=0, le=255)]
    microcode: Annotated[int, Field(ge=0, le=255)]
    fmc: Annotated[int, Field(ge=0, le=255)] = 0

    @property
    def tcb(self) -> tuple[int, int, int, int, int]:
        """(FMC, boot loader, TEE, SNP firmware, microcode)."""
        return (self.fmc, self.boot_loader, self.tee, self.snp, self.microcode)


def _registers(section: Section, names: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    given = ((name, getattr(section, name)) for name in names)
    return tuple((name, values) for name, values in given if values is not None and values != ANY)


def _numbers(**values: int | None) -> tuple[tuple[str, int], ...]:
    return tuple((name, value) for name, value in values.items() if value is not None)
