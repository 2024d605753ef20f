"""What a program on shares costs, from the shapes of its inputs alone; shown before consent.

Measured on the machine that `docs/engines.md` names (2 cores, all parties on it), by
`python -m benchmarks.mpc`; over a real network add the bytes over its rate, and the round trips:
tens for a comparison, a few for a product. With p parties, N numbers that are put in, R results,
r receivers, C comparisons of two numbers, M elements of products of matrices, W multiplications
within these; `base` only where a program has any of a kind:

    bytes   = share · N + reveal · R · r + compare(C) + product(M) + held · N
    seconds = start + (share · N + reveal · R · r) / rate + compare(C) + product(W)
    memory  = process + number · (N + R) + compare(0) + product(M)

ABY3 gives each party two of three shares: an input number goes to two parties with 16 bytes each, a
result to a receiver from two with 16. CHEETAH gives each one share, of 8 bytes, and multiplies by
homomorphic encryption, whose ciphertexts are what costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from secureflow.domain.specs.engineprograms import COLUMNS, WEIGHTS, Logistic, input_of
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.engines.peers.expected import low_limits
from secureflow.kit.canonical import JSON

Shapes = Mapping[str, Mapping[str, tuple[int, ...]]]
"""Party → name of an input → its shape, rows first."""
START: Final = 1.5
"""Seconds until the libraries are loaded and the parties connected."""
PROCESS: Final = 290_000_000
"""Bytes of memory of the libraries."""


@dataclass(frozen=True)
class Line:
    """A cost that grows with how much there is: `base + each · n`."""

    base: float
    each: float

    def at(self, size: float) -> float:
        """Return the cost of so much."""
        return self.base + self.each * size


@dataclass(frozen=True)
class _Cost:
    """What one kind of step costs: `base` where there is any, `each` for each."""

    bytes: Line
    seconds: Line
    memory: Line


@dataclass(frozen=True)
class _Shares:
    """A protocol.

    Args:
        share: bytes of an input number.
        reveal: bytes of a result to one receiver.
        held: bytes of an input number where products are computed.
        rate: bytes a second that inputs and results go with.
        number: bytes of memory of a number.
        compare: of a comparison.
        product: of an element of a product; its seconds are of a multiplication within.
    """

    share: float
    reveal: float
    held: float
    rate: float
    number: float
    compare: _Cost
    product: _Cost


SHARES: Final[Mapping[str, _Shares]] = {
    "aby3": _Shares(
        share=32.0,
        reveal=32.0,
        held=0.0,
        rate=1.4e8,
        number=100.0,
        compare=_Cost(Line(0.0, 140.0), Line(0.05, 4e-6), Line(0.0, 0.0)),
        product=_Cost(Line(0.0, 70.0), Line(0.05, 4e-9), Line(0.0, 0.0)),
    ),
    "cheetah": _Shares(
        share=8.0,
        reveal=8.0,
        held=40.0,
        rate=2.6e7,
        number=130.0,
        compare=_Cost(Line(2.5e6, 400.0), Line(5.0, 1.2e-4), Line(7.5e8, 0.0)),
        product=_Cost(Line(2e7, 100.0), Line(1.2, 2.8e-7), Line(2e8, 1.3e4)),
    ),
}
"""By protocol. CHEETAH's first comparison and product set up its oblivious transfers and keys."""


@dataclass(frozen=True)
class Work:
    """What a program does: numbers in, results out, comparisons, products, multiplications."""

    inputs: float
    results: float
    comparisons: float = 0.0
    products: float = 0.0
    inner: float = 0.0


def _bringing(shapes: Shapes, name: str) -> list[tuple[int, ...]]:
    return [one[name] for one in shapes.values() if name in one]


def _ranking(shapes: Shapes) -> Work:
    values = _bringing(shapes, "values")
    count, measures = len(values), max((one[0] for one in values), default=0)
    return Work(count * measures, count * measures, count * (count - 1) * measures)


def _sealed_bid(shapes: Shapes) -> Work:
    bids = _bringing(shapes, "bids")
    count, lots = len(bids), max((one[0] for one in bids), default=0)
    return Work(count * lots, 2 * lots, 2 * max(0, count - 1) * lots)


def _correlation(shapes: Shapes) -> Work:
    columns = _bringing(shapes, "columns")
    rows, widths = max((one[0] for one in columns), default=0), [one[1] for one in columns]
    own = sum(width * width for width in widths)
    crossed = sum(one * other for one, other in combinations(widths, 2))
    numbers = rows * sum(widths) + own
    return Work(numbers, own + crossed, 0.0, crossed, float(crossed * rows))


def _logistic(shapes: Shapes) -> Work:
    columns = _bringing(shapes, "columns")
    rows, width = max((one[0] for one in columns), default=0), sum(one[1] for one in columns)
    return Work(rows * width + width + 1, rows, rows, rows, float(rows * width))


WORKS: Final[Mapping[str, Callable[[Shapes], Work]]] = {
    "ranking": _ranking,
    "sealed-bid": _sealed_bid,
    "correlation": _correlation,
    "logistic": _logistic,
}
"""Program → what it does at most: a logistic regression compares only where classes are asked."""


def shares_cost(
    program: str, protocol: str, shapes: Shapes, receivers: int, *, compares: bool = True
) -> tuple[int, int, float]:
    """Return bytes over all channels, the memory of a party's process in bytes, and seconds.

    Args:
        program: of the catalogue.
        protocol: `aby3` or `cheetah`.
        shapes: of everybody's inputs; {} of a party that brings none.
        receivers: how many.
        compares: whether it does what it may compare: else probabilities are asked, not classes.
    """
    cost, work = SHARES[protocol], WORKS[program](shapes)
    if not compares:
        work = replace(work, comparisons=0.0)
    moved = cost.share * work.inputs + cost.reveal * work.results * receivers
    total, seconds = moved, START + moved / cost.rate
    memory = PROCESS + cost.number * (work.inputs + work.results)
    if work.comparisons:
        total += cost.compare.bytes.at(work.comparisons)
        seconds += cost.compare.seconds.at(work.comparisons)
        memory += cost.compare.memory.at(work.comparisons)
    if work.products:
        total += cost.product.bytes.at(work.products) + cost.held * work.inputs
        seconds += cost.product.seconds.at(work.inner)
        memory += cost.product.memory.at(work.products)
    return round(total), round(memory), round(seconds, 2)


def share_estimate(spec: MpcSpec, rows: int) -> dict[str, JSON]:
    """Return what a job costs if its parties bring so many rows: `rows`, and as `shares_cost`.

    Args:
        spec: checked, of an engine's program on shares.
        rows: the most that there may be, as owners describe their datasets.
    """
    program = spec.program_of_engine
    width = sum(len(one.columns) for one in spec.sides if input_of(program, one) == COLUMNS)
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for side in spec.sides:
        name = input_of(program, side)
        sizes = {WEIGHTS: (width + 1,), COLUMNS: (rows, len(side.columns))}
        shapes[side.party] = {name: sizes.get(name, (rows,))} if name else {}
    compares = not isinstance(program, Logistic) or program.output == "class"
    found = shares_cost(
        program.name, spec.protocol, shapes, len(spec.learners), compares=compares
    )  # fmt: skip
    return {"rows": rows, **dict(zip(("bytes", "memory_bytes", "seconds"), found, strict=True))}


def below(spec: MpcSpec, estimate: Mapping[str, JSON]) -> Iterator[str]:
    """Yield which limits are below an estimate; each byte is sent by one party to another."""
    parties = len(spec.roster)
    return low_limits(
        seconds=spec.limits.seconds,
        peer_megabytes=spec.limits.peer_megabytes,
        expected=float(str(estimate["seconds"])),
        carried=2 * int(str(estimate["bytes"])) // parties,
    )
