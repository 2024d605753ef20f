"""`spu.psi.psi_execute` as SPU's own tests call it, for `benchmarks.psi`; under SPU's Python."""

from __future__ import annotations

from typing import Any


def run(job: Any) -> dict[str, Any]:
    """Intersect two files of identifiers; the first party receives."""
    from spu import libspu, psi

    desc = libspu.link.Desc()
    for place, address in enumerate(job.addresses):
        desc.add_party(f"p{place}", address)
    desc.connect_retry_interval_ms = 100
    desc.connect_retry_times = 300
    link = libspu.link.create_brpc(desc, job.number)
    config = psi.PsiExecuteConfig(
        protocol_conf=psi.PsiProtocolConfig(
            protocol=psi.parse_protocol(f"PROTOCOL_{job.protocol}"),
            receiver_rank=0,
            ecdh_params=psi.EcdhParams(curve=psi.EllipticCurveType.CURVE_25519),
        ),
        input_params=psi.InputParams(
            path=str(job.inputs["keys"]), selected_keys=["id"], keys_unique=True
        ),
        output_params=psi.OutputParams(path="./found.csv"),
    )
    report = psi.psi_execute(config, link)
    link.stop_link()
    return {"found": report.intersection_count}
