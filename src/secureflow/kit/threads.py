"""Work in a thread whose caller may be cancelled: nothing is left open, or goes on unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from secureflow.kit.shielding import shielded

Made = TypeVar("Made")
Result = TypeVar("Result")
Given = ParamSpec("Given")


async def run_to_its_end(
    work: Callable[Given, Result], *arguments: Given.args, **named: Given.kwargs
) -> Result:
    """Do work in a thread, as `asyncio.to_thread`; a cancelled caller is released when it is done.

    For what must not go on beside the caller's next try: a lock that the caller holds covers it.
    """
    return await shielded(asyncio.to_thread(work, *arguments, **named))


async def open_in_thread(make: Callable[[], Made], unmake: Callable[[Made], object]) -> Made:
    """Return what `make` opens, in a thread.

    Args:
        make: opens or makes it.
        unmake: closes or removes it if the caller was cancelled.
    """
    making = asyncio.ensure_future(asyncio.to_thread(make))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        making.add_done_callback(lambda done: done.exception() or unmake(done.result()))
        raise
