"""The credentials in memory, as few bytes each as Python allows: what a decision reads, and nothing that it does not.

One `dict` from 16 bytes (a credential's keyed hash; for a pass, its id) to the packed rows that carry it: a bytes
object of 91 bytes for each, so that 100,000 credentials need tens of MiB and no objects for the garbage collector to
walk. A card's own spelling, which few rows have, is kept beside.
"""

import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from uuid import UUID

NEVER_US = 2**63 - 1
ALWAYS_US = -(2**63)
_ROW = struct.Struct(">16sqqIBHI16s16s16s")
"""The credential's id, both bounds in microseconds since the epoch, the number of its set of door groups, its flags,
its uses, its offline seconds, and the hashes of its holder, its PIN and its duress PIN."""
_NONE = bytes(16)
"""Stands for no hash."""
_NO_LIMIT = 0xFFFF_FFFF
_KIND_BITS = 0b11


class Kind(IntEnum):
    """What a stored row is a credential of; the numbers are those on disk."""

    CARD = 0
    PIN = 1
    PLATE = 2
    PASS = 3


class Flag(IntFlag):
    """What is true of a row beside its fields; the lowest two bits are its kind."""

    DURESS = 0b100
    FIRST = 0b1000


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """One credential: valid from `not_before_us` (inclusive) until `not_after_us` (exclusive), since the epoch.

    The rest is as in `protocols.credentials.CredentialRow`, hashes as 16 bytes.
    """

    ref: UUID
    not_before_us: int
    not_after_us: int
    groups: tuple[str, ...]
    kind: Kind = Kind.CARD
    holder: bytes | None = None
    pin: bytes | None = None
    duress_pin: bytes | None = None
    duress: bool = False
    uses: int | None = None
    offline_s: int | None = None
    first: bool = False

    @property
    def expires(self) -> bool:
        return self.not_after_us != NEVER_US


IndexedRow = tuple[bytes, StoredCredential, str | None]
"""Its hash, the row, and its card's own spelling if a device keeps it."""


class CredentialIndex:
    """Look-up by hash. One thread changes it; any may look up meanwhile, and sees each row whole."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}
        self._group_sets: list[tuple[str, ...]] = []
        self._group_numbers: dict[tuple[str, ...], int] = {}
        self._numbered: dict[bytes, tuple[bytes, str]] = {}
        self._offline: Counter[int] = Counter()

    def __len__(self) -> int:
        return sum(len(packed) for packed in self._rows.values()) // _ROW.size

    def add(self, row_hash: bytes, row: StoredCredential, number: str | None = None) -> None:
        """Add a row whose id is not in yet."""
        key = _key(row_hash, row)
        self._rows[key] = self._rows.get(key, b"") + self._pack(row)
        self._note(row_hash, row, number)

    def change(self, gone: Iterable[IndexedRow], come: Iterable[IndexedRow]) -> None:
        """Take rows out and put others in; who looks up meanwhile sees the rows of a hash as before or as after."""
        out, into = list(gone), list(come)
        after: dict[bytes, bytes] = {}
        for row_hash, row, _ in out:
            key = _key(row_hash, row)
            rows = _split(after.get(key, self._rows.get(key, b"")))
            after[key] = b"".join(each for each in rows if not each.startswith(row.ref.bytes))
            self._forget(row)
        for row_hash, row, number in into:
            key = _key(row_hash, row)
            after[key] = after.get(key, self._rows.get(key, b"")) + self._pack(row)
            self._note(row_hash, row, number)
        for key, packed in after.items():
            if packed:
                self._rows[key] = packed
            else:
                self._rows.pop(key, None)

    def find(self, row_hash: bytes) -> list[StoredCredential]:
        """Every credential that carries this hash, of any kind but passes; mostly one."""
        return [row for row in self._found(row_hash) if row.kind is not Kind.PASS]

    def find_pass(self, ref: UUID) -> StoredCredential | None:
        """The row of a pass."""
        return next((row for row in self._found(ref.bytes) if row.kind is Kind.PASS), None)

    def find_numbered(self, ref: UUID) -> StoredCredential | None:
        """A credential by its id, if a device keeps its number."""
        numbered = self._numbered.get(ref.bytes)
        if numbered is None:
            return None
        return next((row for row in self._found(numbered[0]) if row.ref == ref), None)

    def numbered(self) -> Iterator[tuple[str, StoredCredential]]:
        """The rows with a card's own spelling, which comes first."""
        for ref, (_, number) in list(self._numbered.items()):
            row = self.find_numbered(UUID(bytes=ref))
            if row is not None:
                yield number, row

    @property
    def offline_classes(self) -> list[int]:
        """The times for which rows are taken without news of the hub, in seconds, the shortest first."""
        return sorted(self._offline.copy())

    def _found(self, key: bytes) -> Iterator[StoredCredential]:
        return map(self._read, _ROW.iter_unpack(self._rows.get(key, b"")))

    def _pack(self, row: StoredCredential) -> bytes:
        flags = row.kind | (Flag.DURESS if row.duress else 0) | (Flag.FIRST if row.first else 0)
        return _ROW.pack(
            row.ref.bytes,
            row.not_before_us,
            row.not_after_us,
            self._number(row.groups),
            flags,
            row.uses or 0,
            _NO_LIMIT if row.offline_s is None else row.offline_s,
            row.holder or _NONE,
            row.pin or _NONE,
            row.duress_pin or _NONE,
        )

    def _read(self, fields: tuple[bytes, int, int, int, int, int, int, bytes, bytes, bytes]) -> StoredCredential:
        ref, not_before_us, not_after_us, number, flags, uses, offline_s, holder, pin, duress_pin = fields
        return StoredCredential(
            UUID(bytes=ref),
            not_before_us,
            not_after_us,
            self._group_sets[number],
            Kind(flags & _KIND_BITS),
            None if holder == _NONE else holder,
            None if pin == _NONE else pin,
            None if duress_pin == _NONE else duress_pin,
            bool(flags & Flag.DURESS),
            uses or None,
            None if offline_s == _NO_LIMIT else offline_s,
            bool(flags & Flag.FIRST),
        )

    def _number(self, groups: tuple[str, ...]) -> int:
        number = self._group_numbers.get(groups)
        if number is None:
            number = len(self._group_sets)
            self._group_sets.append(groups)
            self._group_numbers[groups] = number
        return number

    def _note(self, row_hash: bytes, row: StoredCredential, number: str | None) -> None:
        if number is not None:
            self._numbered[row.ref.bytes] = row_hash, number
        if row.offline_s is not None:
            self._offline[row.offline_s] += 1

    def _forget(self, row: StoredCredential) -> None:
        self._numbered.pop(row.ref.bytes, None)
        if row.offline_s is not None:
            self._offline[row.offline_s] -= 1
            if not self._offline[row.offline_s]:
                del self._offline[row.offline_s]


def _key(row_hash: bytes, row: StoredCredential) -> bytes:
    return row.ref.bytes if row.kind is Kind.PASS else row_hash


def _split(packed: bytes) -> list[bytes]:
    return [packed[start : start + _ROW.size] for start in range(0, len(packed), _ROW.size)]
