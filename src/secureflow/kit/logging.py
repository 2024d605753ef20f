"""Logs: structlog lines on stderr, JSON for machines or coloured text for people.

Every line of a job carries `job` and `party` (`job_context`); no line carries data or a secret:
values under secret-looking names are masked, and tokens are masked everywhere.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TextIO

from secureflow.kit.disk import remove
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logthrottle import ThrottleFilter
from secureflow.kit.plain import shown
from secureflow.kit.stderrcapture import capture_stderr
from secureflow.kit.structlogs import FilteringBoundLogger, Processor, structlog

Form = Literal["json", "console"]
Level = Literal["debug", "info", "warning", "error"]

_MASK: Final = "**********"
_SECRET_NAMES: Final = re.compile(
    r"(?i)(^|[_.-])(password|passwd|secret|token|authorization|cookie|seed|private_?key)s?$"
)
_TOKENS: Final = re.compile(r"\b(sf[drst]_[0-9a-z]+_|sfe_)[A-Za-z0-9_-]{16,}")
_DEFECT: Final = 70
"""As `domain.exits.INTERNAL`."""
_SEVERAL: Final = frozenset({"exception", "stack"})
_QUIET: Final = ("aiosqlite", "asyncio", "grpc", "httpcore", "httpx", "uvicorn.access", "alembic")


def _unconfigured(*_: object) -> structlog.PrintLogger:
    """Log to stderr by default: stdout is a command's result."""
    return structlog.PrintLogger(sys.stderr)


if not structlog.is_configured():
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Plain: the default shows every local variable of each frame, secrets and rows too.
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ],
        logger_factory=_unconfigured,
    )


@contextmanager
def process_logging(
    process: str,
    *,
    form: Form = "console",
    level: Level = "info",
    written: Callable[[SecureFlowError], str] = str,
) -> Iterator[Callable[[SecureFlowError], None]]:
    """Set up logging for a whole process; yield a function that reports why it ends.

    As JSON every line of stderr is a JSON object, including warnings, stray output of libraries,
    tracebacks and the final error. In text form the final error is plain, as `written` says it to
    the person who sees it.
    """
    if form != "json" or sys.stderr.isatty():
        configure_logging(process, form=form, level=level)
        yield lambda error: _write_line(shown(written(error)))
        return
    log, strays = get_logger(__name__), logging.getLogger("stderr")
    with capture_stderr(strays.warning) as stream:
        configure_logging(process, form=form, level=level, stream=stream)
        try:
            yield lambda error: log.error(
                str(error), code=error.code, message=error.message, hint=error.hint
            )
        except Exception:  # the edge of a process: the traceback is a line of the log
            log.exception("process stopped by an internal error")
            raise SystemExit(_DEFECT) from None


def configure_logging(
    process: str,
    *,
    form: Form = "console",
    level: Level = "info",
    stream: TextIO | None = None,
) -> None:
    """Set up logging of this process: our lines and those of libraries look the same.

    Args:
        process: its name in each line.
        form: of the lines.
        level: the lowest that is written.
        stream: where to; stderr by default.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(process),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(True)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(form),
            ],
        )
    )
    handler.addFilter(ThrottleFilter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def get_logger(name: str) -> FilteringBoundLogger:
    """Return the logger of a module: `log.info("event_name", key=value)`."""
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger


@contextmanager
def job_context(job: str, party: str = "") -> Iterator[None]:
    """Add `job` and `party` to every line inside the block (and in tasks started there)."""
    values = {"job": job, "party": party} if party else {"job": job}
    with structlog.contextvars.bound_contextvars(**values):
        yield


def announce_ready(directory: Path, facts: Mapping[str, Any]) -> None:
    """Announce to launchers that the process serves: `DIR/ready.json`, and the same line on stdout.

    The file appears atomically, so it is complete once it is visible.

    Raises:
        OSError: it cannot be written; no file of an earlier process is left.
    """
    line = json.dumps({"event": "ready", "pid": os.getpid(), **facts}, sort_keys=True)
    partial, facts_file = directory / f".ready.{os.getpid()}", directory / "ready.json"
    try:
        partial.write_text(line + "\n")
        partial.replace(facts_file)
    except OSError:
        for left in (partial, facts_file):
            remove(left)
        raise
    with contextlib.suppress(OSError):  # a log on a full disk: launchers read the file
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _write_line(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def mask_secrets(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Mask values under secret names, and tokens anywhere (a structlog processor)."""
    del logger, method
    for name, value in event.items():
        event[name] = _MASK if _SECRET_NAMES.search(name) else _without_tokens(value)
    return event


def _without_tokens(value: Any) -> Any:
    if isinstance(value, str):
        return _TOKENS.sub(rf"\1{_MASK}", value)
    if isinstance(value, Mapping):
        return {
            name: _MASK if _SECRET_NAMES.search(str(name)) else _without_tokens(one)
            for name, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [_without_tokens(one) for one in value]
    return value


def _named(process: str) -> Processor:
    def add_process(
        logger: Any, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        del logger, method
        event.setdefault("process", process)
        return event

    return add_process


def _renderer(form: Form) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer(sort_keys=True)
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return lambda logger, method, event: console(logger, method, _visible(event))


def _visible(event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape hidden characters of foreign texts (JSON escapes them itself)."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = shown(value, several=name in _SEVERAL)
    return event
