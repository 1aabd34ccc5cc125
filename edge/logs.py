"""Logs to stderr as `key=value`, one line an entry. Whoever logs passes no secret; nothing here looks for them."""

import logging
import sys
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class KeyValueFormatter(logging.Formatter):
    """`time=… level=… part=… message="…" key=value …`; what follows is what the caller gave as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        pairs: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "from": record.name,
            "message": record.getMessage(),
        }
        pairs.update({key: value for key, value in vars(record).items() if key not in _STANDARD})
        if record.exc_info:
            pairs["trace"] = self.formatException(record.exc_info)
        return " ".join(f"{key}={_quoted(str(value))}" for key, value in pairs.items())


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send every logger's entries to stderr in this form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(KeyValueFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for chatty in ("httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _quoted(text: str) -> str:
    if text and not any(character in ' "=\n\r\t' for character in text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    return f'"{escaped}"'
