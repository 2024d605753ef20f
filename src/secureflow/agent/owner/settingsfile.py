"""Adds a dataset to an owner's `agent.yaml`; the rest of the file, comments too, stays as it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from secureflow.agent.settings import AgentSettings
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import reason_of
from secureflow.kit.text import Text


def add_dataset(config: Path, name: str, lines: Sequence[str]) -> None:
    """Add an entry to `datasets:`; the file is replaced atomically, and only if the result loads.

    Args:
        config: the YAML file.
        name: the dataset's name.
        lines: the entry, not indented; its first line begins with `- `.

    Raises:
        SecureFlowError: `already_exists` for a name that is declared; `invalid_settings` for a
            file that does not load, before or after, or whose `datasets` are in brackets.
    """
    known = AgentSettings.load(config)
    if any(one.name == name for one in known.datasets):
        raise SecureFlowError(
            "already_exists",
            Text("{config} already declares a dataset {name}.", config=config, name=name),
            "Give the new one another name: --name NAME.",
        )
    text = with_dataset(config.read_text("utf-8"), lines)
    partial = config.with_name(f".{config.name}.partial")
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, config.stat().st_mode)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        AgentSettings.load(partial)
        partial.replace(config)
    except OSError as error:
        raise SecureFlowError(
            "invalid_file",
            Text(
                "{config} cannot be written: {strerror}.", config=config, strerror=reason_of(error)
            ),
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def with_dataset(text: str, lines: Sequence[str]) -> str:
    """Return the YAML text with one more entry of `datasets:`."""
    old = text.splitlines()
    pairs = dict(_members(yaml.compose(text, Loader=yaml.SafeLoader)))
    known = pairs.get("datasets")
    if known is None:
        return _joined([*old, "", "datasets:", *_indented(lines, 2)])
    key, value = known
    if isinstance(value, yaml.SequenceNode) and value.value and not value.flow_style:
        indent = value.start_mark.column
        at = max(_last_line(one) for one in value.value) + 1
        while at < len(old) and _comment_beyond(old[at], indent):
            at += 1
        return _joined([*old[:at], *_indented(lines, indent), *old[at:]])
    if value.value:
        raise SecureFlowError(
            "invalid_settings",
            "`datasets` is written in brackets, where no entry can be added.",
            "Write them as a list with dashes, or paste the entry yourself.",
        )
    first, last = key.start_mark.line, value.end_mark.line
    rest = old[last][value.end_mark.column :]
    return _joined([*old[:first], f"datasets:{rest}", *_indented(lines, 2), *old[last + 1 :]])


def _members(root: yaml.Node | None) -> Iterator[tuple[str, tuple[yaml.Node, yaml.Node]]]:
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            yield str(key.value), (key, value)


def _last_line(node: yaml.Node) -> int:
    """Return the line on which a node's text ends; later blank lines and comments are not its own.

    A block's own end mark is where the next node begins.
    """
    if isinstance(node, yaml.ScalarNode) or getattr(node, "flow_style", False):
        return int(node.end_mark.line - (node.end_mark.column == 0))
    parts = [part for one in node.value for part in (one if isinstance(one, tuple) else (one,))]
    return max((_last_line(one) for one in parts), default=int(node.start_mark.line))


def _comment_beyond(line: str, indent: int) -> bool:
    """Return whether a line is a comment on the entry above: indented further than its dash."""
    text = line.lstrip()
    return text.startswith("#") and len(line) - len(text) > indent


def _indented(lines: Sequence[str], by: int) -> list[str]:
    return [" " * by + line for line in lines]


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
