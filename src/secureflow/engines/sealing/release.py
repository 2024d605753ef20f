"""Releases: the enclave's signed results, and the only models that agents accept.

The release key is in the evidence's runtime data, so a signature of kind `release` extends
the attestation verdict to every model and every sum that leaves the enclave.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from secureflow.engines.sealing.fold import sums_as_json
from secureflow.engines.sealing.manifest import tensor_digest
from secureflow.kit.canonical import canonical_bytes, sha256
from secureflow.kit.crypto import SigningKey, verify
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

KIND: Final = "release"
MAX_SUMS: Final = 1 << 16

_HEX: Final = re.compile(r"[0-9a-f]{64}")
_FIELDS: Final = {"round", "stage", "survivors", "model", "sums", "sums_digest", "signature"}


@dataclass(frozen=True)
class RoundRelease:
    """The result of a closed round.

    Args:
        job: job id.
        spec: hex spec digest.
        round: round number.
        stage: e.g. `train`.
        survivors: the certified contributors, sorted.
        model: hex BLAKE3 of the model's raw float32 bytes.
        sums: totals over the survivors; `sums[0]` is the total weight.
    """

    job: str
    spec: str
    round: int
    stage: str
    survivors: tuple[str, ...]
    model: str
    sums: tuple[float, ...]

    @property
    def sums_digest(self) -> str:
        """Hex BLAKE3 of the sums as little-endian float64."""
        return sums_digest(self.sums)

    def body(self) -> dict[str, Any]:
        """Return what the signature of kind `release` covers."""
        return {
            "job": self.job,
            "spec": self.spec,
            "round": self.round,
            "stage": self.stage,
            "survivors": list(self.survivors),
            "model": self.model,
            "sums": self.sums_digest,
        }

    def sign(self, key: SigningKey) -> dict[str, Any]:
        """Return the signed JSON form."""
        return {
            "round": self.round,
            "stage": self.stage,
            "survivors": list(self.survivors),
            "model": self.model,
            "sums": sums_as_json(np.array(self.sums, np.float64)),
            "sums_digest": self.sums_digest,
            "signature": key.sign(KIND, self.body()),
        }


def verify_release(value: Any, *, job: str, spec: str, release_key: str) -> RoundRelease:
    """Verify a foreign release of this job under the key that the verdict vouches for.

    Raises:
        SecureFlowError: `release_malformed`, `unreleased_model` if the signature or the sums
            are wrong.
    """
    release = _parse(value, job, spec)
    if release.sums_digest != value["sums_digest"] or not verify(
        release_key, KIND, release.body(), value["signature"]
    ):
        raise SecureFlowError(
            "unreleased_model",
            Text("The enclave did not release this result of round {round}.", round=release.round),
            "Refuse it: the server shows a model or sums that no attested enclave signed.",
            {"model": release.model},
        )
    return release


def sums_digest(sums: Sequence[float]) -> str:
    """Return the hex BLAKE3 of the sums as little-endian float64, with -0.0 as 0.0."""
    return tensor_digest(np.asarray(sums, "<f8") + 0.0)


def model_key_info(*, job: str, round_number: int, stage: str, model: str, party: str) -> bytes:
    """Return the HPKE `info` of an intermediate model's content key sealed to one party."""
    return sha256(
        canonical_bytes(
            {
                "v": 1,
                "use": "model",
                "job": job,
                "round": round_number,
                "stage": stage,
                "model": model,
                "party": party,
            }
        )
    )


def _parse(value: Any, job: str, spec: str) -> RoundRelease:
    if not isinstance(value, dict) or not value.keys() >= _FIELDS:
        raise _malformed("it does not have the fields that it must have")
    texts = ("stage", "model", "sums_digest", "signature")
    if not all(isinstance(value[name], str) for name in texts) or type(value["round"]) is not int:
        raise _malformed("a field has the wrong type")
    if not _HEX.fullmatch(value["model"]):
        raise _malformed("model")
    survivors, sums = value["survivors"], value["sums"]
    if not isinstance(survivors, list) or not all(isinstance(one, str) for one in survivors):
        raise _malformed("survivors")
    if not isinstance(sums, list) or len(sums) > MAX_SUMS or not all(map(_is_number, sums)):
        raise _malformed("sums")
    return RoundRelease(
        job,
        spec,
        value["round"],
        value["stage"],
        tuple(survivors),
        value["model"],
        tuple(float(one) for one in sums),
    )


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 2**53)


def _malformed(part: str) -> SecureFlowError:
    return SecureFlowError(
        "release_malformed", Text("The release is malformed: {part}.", part=part)
    )
