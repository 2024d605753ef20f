"""Settings of a process: one YAML file, overridden by `SECUREFLOW_<PROCESS>__FIELD` variables.

Rules:
- unknown names are refused, in the file and in the environment, so that a typo cannot pass for a
  setting, and so is a name that stands twice, of which the last one would win unseen;
- a secret (`SecretStr`) is never in the YAML file itself: it comes from the environment or from a
  file that the YAML names;
- relative paths are relative to the YAML file's directory, wherever the process was started.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import yaml
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from secureflow.kit.commandline import examples
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.fieldforms import faults
from secureflow.kit.fieldplaces import Place, place
from secureflow.kit.folder import check_folder
from secureflow.kit.inputfiles import NoYamlError, parsed_yaml
from secureflow.kit.oserrors import reason_of
from secureflow.kit.text import Text, without_stop

MAX_FILE: Final = 1 << 20

_Model = TypeVar("_Model", bound=BaseModel)
_URL_PASSWORD: Final = re.compile(r"(?<=://)([^:/@\s]*):[^@/\s]+@")
_MASK: Final = "**********"


class Section(BaseModel):
    """A group of settings inside a `ProcessSettings`."""

    model_config = {"extra": "forbid", "frozen": True}


class ProcessSettings(BaseSettings):
    """The base of each process's settings; a subclass names its variables by `env_prefix`."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_nested_delimiter="__",
        env_prefix="SECUREFLOW__",
        nested_model_default_partial_update=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment override the file; there is no other source."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a YAML file and the environment.

        Raises:
            SecureFlowError: `invalid_settings` naming the field, the file or the variable;
                `data_newer`, `data_version_malformed` for a folder of another version, whose
                settings would look like typos.
        """
        check_folder(path.resolve().parent)
        values = _read(path)
        for name in _secrets_in(cls, values):
            raise _invalid(
                Text("{path}: {name} is a secret", path=path, name=name),
                Text(
                    "Remove it and set {variable}, or name a file that holds it.",
                    variable=_variable(cls, name),
                ),
            )
        _refuse_unknown_variables(cls)
        try:
            settings = cls(**values)
        except ValidationError as error:
            raise _invalid(_first_problem(cls, path, error), "Correct the named field.") from error
        settings = anchored(settings, path.resolve().parent)
        data = getattr(settings, "directory", None)
        if isinstance(data, Path):
            check_folder(data)
        return settings

    def masked(self) -> dict[str, Any]:
        """Return the effective settings as JSON values, secrets replaced by asterisks."""
        plain: dict[str, Any] = _masked(self.model_dump(mode="json"))
        return plain


def settings_text(values: Mapping[str, Any], head: str = "") -> str:
    """Return a settings file that reads back as exactly these values.

    Args:
        values: plain JSON values; any text stays one value.
        head: lines before them.
    """
    return head + yaml.safe_dump(dict(values), sort_keys=False)


def anchored(model: _Model, base: Path) -> _Model:
    """Return the model with every relative path inside it made absolute from `base`."""
    changes = {
        name: changed
        for name in type(model).model_fields
        if (changed := _anchor(getattr(model, name), base)) is not getattr(model, name)
    }
    return model.model_copy(update=changes) if changes else model


def _anchor(value: Any, base: Path) -> Any:
    if isinstance(value, Path):
        return value if value.is_absolute() else base / value
    if isinstance(value, BaseModel):
        return anchored(value, base)
    if isinstance(value, tuple | list):
        return type(value)(_anchor(one, base) for one in value)
    if isinstance(value, dict):
        return {name: _anchor(one, base) for name, one in value.items()}
    return value


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_FILE:
            raise _invalid(
                Text("{path} has more than {max_file} bytes", path=path, max_file=MAX_FILE),
                "Is it the right file?",
            )
        values = parsed_yaml(path.read_text("utf-8"), exponents=False)
    except OSError as error:
        hint = "Give the path of the YAML file with --config."
        raise _invalid(
            Text("{path} cannot be read: {strerror}", path=path, strerror=reason_of(error)), hint
        ) from error
    except (NoYamlError, UnicodeError) as error:
        raise _invalid(
            Text("{path} is not YAML: {reason}", path=path, reason=" ".join(str(error).split())),
            "Correct the named line.",
        ) from error
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise _invalid(
            Text("{path} must be a mapping of names to values", path=path),
            Text("See the examples in {examples}.", examples=examples()),
        )
    return values


def _secrets_in(model: type[BaseModel], values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the dotted names of secrets for which the file has a value."""
    for name, field in model.model_fields.items():
        kinds = {field.annotation, *getattr(field.annotation, "__args__", ())}
        given = values.get(name)
        if SecretStr in kinds and given is not None:
            yield name
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel) and isinstance(given, dict):
                yield from (f"{name}.{inner}" for inner in _secrets_in(kind, given))


def _refuse_unknown_variables(cls: type[ProcessSettings]) -> None:
    prefix = str(cls.model_config.get("env_prefix", ""))
    known = {name.lower() for name in cls.model_fields}
    for variable in os.environ:
        if not variable.upper().startswith(prefix.upper()):
            continue
        name = variable[len(prefix) :].lower().split("__")[0]
        if name not in known:
            raise _invalid(
                Text("{variable} names no setting", variable=variable),
                Text("Known: {known}.", known=", ".join(sorted(known))),
            )


def _variable(cls: type[ProcessSettings], name: str) -> str:
    return str(cls.model_config.get("env_prefix", "")) + name.replace(".", "__").upper()


def _first_problem(cls: type[ProcessSettings], path: Path, error: ValidationError) -> str:
    def lies(one: Mapping[str, Any]) -> Place:
        return place(cls.__pydantic_core_schema__, one["loc"])

    first = faults(error.errors(include_url=False, include_input=False), lies)[0]
    field = ".".join(map(str, first.members)) or "settings"
    problem = without_stop(first.problem)
    return Text("{path}: {field}: {problem}", path=path, field=field, problem=problem)


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _masked(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_masked(one) for one in value]
    return _URL_PASSWORD.sub(rf"\1:{_MASK}@", value) if isinstance(value, str) else value


def _invalid(message: str, hint: str) -> SecureFlowError:
    return SecureFlowError("invalid_settings", Text("{message}.", message=message), hint)
