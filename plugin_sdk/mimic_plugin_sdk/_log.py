"""Log lines as a go-plugin host reads them: one JSON object a line on stderr, every value a string.

hashicorp/go-hclog's JSON form: `@level`, `@message`, `@timestamp` with exactly six decimals, then more keys.
A Go host crashes on a level that is not a string.
"""

import logging
import os
import sys
import threading
import time
import traceback
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType

from mimic_plugin_sdk._redact import redacted

session_id: ContextVar[str] = ContextVar("session_id", default="")
"""The session that the running code works for; empty outside of one."""

_STDERR = 2
_TRACEBACK_CHARS = 8000
"""The end of a traceback tells most, and hosts cut long lines."""
_writing = threading.Lock()
_LEVELS = (
    (logging.ERROR, "error"),
    (logging.WARNING, "warn"),
    (logging.INFO, "info"),
    (logging.DEBUG, "debug"),
)


def write_line(level: str, message: str, **fields: str) -> None:
    """Write one line to the log, secrets redacted. Never fails: a host that is gone reads no log.

    Args:
        level: "trace", "debug", "info", "warn" or "error".
        message: The message.
        **fields: More keys and their values.
    """
    seconds, nanos = divmod(time.time_ns(), 1_000_000_000)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    line = {"@level": level, "@message": redacted(message), "@timestamp": f"{moment}.{nanos // 1000:06d}Z"}
    for key, value in fields.items():
        line[key] = redacted(value)
    import json  # noqa: PLC0415 - most starts log nothing

    data = json.dumps(line).encode() + b"\n"
    with _writing, suppress(OSError):
        while data:
            data = data[os.write(_STDERR, data) :]


class _HostHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            level = next((name for at_least, name in _LEVELS if record.levelno >= at_least), "trace")
            fields = {"@module": record.name}
            session = session_id.get()
            if session:
                fields["session_id"] = session
            if record.exc_info and record.exc_info[1] is not None:
                fields["error"] = repr(record.exc_info[1])
                trace = "".join(traceback.format_exception(record.exc_info[1]))
                fields["traceback"] = trace[-_TRACEBACK_CHARS:]
            write_line(level, record.getMessage(), **fields)
        except Exception:  # noqa: BLE001 - logging's own rule: a bad record must not stop the program
            self.handleError(record)


def route_logging(level: str) -> None:
    """Send the standard library's logging, warnings and uncaught errors to the host's log.

    Args:
        level: Least level that is written, such as "INFO".
    """
    root = logging.getLogger()
    root.setLevel(level)
    root.handlers[:] = [_HostHandler()]
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda hook: _log_uncaught(
        hook.exc_type, hook.exc_value or hook.exc_type(), hook.exc_traceback
    )


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("mimic_plugin_sdk").critical("uncaught error", exc_info=(kind, error, trace))
