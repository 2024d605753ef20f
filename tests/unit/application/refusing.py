"""`with refused("code"):` – the block must raise the error of this code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from secureflow.kit.errors import SecureFlowError


@contextmanager
def refused(code: str, says: str = "") -> Iterator[pytest.ExceptionInfo[SecureFlowError]]:
    with pytest.raises(SecureFlowError) as caught:
        yield caught
    assert caught.value.code == code, str(caught.value)
    assert says in str(caught.value)
    assert caught.value.message
