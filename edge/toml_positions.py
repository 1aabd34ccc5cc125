"""On which line of a TOML text each key stands; the standard library's reader does not tell.

Only for texts that `tomllib` has accepted: it finds positions and judges nothing (TOML 1.0.0).
"""

import tomllib
from collections.abc import Mapping

Path = tuple[str | int, ...]
"""Keys and, for arrays, indices from 0: `("camera", 0, "url")`."""


class _Scanner:
    """Walks a text once, noting the line of each table header, key and array element."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self.lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}

    def run(self) -> None:
        table: Path = ()
        while self._skip_blank():
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)

    def _skip_blank(self) -> bool:
        """Move to the next character that means something; False at the end."""
        while self._at < len(self._text):
            character = self._text[self._at]
            if character == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            elif character in " \t\r\n,":
                self._step()
            else:
                return True
        return False

    def _step(self, count: int = 1) -> None:
        self._line += self._text.count("\n", self._at, self._at + count)
        self._at += count

    def _header(self) -> Path:
        line = self._line
        is_array = self._text.startswith("[[", self._at)
        self._step(2 if is_array else 1)
        names = self._key()
        self._at = self._text.index("]", self._at)
        self._step(2 if is_array else 1)
        if is_array:
            path = self._resolved(names[:-1])
            index = self._counts.get((*path, names[-1]), 0)
            self._counts[(*path, names[-1])] = index + 1
            self.lines.setdefault((*path, names[-1]), line)
            path = (*path, names[-1], index)
        else:
            path = self._resolved(names)
        self.lines.setdefault(path, line)
        return path

    def _resolved(self, names: Path) -> Path:
        """Names in which an array of tables means its last table so far."""
        path: Path = ()
        for name in names:
            path = (*path, name)
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        return path

    def _key(self) -> tuple[str, ...]:
        """A bare, quoted or dotted key."""
        start = self._at
        while self._text[self._at] not in "=]":
            if self._text[self._at] in "\"'":
                self._string()
            else:
                self._step()
        written = self._text[start : self._at].strip()
        names: list[str] = []
        value: object = tomllib.loads(f"{written} = 0")
        while isinstance(value, Mapping):
            name, value = next(iter(value.items()))
            names.append(name)
        return tuple(names)

    def _pair(self, table: Path) -> None:
        line = self._line
        path = (*table, *self._key())
        for length in range(len(table) + 1, len(path) + 1):
            self.lines.setdefault(path[:length], line)
        self._step()
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip_blank()
        self.lines.setdefault(path, self._line)
        character = self._text[self._at]
        if character in "\"'":
            self._string()
        elif character == "[":
            self._elements(path)
        elif character == "{":
            self._step()
            while self._skip_blank() and self._text[self._at] != "}":
                self._pair(path)
            self._step()
        else:
            while self._at < len(self._text) and self._text[self._at] not in ",]}#\n":
                self._step()

    def _elements(self, path: Path) -> None:
        self._step()
        index = 0
        while self._skip_blank() and self._text[self._at] != "]":
            self._value((*path, index))
            index += 1
        self._step()

    def _string(self) -> None:
        quote = self._text[self._at]
        mark = quote * 3 if self._text.startswith(quote * 3, self._at) else quote
        self._step(len(mark))
        while not self._text.startswith(mark, self._at):
            self._step(2 if quote == '"' and self._text[self._at] == "\\" else 1)
        self._step(len(mark))
        while len(mark) == 3 and self._text.startswith(quote, self._at):  # a quote before the closing three
            self._step()


class Positions:
    """Lines of a TOML text, counted from 1."""

    def __init__(self, text: str) -> None:
        scanner = _Scanner(text)
        scanner.run()
        self._lines = scanner.lines

    def line(self, path: Path) -> int:
        """The line of the key, or of the nearest table that holds it; 1 for the text itself."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return 1


def dotted(path: Path) -> str:
    """A path as a person reads it.

    >>> dotted(("camera", 0, "zone", 1, "id"))
    'camera[0].zone[1].id'
    """
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
