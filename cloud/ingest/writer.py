"""Stores a batch in one transaction: events once each, their links, device states, presence and what is stored so far.

It publishes nothing; the receipts that it returns may be sent because the transaction is committed by then.
"""

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from cloud.database.engine import Database
from cloud.database.types import to_us
from cloud.ingest.arrival import Arrival, latest_moves
from cloud.ingest.batch import Batch, Presence, Refusal, Refused, StoredBatch
from cloud.ingest.coverage import Coverage, Range, runs
from cloud.ingest.postgresql_store import PostgresqlStore
from cloud.ingest.sqlite_store import SqliteStore
from cloud.ingest.store import EVENT_FIELDS, EventRow, Store, StreamKey
from protocols import presence
from protocols.ids import UuidV7Maker

DEAD_LETTERS_KEPT = 2000
DEAD_LETTER_BYTES = 16 * 1024
"""How much of a payload a dead letter keeps: 2,000 of them stay under 32 MiB."""

_PERSON = EVENT_FIELDS.index("person_id")
_TOPIC_CHARACTERS = 200
_REASON_CHARACTERS = 300
_STORES: dict[str, type[Store]] = {"sqlite": SqliteStore, "postgresql": PostgresqlStore}
_logger = logging.getLogger(__name__)


class DatabaseOutage(Exception):
    """The database did not take a batch for a reason that lies with the database; nothing of it is stored."""


class EventWriter:
    """Stores batches; for one thread. Several writers may work at once, in one process or many."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._store: Store | None = None
        self._new_id = UuidV7Maker(time.time, os.urandom)

    def store(self, batch: Batch) -> StoredBatch:
        """Store a batch. One event that the database refuses is found, becomes a dead letter, and the rest is stored.

        Raises:
            DatabaseOutage: if the database cannot be used now; the same batch may be tried again, as a whole.
        """
        kind = _STORES[self._database.dialect]
        try:
            return self._try(batch)
        except kind.data_errors as error:
            return self._without_poison(batch, error)
        except kind.outages as error:
            self.close()
            raise DatabaseOutage(f"the database did not take a batch: {error}") from error

    def close(self) -> None:
        """Give the connection back; the next batch opens another."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def _without_poison(self, batch: Batch, error: Exception) -> StoredBatch:
        """Halve the batch until the poison stands alone; some 2 log2(n) transactions for one poison event of n."""
        if self._store is not None:
            self._store.rollback()
        if not batch.arrivals:
            self.close()
            raise DatabaseOutage(f"the database refuses what is no event: {error}") from error
        if len(batch.arrivals) > 1:
            middle = len(batch.arrivals) // 2
            first = self.store(replace(batch, arrivals=batch.arrivals[:middle]))
            return _joined(first, self.store(Batch(batch.received_at, batch.arrivals[middle:])))
        event = batch.arrivals[0]
        name = type(error).__name__
        _logger.error("event %s of gateway %s cannot be stored: %s", event.id, event.gateway, name)
        stream = UUID(event.stream)
        poison = Refusal(event.gateway, "", Refused.UNSTORABLE, name, _utf8(event.body), stream, event.seq)
        rest = replace(batch, arrivals=(), refusals=(*batch.refusals, poison))
        return replace(self.store(rest), unstorable=1)

    def _try(self, batch: Batch) -> StoredBatch:
        store = self._store = self._store or _STORES[self._database.dialect](self._database)
        store.begin()
        taken = _save_presence(store, batch)
        new, linked = _insert(store, batch)
        _save_states(store, new)
        if batch.refusals:
            store.save_dead_letters(
                [self._dead_letter(refusal, batch) for refusal in batch.refusals], DEAD_LETTERS_KEPT
            )
        covered = _cover(store, batch)
        store.commit()
        return StoredBatch(
            inserted=[arrival.id for arrival in new],
            linked=linked,
            duplicates=len(batch.arrivals) - len(new),
            receipts=[(gateway, coverage.receipt(UUID(stream))) for (gateway, stream), coverage in covered.items()],
            presence=taken,
        )

    def _dead_letter(self, refusal: Refusal, batch: Batch) -> tuple[object, ...]:
        return (
            self._new_id().hex,
            refusal.gateway,
            _printable(refusal.topic)[:_TOPIC_CHARACTERS],
            _printable(f"{refusal.reason}: {refusal.detail}")[:_REASON_CHARACTERS],
            refusal.payload[:DEAD_LETTER_BYTES],
            to_us(batch.received_at),
        )


def _insert(store: Store, batch: Batch) -> tuple[list[Arrival], int]:
    """Insert what is new: these events, and how many of them have a person."""
    arrivals = list({arrival.id: arrival for arrival in batch.arrivals}.values())
    if not arrivals:
        return [], 0
    links = store.links([arrival.link for arrival in arrivals])
    received_us = to_us(batch.received_at)
    rows: list[EventRow] = [
        (*arrival[:7], received_us, *link, arrival.denied_for, arrival.body)
        for arrival, link in zip(arrivals, links, strict=True)
    ]
    inserted = store.insert_events(rows)
    if inserted is not None:
        arrivals = [arrival for arrival in arrivals if arrival.id in inserted]
        rows = [row for row in rows if row[0] in inserted]
    return arrivals, sum(row[_PERSON] is not None for row in rows)


def _save_states(store: Store, arrivals: Sequence[Arrival]) -> None:
    moves = latest_moves(arrivals)
    if moves:
        store.save_states(
            [
                (*device, move.kind, move.state, arrival.time_us, arrival.stream, arrival.seq)
                for device, (arrival, move) in moves.items()
            ]
        )


def _save_presence(store: Store, batch: Batch) -> list[Presence]:
    """Save births and wills; what was not of an older session. Sorted by gateway, so that workers lock alike."""
    taken = []
    for said in sorted(batch.presence, key=lambda said: said.gateway):
        state = said.state
        is_birth = state.state is presence.Presence.ONLINE
        reported = state.model_dump_json(exclude_none=True, exclude={"nonce"}) if is_birth else None
        if store.save_presence(said.gateway, state.session, state.state.value, to_us(batch.received_at), reported):
            taken.append(said)
    return taken


def _cover(store: Store, batch: Batch) -> dict[StreamKey, Coverage]:
    """Add the batch's numbers, and those that a gap event says will never come, to what is stored of each stream."""
    numbers: dict[StreamKey, list[int]] = {}
    gaps: dict[StreamKey, list[Range]] = {}
    for arrival in batch.arrivals:
        key = (arrival.gateway, arrival.stream)
        numbers.setdefault(key, []).append(arrival.seq)
        if arrival.gaps:
            gaps.setdefault(key, []).extend(arrival.gaps)
    for refusal in batch.refusals:
        if refusal.gateway is not None and refusal.stream is not None and refusal.seq is not None:
            numbers.setdefault((refusal.gateway, refusal.stream.hex), []).append(refusal.seq)
    if not numbers:
        return {}
    before = store.lock_cursors(sorted(numbers))
    after = {key: known.plus([*runs(numbers[key]), *gaps.get(key, ())]) for key, known in before.items()}
    store.save_cursors({key: coverage for key, coverage in after.items() if coverage != before[key]})
    return after


def _joined(one: StoredBatch, other: StoredBatch) -> StoredBatch:
    return StoredBatch(
        [*one.inserted, *other.inserted],
        one.linked + other.linked,
        one.duplicates + other.duplicates,
        [*one.receipts, *other.receipts],
        [*one.presence, *other.presence],
        one.unstorable + other.unstorable,
    )


def _printable(text: str) -> str:
    """Without what a text column may refuse (NUL) or a log would obey (control characters)."""
    return "".join(c if c.isprintable() else "?" for c in text).encode("utf-8", "replace").decode()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
