"""Updates sealed to an attested enclave (docs/threat-model.md, "Sealed mode"), folded, released."""

from secureflow.engines.sealing.fold import (
    NORM_TOLERANCE,
    FixedPointAccumulator,
    sums_as_json,
)
from secureflow.engines.sealing.header import (
    Binding,
    UpdateHeader,
    check_binding,
    parse_header,
)
from secureflow.engines.sealing.manifest import (
    Manifest,
    Tensor,
    manifest_digest,
    manifest_length,
    parse_manifest,
    tensor_digest,
    tensor_views,
    update_manifest,
    vector_manifest,
)
from secureflow.engines.sealing.opener import OpenedUpdate, Opener
from secureflow.engines.sealing.pool import BufferPool
from secureflow.engines.sealing.recipient import (
    RecipientKey,
    new_content_key,
    parse_recipient,
    seal_key,
)
from secureflow.engines.sealing.release import (
    RoundRelease,
    model_key_info,
    sums_digest,
    verify_release,
)
from secureflow.engines.sealing.seal import SealedUpdate, seal
from secureflow.engines.sealing.stream import (
    CHUNK,
    TAG,
    ChunkCipher,
    chunk_count,
    decrypt_stream,
    encrypt_stream,
)

__all__ = [
    "CHUNK",
    "NORM_TOLERANCE",
    "TAG",
    "Binding",
    "BufferPool",
    "ChunkCipher",
    "FixedPointAccumulator",
    "Manifest",
    "OpenedUpdate",
    "Opener",
    "RecipientKey",
    "RoundRelease",
    "SealedUpdate",
    "Tensor",
    "UpdateHeader",
    "check_binding",
    "chunk_count",
    "decrypt_stream",
    "encrypt_stream",
    "manifest_digest",
    "manifest_length",
    "model_key_info",
    "new_content_key",
    "parse_header",
    "parse_manifest",
    "parse_recipient",
    "seal",
    "seal_key",
    "sums_as_json",
    "sums_digest",
    "tensor_digest",
    "tensor_views",
    "update_manifest",
    "vector_manifest",
    "verify_release",
]
