"""The log: one JSON object a line on stderr, for our messages, libraries' and warnings alike.

The text of a request is never logged. Our messages do not hold it; what others might quote is left
out: the message of an exception (its type and place stay), unless it is of a kind that has never
seen a text, and the values in what asyncio says about a failed callback or task.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

from openautoglm.serving.observe.context import Context

_access = logging.getLogger("openautoglm.access")
_crash = logging.getLogger("openautoglm.serving")

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_BEFORE_VALUES = re.compile(r"[(\n]")  # asyncio shows callbacks with arguments, tasks with errors
_CHAIN = 8  # causes of causes that are shown


def configure(*, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send everything that is logged, warned about or crashes a thread to `stream`, as JSON lines.

    Args:
        level: Least level that is written.
        stream: Where to; None is stderr.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    threading.excepthook = _crashed


def access(
    context: Context, code: str, seconds: float, *, rows: int = 0, kind: str | None = None
) -> None:
    """A request was answered.

    Args:
        context: Its ids.
        code: The protocol's status code.
        seconds: From arrival to answer.
        rows: How many were asked for.
        kind: Of the refusal, when it was one.
    """
    told: dict[str, Any] = {
        "request_id": context.request_id,
        "trace_id": context.trace_id,
        "protocol": context.protocol,
        "code": code,
        "seconds": round(seconds, 6),
        "rows": rows,
    }
    if kind is not None:
        told["kind"] = kind
    _access.info("answered", extra=told)


class JSONFormatter(logging.Formatter):
    """A record as one JSON object: time, level, logger, message, what `extra` holds, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the record holds: a log that raises would print its arguments."""
        told: dict[str, Any] = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        for key, value in vars(record).items():
            if key not in _USUAL:
                told.setdefault(key, value)
        if record.exc_info and record.exc_info[1] is not None:
            told["exception"] = _exception(record.exc_info[1])
        try:
            return orjson.dumps(told, default=_type).decode()
        except TypeError:  # half a surrogate pair, a number beyond 64 bits, keys that are no text
            plain = {
                str(key): value if isinstance(value, str | int) else _type(value)
                for key, value in told.items()
            }
            return json.dumps(plain)


def _utc(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _message(record: logging.LogRecord) -> str:
    try:
        message = record.getMessage()
    except Exception:  # a library's arguments do not fit its own text
        message = str(record.msg)
    return _BEFORE_VALUES.split(message, maxsplit=1)[0] if record.name == "asyncio" else message


def _exception(error: BaseException) -> str:
    """Where and what, the cause first, without messages that may quote a request."""
    parts: list[str] = []
    link: BaseException | None = error
    while link is not None and len(parts) < _CHAIN:
        frames = "".join(traceback.format_tb(link.__traceback__))
        parts.append(f"{frames}{_type(link)}{_said(link)}")
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "\n\n".join(reversed(parts))


def _said(error: BaseException) -> str:
    # The system and the runtime of the graph see paths, shapes and numbers, never a text.
    knows_no_text = isinstance(error, OSError) or type(error).__module__.startswith("onnxruntime")
    return f": {error}" if knows_no_text else ""


def _type(value: object) -> str:
    kind = type(value)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _crashed(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        name = args.thread.name if args.thread else "unknown"
        _crash.critical("thread `%s` died", name, exc_info=args.exc_value)
