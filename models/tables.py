"""Strict reading of a TOML table: every value is checked, and a key that nobody asked for is an error.

Knows nothing of models. The place of a fault is told as ``file: where: key``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from models.errors import ManifestError

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Table:
    """One table under inspection. Read every key that is wanted, then call :meth:`close`."""

    def __init__(self, values: Mapping[str, object], where: str) -> None:
        self._values = values
        self._where = where
        self._asked: set[str] = set()

    def fault(self, key: str, problem: str) -> ManifestError:
        """The error to raise for one key."""
        return ManifestError(f"{self._where}: {key}: {problem}")

    def has(self, key: str) -> bool:
        """Whether an optional key is there."""
        return key in self._values

    def _take(self, key: str) -> object:
        self._asked.add(key)
        if key not in self._values:
            raise self.fault(key, "is missing; add it")
        return self._values[key]

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = self._take(key)
        if not isinstance(value, str) or not value.strip():
            raise self.fault(key, f"must be a text in quotes, and not {value!r}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, at least one."""
        value = self._take(key)
        if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
            raise self.fault(key, f"must be a list of texts, and not {value!r}")
        return tuple(value)

    def sha256(self, key: str) -> str:
        """64 hexadecimal digits, lower case."""
        value = self.text(key)
        if not _SHA256.fullmatch(value):
            raise self.fault(key, "must be 64 lower-case hexadecimal digits, as `sha256sum FILE` prints them")
        return value

    def choice(self, key: str, among: Sequence[str]) -> str:
        """One of a few words."""
        value = self._take(key)
        if value not in among:
            raise self.fault(key, f"is {value!r}; use one of {', '.join(among)}")
        return str(value)

    def integer(self, key: str, low: int, high: int) -> int:
        """A whole number within low..high."""
        value = self._take(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.fault(key, f"must be a whole number from {low} to {high}, and not {value!r}")
        return value

    def integers(self, key: str, low: int, high: int) -> tuple[int, ...]:
        """A list of whole numbers within low..high, at least one."""
        value = self._take(key)
        if not isinstance(value, list) or not value:
            raise self.fault(key, f"must be a list of whole numbers, and not {value!r}")
        return tuple(self._member(key, item, low, high) for item in value)

    def _member(self, key: str, item: object, low: int, high: int) -> int:
        if not isinstance(item, int) or isinstance(item, bool) or not low <= item <= high:
            raise self.fault(key, f"holds {item!r}; each must be a whole number from {low} to {high}")
        return item

    def number(self, key: str, low: float, high: float) -> float:
        """A number within low..high."""
        return self._number(key, self._take(key), low, high)

    def numbers(self, key: str, count: int, low: float, high: float) -> tuple[float, ...]:
        """A list of exactly ``count`` numbers within low..high."""
        value = self._take(key)
        if not isinstance(value, list) or len(value) != count:
            raise self.fault(key, f"must be a list of {count} numbers, and not {value!r}")
        return tuple(self._number(key, item, low, high) for item in value)

    def _number(self, key: str, value: object, low: float, high: float) -> float:
        right = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not right or not low <= float(value) <= high:  # type: ignore[arg-type]  # `right` says it is a number
            raise self.fault(key, f"must be a number from {low:g} to {high:g}, and not {value!r}")
        return float(value)  # type: ignore[arg-type]  # as above

    def table(self, key: str) -> Table:
        """A table within this one."""
        value = self._take(key)
        if not isinstance(value, dict):
            raise self.fault(key, f"must be a table, and not {value!r}")
        return Table(value, f"{self._where}: {key}")

    def names(self) -> tuple[str, ...]:
        """The names in this table, in the order of the file."""
        return tuple(self._values)

    def close(self) -> None:
        """Refuse what was never asked for: most often a misspelling."""
        strange = sorted(set(self._values) - self._asked)
        if strange:
            raise self.fault(strange[0], f"is not known here; known are {', '.join(sorted(self._asked))}")
