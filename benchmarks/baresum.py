"""Programs written straight against SPU, for `benchmarks.mpc`; runs under SPU's Python.

As SPU's own examples write them: shares are made and sent, a function is compiled and run, and the
first party gets the result. Nothing is agreed on, checked or kept.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

os.environ["JAX_PLATFORMS"] = "cpu"


def run(job: Any) -> dict[str, Any]:
    """Compute what `job.program` names over every party's `values`."""
    import jax
    import jax.numpy as jnp
    import spu
    from spu import libspu
    from spu.utils import frontend

    jax.config.update("jax_enable_x64", True)
    functions = {
        "sum": lambda *given: sum(given[1:], given[0]),
        "compare": lambda one, other, *_: one > other,
        "matmul": lambda one, other, *_: jnp.matmul(one, other),
    }
    desc = libspu.link.Desc()
    for place, address in enumerate(job.addresses):
        desc.add_party(f"p{place}", address)
    desc.connect_retry_interval_ms = 100
    desc.connect_retry_times = 300
    link = libspu.link.create_brpc(desc, job.number)
    config = libspu.RuntimeConfig(
        protocol=getattr(libspu.ProtocolKind, job.protocol),
        field=libspu.FieldType.FM64,
        fxp_fraction_bits=18,
    )
    runtime, io = spu.Runtime(link, config), spu.Io(job.parties, config)
    own = np.load(job.inputs["values"])
    secret = libspu.Visibility.VIS_SECRET
    for owner in range(job.parties):
        if owner == job.number:
            shares = io.make_shares(own, secret)
            for place in range(job.parties):
                if place != owner:
                    link.send(place, _packed(shares[place]))
            runtime.set_var(f"in{owner}", shares[owner])
        else:
            runtime.set_var(f"in{owner}", _unpacked(libspu, link.recv(owner)))
    given = [jax.ShapeDtypeStruct(own.shape, own.dtype)] * job.parties
    names = [f"in{owner}" for owner in range(job.parties)]
    compiled, _ = frontend.compile(
        *(frontend.Kind.JAX, functions[job.program], given, {}, names, [secret] * job.parties),
        lambda _: ["out"],
    )
    runtime.run(compiled)
    mine = runtime.get_var("out")
    if job.number:
        link.send(0, _packed(mine))
    else:
        found = [mine, *(_unpacked(libspu, link.recv(one)) for one in range(1, job.parties))]
        io.reconstruct(found)
    link.stop_link()
    return {}


def _packed(share: Any) -> bytes:
    parts = [share.meta, *share.share_chunks]
    return b"".join(len(one).to_bytes(8, "big") + one for one in parts)


def _unpacked(libspu: Any, packed: bytes) -> Any:
    parts = []
    while packed:
        size = int.from_bytes(packed[:8], "big")
        parts.append(packed[8 : 8 + size])
        packed = packed[8 + size :]
    share = libspu.Share()
    share.meta, share.share_chunks = parts[0], parts[1:]
    return share
