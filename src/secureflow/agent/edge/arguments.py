"""What a command of the control socket is given, checked before anything of it runs.

Everybody whom the socket lets in sends JSON of any form. A command's signature says what it takes;
what is of another form, or a text that nothing can store (JSON can spell half a character), is
refused here, in one place, so that no command has to expect a list where a name belongs.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, get_type_hints
from weakref import WeakKeyDictionary

from pydantic import ConfigDict, TypeAdapter, ValidationError

from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import hidden, shown
from secureflow.kit.text import Text

SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_SPELLED: Final = re.compile(rb"\\ud[89a-f]", re.IGNORECASE)
"""How JSON spells half a character; in strict UTF-8 it stands nowhere else."""
_FORMS: Final[WeakKeyDictionary[Any, Mapping[str, TypeAdapter[Any]]]] = WeakKeyDictionary()
_WRITTEN: Final = frozenset({"reason", "question", "password", "old", "new", "text", "examples"})
"""What people write in several lines, or choose; everything else is a name, an id or a code."""
_Command = Callable[..., Any]


def check(command: _Command, arguments: Mapping[str, JSON], line: bytes) -> None:
    """Refuse arguments that a command does not take.

    Args:
        command: a coroutine function with keyword arguments.
        arguments: as parsed.
        line: the request that they were parsed from.

    Raises:
        SecureFlowError: `invalid_request`.
    """
    try:
        inspect.signature(command).bind(**arguments)
    except TypeError as error:
        raise _invalid(shown(str(error)[:200])) from error
    if _SPELLED.search(line) and _has_half(arguments):
        raise _invalid("a text holds half a character")
    for name in arguments.keys() - _WRITTEN:
        value = arguments[name]
        texts = value if isinstance(value, list) else [value]
        if any(isinstance(one, str) and hidden(one) for one in texts):
            raise _invalid(Text("{name} holds a control or invisible character", name=name))
    forms = _forms(command)
    for name, value in arguments.items():
        try:
            forms[name].validate_python(value)
        except ValidationError as error:
            raise _invalid(f"{name}: {error.errors(include_input=False)[0]['msg']}") from None


def _forms(command: _Command) -> Mapping[str, TypeAdapter[Any]]:
    """Return a reader for each argument, as annotated; made once for each function."""
    function = getattr(command, "__func__", command)
    if function not in _FORMS:
        hints = get_type_hints(function)
        adapter = partial(TypeAdapter[Any], config=ConfigDict(strict=True))
        _FORMS[function] = {name: adapter(hint) for name, hint in hints.items() if name != "return"}
    return _FORMS[function]


def _has_half(value: JSON) -> bool:
    """Tell whether a text in it holds half a character; it may be nested as deep as JSON is."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str) and SURROGATE.search(one):
            return True
        if isinstance(one, Mapping):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one
    return False


def _invalid(problem: str) -> SecureFlowError:
    reason = Text("The arguments are not valid: {error}.", error=problem)
    return SecureFlowError("invalid_request", reason)
