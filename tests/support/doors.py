"""A small site for the tests of doors: played readers, their keys, a store with cards, and a controller."""

import os
import threading
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from edge.access.config import AccessConfig
from edge.access.controller import AccessController
from edge.access.store import CredentialStore
from edge.clock import SystemClock
from edge.observations import Observation
from gatehouse.demo.played_plan import Plan, PlayedReader
from protocols.cards import keyed_hash, parse_text
from protocols.credentials import CredentialRow, CredentialSet, total_digest
from protocols.event_data import EventData
from protocols.rules import DoorGroup, Interval, Rules, Schedule

CARD_KEY = b"k" * 32
ZONE = ZoneInfo("Asia/Shanghai")
ALWAYS = Schedule(id="always", intervals=tuple(Interval(weekday=day, since=0, until=1440) for day in range(7)))
NEVER = Schedule(id="never", intervals=())
WAIT_S = 30.0


def row(
    text: str,
    *groups: str,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    ref: int | None = None,
) -> CredentialRow:
    """A credential for a card's text."""
    return CredentialRow(
        ref=uuid.uuid4() if ref is None else uuid.UUID(int=ref),
        hash=keyed_hash(CARD_KEY, parse_text(text)),
        not_before=not_before,
        not_after=not_after,
        groups=groups,
    )


def whole_set(version: int, rules: Rules, *rows: CredentialRow) -> CredentialSet:
    digest = total_digest([rules.digest(), *(each.digest() for each in rows)])
    return CredentialSet(version=version, digest=digest, rules=rules, rows=rows)


def rules_for(*doors: str) -> Rules:
    """The group `all` opens `doors` always, the group `closed` opens them never, the group `none` opens nothing."""
    return Rules(
        schedules=(ALWAYS, NEVER),
        groups=(
            DoorGroup(id="all", doors=doors, schedule="always"),
            DoorGroup(id="closed", doors=doors, schedule="never"),
            DoorGroup(id="none", doors=(), schedule="always"),
        ),
    )


class Recording:
    """A recorder that tests wait on."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.all: list[Observation] = []

    def __call__(self, observation: Observation) -> None:
        with self._changed:
            self.all.append(observation)
            self._changed.notify_all()

    def wait(
        self, kind: type[EventData], device: str, after_s: float = 0.0, timeout_s: float = WAIT_S, **fields: Any
    ) -> Observation:
        """The first event of a kind about a device, at or after a monotonic time, with these fields."""

        def wanted(seen: Observation) -> bool:
            return (
                isinstance(seen.data, kind)
                and seen.device == device
                and seen.moment.monotonic_s >= after_s
                and all(getattr(seen.data, name) == value for name, value in fields.items())
            )

        with self._changed:
            found = self._changed.wait_for(lambda: next(filter(wanted, self.all), None), timeout_s)
            assert found is not None, f"no {kind.__name__} of {device} {fields}; there are: {self.all}"
            return found

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
        """Wait until the events make something true."""
        with self._changed:
            assert self._changed.wait_for(condition, timeout_s), f"never true; there are: {self.all}"


class DoorSite:
    """`doors` doors, each with a reader of its own; `per_line` readers share a line."""

    def __init__(self, folder: Path, doors: int = 1, per_line: int = 1, **door_fields: Any) -> None:
        self.folder = folder
        numbers = range(1, doors + 1)
        self.keys = {f"r{number}": os.urandom(16) for number in numbers}
        for reader, key in self.keys.items():
            path = folder / f"{reader}.key"
            path.write_text(key.hex() + "\n")
            path.chmod(0o600)
        lines = {number: 1 + (number - 1) // per_line for number in numbers}
        self.config = AccessConfig.model_validate(
            {
                "reader_bus": [
                    {"id": f"bus{line}", "port": str(self.link(line)), "baud_rate": 115200}
                    for line in sorted(set(lines.values()))
                ],
                "reader": [
                    {"id": f"r{number}", "bus": f"bus{line}", "address": number, "scbk_file": folder / f"r{number}.key"}
                    for number, line in lines.items()
                ],
                "door": [{**_door(number), **door_fields} for number in numbers],
            }
        )
        self.plan = Plan(
            readers=tuple(
                PlayedReader(
                    id=f"r{number}", link=self.link(line), address=number, scbk_hex=self.keys[f"r{number}"].hex()
                )
                for number, line in lines.items()
            )
        )
        self.recording = Recording()
        self.store = CredentialStore(folder / "credentials.db", CARD_KEY)
        self.controller = AccessController(self.config, self.store, self.recording, SystemClock(), ZONE)

    def link(self, line: int) -> Path:
        return self.folder / f"line{line}"

    def permit(self, *rows: CredentialRow) -> None:
        """Put these credentials in force, under `rules_for` every door."""
        version = self.store.head().version + 1
        self.store.replace(whole_set(version, rules_for(*(door.id for door in self.config.door)), *rows))

    def __enter__(self) -> "DoorSite":
        self.controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.controller.stop()
        self.store.close()


def _door(number: int) -> dict[str, Any]:
    reader = f"r{number}"
    return {
        "id": f"d{number}",
        "place": f"gate-{number}",
        "readers": [reader],
        "strike": {"reader": reader, "output": 0},
        "contact": {"reader": reader, "input": 0},
        "request_to_exit": {"reader": reader, "input": 1},
        "release_s": 2.0,
        "held_after_s": 1.5,
    }
