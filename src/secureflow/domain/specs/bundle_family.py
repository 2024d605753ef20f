"""The family `bundle`: a model that code of the data scientist's own trains.

The spec fixes everything that the code could otherwise choose for itself: its digest, the
environment, the tensors, the names of the sums that it may return, and the time for one call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from secureflow.domain.fieldfaults import SETTING
from secureflow.domain.specs.base import STRICT, Problem
from secureflow.domain.specs.bundles import BundleRef
from secureflow.domain.specs.tensors import MAX_TENSORS, DType, Tensors, TensorSpec, by_name
from secureflow.domain.texts import ONE_LINE
from secureflow.kit.text import Text

MAX_SUMS: Final = 64
ROWS: Final = "rows"
"""The sum that is the number of validation rows: the others are divided by it."""
INPUTS: Final = "inputs"
ROW_NAMES: Final = frozenset({INPUTS, "labels", "weights"})
"""What the rows of a bundle hold beside columns of images, arrays and texts."""
LOSS: Final = "loss"
"""The sum by which `early_stop` and `keep: best` choose, unless the plan names a metric."""
_WRITTEN: Final = 25_000_000
"""Numbers of an update that are checked, clipped and written in a second, with room to spare."""
RESERVED: Final = frozenset(
    {"round", "rounds", "epsilon", "survivors", "seconds", "stage", "parties", "weight"}
)
"""What a round of a report says beside the job's own figures."""
HELD: Final[frozenset[DType]] = frozenset({"float32", "float16", "int64", "int32", "uint8"})
"""The dtypes that NumPy has, which is all that an environment needs."""


def writing_seconds(parameters: int) -> float:
    """Return the seconds after a private step's limit in which its answer is written.

    An answer takes longer than the zeros that stand for none, so this grows with the model: what
    takes longer is told as much later, and code could choose that.
    """
    return 2.0 + parameters // _WRITTEN


def paced_seconds(parameters: int) -> int:
    """Return what a private round must wait for, beyond the seconds that code may take."""
    return 10 + 2 * (parameters // _WRITTEN)


SumName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
_Text = Annotated[str, Field(max_length=1000), ONE_LINE]
_Number = Annotated[float, Field(ge=-1e300, le=1e300)]
_Whole = Annotated[int, Field(ge=-(1 << 53), le=1 << 53)]
_Single = bool | _Whole | _Number | _Text


def _setting(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """Say what a setting can be, where the form that was tried first would be named."""
    try:
        return read(value)
    except ValidationError as error:
        raise PydanticCustomError("setting_form", SETTING) from error


Setting = Annotated[
    _Single | Annotated[tuple[_Single, ...], Field(max_length=1000)], WrapValidator(_setting)
]
"""What a setting of a bundle can be: a truth value, a number, a text, or a list of them."""
Settings = Annotated[
    Mapping[Annotated[str, Field(min_length=1, max_length=100), ONE_LINE], Setting],
    Field(max_length=100),
]


@dataclass(frozen=True)
class BundleModel:
    """A model that a bundle trains.

    Args:
        family: `bundle`.
        bundle: the code, its entry point, and the environment that runs it.
        weights: every tensor that `train` takes and returns.
        sums: the names of what `evaluate` returns; `rows` must be one of them.
        settings: what the class is made with.
        seconds: that one call may take; with differential privacy all that it does in a step, the
            start of its process and its imports too, which then takes as long whatever the code
            does.
    """

    __pydantic_config__ = STRICT
    family: Literal["bundle"]
    bundle: BundleRef
    weights: Annotated[tuple[TensorSpec, ...], Field(min_length=1, max_length=MAX_TENSORS)]
    sums: Annotated[tuple[SumName, ...], Field(max_length=MAX_SUMS)] = ()
    settings: Settings = field(default_factory=dict, hash=False)
    seconds: Annotated[int, Field(ge=1, le=86_400)] = 600
    l2: ClassVar[float] = 0.0

    def tensors(self, inputs: int, outputs: int) -> Tensors:
        """Return the tensors, whatever the inputs are."""
        del inputs, outputs
        return by_name(self.weights)


def bundle_problem(model: BundleModel) -> Problem | None:
    """Return what contradicts itself in the model's own part, or None."""
    names = [one.name for one in model.weights]
    if len(set(names)) != len(names):
        return "model.weights", "two tensors have one name", "Give each a name of its own."
    foreign = next((one for one in model.weights if one.dtype not in HELD), None)
    if foreign is not None:
        reason: str = Text("NumPy has no {dtype}", dtype=foreign.dtype)
        hint: str = Text("Use one of: {dtypes}.", dtypes=", ".join(sorted(HELD)))
        return "model.weights", reason, hint
    if len(set(model.sums)) != len(model.sums):
        return "model.sums", "two sums have one name", "Give each a name of its own."
    taken = next((one for one in model.sums if one in RESERVED), None)
    if taken is not None:
        reason = Text("reports say {name} of every round themselves", name=taken)
        return "model.sums", reason, "Give it another name."
    if model.sums and ROWS not in model.sums:
        reason = "the other sums are divided by the number of rows"
        return "model.sums", reason, 'Add "rows" to them.'
    return None
