"""A whole credential set, read row by row from its bytes, so that 100,000 rows never stand in memory at once and no
decision waits while they are parsed.

The hub writes the rows last. A body that has them elsewhere is read in one piece.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from pydantic import ValidationError

from protocols.base import ProtocolError, explain
from protocols.credentials import CredentialRow, CredentialSet
from protocols.rules import Rules

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


class WholeSet(Protocol):
    """What the store takes: the head, and rows that can be gone through more than once."""

    @property
    def version(self) -> int: ...
    @property
    def digest(self) -> str: ...
    @property
    def rules(self) -> Rules: ...
    @property
    def rows(self) -> Iterable[CredentialRow]: ...


class Snapshot:
    """A set in its text. Its rows are parsed each time anew.

    Raises:
        ProtocolError: if the head is none. Going through the rows raises it for the first that is none.
    """

    def __init__(self, text: str) -> None:
        head, self._rows_at = _head(text)
        try:
            whole = CredentialSet.model_validate_json(json.dumps(head | {"rows": []}))
        except ValidationError as error:
            raise ProtocolError(explain(error)) from error
        self._text = text
        self.version, self.digest, self.rules = whole.version, whole.digest, whole.rules

    @property
    def rows(self) -> Iterator[CredentialRow]:
        """Each row, in order."""
        text = self._text
        at = _after(text, self._rows_at, "[")
        if text[at : at + 1] != "]":
            while True:
                end = _value(text, at)[1]
                try:
                    yield CredentialRow.model_validate_json(text[at:end])
                except ValidationError as error:
                    raise ProtocolError(explain(error)) from error
                at = _space(text, end)
                if text[at : at + 1] != ",":
                    break
                at = _space(text, at + 1)
        at = _after(text, at, "]")
        if _after(text, at, "}") != len(text):
            raise ProtocolError("more follows the end of the credential set")


def read_snapshot(body: bytes) -> WholeSet:
    """The set in a snapshot's body.

    Raises:
        ProtocolError: if it is none; its rows are looked at only when they are gone through.
    """
    try:
        return Snapshot(body.decode())
    except UnicodeDecodeError as error:
        raise ProtocolError(f"the credential set is not UTF-8: {error}") from error
    except _RowsNotLast:
        try:
            return CredentialSet.model_validate_json(body)
        except ValidationError as error:
            raise ProtocolError(explain(error)) from error


class _RowsNotLast(Exception):
    pass


def _head(text: str) -> tuple[dict[str, Any], int]:
    """The members before `rows`, and where its value begins."""
    head: dict[str, Any] = {}
    at = _after(text, 0, "{")
    while True:
        name, end = _value(text, at)
        if not isinstance(name, str):
            raise ProtocolError("a credential set is a JSON object")
        at = _after(text, end, ":")
        if name == "rows":
            if not {"version", "digest", "rules"} <= head.keys():
                raise _RowsNotLast
            return head, at
        head[name], end = _value(text, at)
        at = _after(text, end, ",")


def _value(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the credential set is no JSON at character {at}") from error


def _after(text: str, at: int, mark: str) -> int:
    """The place of what follows `mark`, which must be next."""
    at = _space(text, at)
    if text[at : at + 1] != mark:
        raise ProtocolError(f"the credential set has no {mark} at character {at}")
    return _space(text, at + 1)


def _space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()
