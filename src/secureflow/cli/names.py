"""Names in place of ids: a name works if exactly one visible thing has it.

An id is always taken as an id, so nobody can name a thing by the id of another one. A name of
several things is an error that lists them with full ids. The id that a name resolves to is printed;
for decisions (grant, cancel, join) the person confirms the id first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from secureflow.cli.console import confirmed, say
from secureflow.cli.texts import listed, t
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.nearnames import alike
from secureflow.kit.text import Text

if TYPE_CHECKING:
    from secureflow.sdk import Client

_LISTED: Final = 20


@dataclass(frozen=True)
class _Noun:
    """A kind of thing: its id prefix, its list, its names, how one is shown."""

    prefix: str
    listed: Callable[[Client], Iterable[Any]]
    names: Callable[[Any], tuple[str, ...]]
    shown: Callable[[Any], str]


_NOUNS: Final[Mapping[str, _Noun]] = {
    "project": _Noun(
        "prj_",
        lambda client: client.projects.list(),
        lambda one: (one.name,),
        lambda one: f"{one.name} ({one.organisation})",
    ),
    "dataset": _Noun(
        "dst_",
        lambda client: client.datasets.list(),
        lambda one: (one.name, one.title, f"{one.organisation}/{one.name}"),
        lambda one: f"{one.organisation}/{one.name}: {one.title}",
    ),
    "job": _Noun(
        "job_",
        lambda client: client.jobs.list(),
        lambda one: (one.name,),
        lambda one: f"{one.name} ({one.organisation}, {t(one.state)})",
    ),
    "model": _Noun(
        "mdl_",
        lambda client: client.models.list(),
        lambda one: (one.name, f"{one.name}@{one.version}"),
        lambda one: f"{one.name}@{one.version}",
    ),
    "user": _Noun(
        "usr_",
        lambda client: client.users.list(),
        lambda one: (one.name,),
        lambda one: f"{one.name} ({one.organisation or t('operator')})",
    ),
}


def named(client: Client, noun: str, given: str) -> str:
    """Return the id for a name or id, and print it if a name was given.

    Raises:
        SecureFlowError: `not_found`, `ambiguous_name`.
    """
    return _found(client, noun, given)[0]


def named_all(client: Client, noun: str, given: Iterable[str]) -> tuple[str, ...]:
    """Return the id of each; see `named`."""
    return tuple(named(client, noun, one) for one in given)


def decided(client: Client, question: str, yes: bool, **given: str) -> tuple[str, ...]:
    """Return the ids for a decision; names are confirmed together with their ids.

    Args:
        client: the person's client.
        question: the decision, in the person's language, with a `{noun}` for each thing.
        yes: whether `--yes` was given.
        given: noun → id or name.

    Raises:
        SecureFlowError: `not_found`, `ambiguous_name`, `not_confirmed`.
    """
    found = {noun: _found(client, noun, one) for noun, one in given.items()}
    if any(by_name for _, by_name in found.values()):
        confirmed(question.format(**{noun: key for noun, (key, _) in found.items()}), yes)
    return tuple(key for key, _ in found.values())


def _found(client: Client, noun: str, given: str) -> tuple[str, bool]:
    kind = _NOUNS[noun]
    if re.fullmatch(f"{kind.prefix}[0-9a-z]+", given):
        return given, False
    every = list(kind.listed(client))
    fitting = [one for one in every if given in kind.names(one)]
    if not fitting:
        raise _no_such(noun, given, [name for one in every for name in kind.names(one)])
    if len(fitting) > 1:
        fits = "; ".join(f"{one.id} {kind.shown(one)}" for one in fitting[:_LISTED])
        facts = {"count": len(fitting), "name": given[:80], "listed": fits}
        raise SecureFlowError(
            "ambiguous_name",
            t("{count} items are named {name!r}: {listed}.", **facts),
            _distinct(kind.names(fitting[0])),
            {"candidates": [one.id for one in fitting[:_LISTED]]},
        )
    say(t("{name} is {id}.", name=kind.shown(fitting[0]), id=fitting[0].id))
    return str(fitting[0].id), True


def _distinct(names: Sequence[str]) -> str:
    """Return the hint for one of several that share a name: its id, or its longest name."""
    whole = names[-1]
    if whole == names[0]:
        return t("Give the id.")
    return t("Give the id, or the whole name: {name}.", name=whole)


def _no_such(noun: str, given: str, known: Sequence[str]) -> SecureFlowError:
    """Return the error of a name that nothing has, with the names that may be meant."""
    command = _COMMAND.get(noun, noun)
    near = alike(given, known)
    return SecureFlowError(
        "not_found",
        t("There is no {noun} named {name!r} that you can see.", noun=t(noun), name=given[:80]),
        t("{near} may be meant. All of them: secureflow {command} list",
          near=listed(near), command=command)
        if near else Text("secureflow {command} list", command=command),
    )  # fmt: skip


_COMMAND: Final = {"dataset": "data"}
