"""Many stored events of made-up doors and households, as rows of the table `event`: for plans and times of queries."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cloud.database.types import from_us, to_us
from cloud.ingest.store import EVENT_FIELDS, EventRow
from tests.support.events import new_id

_TYPES = ("access.granted.v1",) * 12 + ("door.opened.v1",) * 6 + ("access.denied.v1", "person.entered_zone.v1")


@dataclass(frozen=True)
class Scene:
    """Doors (gateway, device, place) and holders (credential, person, dwelling, household, grid, unit) of events, the
    first at `since`, and all evenly until `until`."""

    doors: list[tuple[str, str, UUID]]
    holders: list[tuple[UUID, UUID, UUID, UUID, UUID, UUID]]
    since: datetime
    until: datetime


def stored_events(scene: Scene, count: int) -> Iterator[EventRow]:
    """Rows in the order of time: 12 of 20 are grants, 6 openings, one a denial and one a camera's."""
    first_us = to_us(scene.since)
    step_us = (to_us(scene.until) - first_us) / count
    stream = new_id().hex
    doors = [(gateway, device, place.hex) for gateway, device, place in scene.doors]
    holders = [tuple(id_.hex for id_ in holder) for holder in scene.holders]
    for i in range(count):
        at_us = first_us + int(i * step_us)
        kind = _TYPES[i * 7 % 20]
        gateway, device, place = doors[i * 31 % len(doors)]
        row = {
            "id": _id_at(at_us, i),
            "gateway_id": gateway,
            "stream": stream,
            "seq": i + 1,
            "type": kind,
            "subject": device,
            "time": at_us,
            "received_at": at_us + 300_000,
            "place_id": place,
        }
        data: dict[str, object] = {"cause": "credential"}
        if kind == "person.entered_zone.v1":
            data = {"score": 0.9, "zone": "z", "track": 1, "box": {"left": 0, "top": 0, "right": 1, "bottom": 1}}
        if kind.startswith("access."):
            holder = holders[i * 7919 % len(holders)]
            names = ("credential_id", "person_id", "dwelling_id", "household_id", "grid_id", "joint_unit_id")
            row |= zip(names, holder, strict=True)
            data = {"reader": "r-in", "method": "card", "credential": str(UUID(holder[0]))}
            data |= {"policy_version": 7, "decision_us": 310}
        if kind == "access.denied.v1":
            row["denied_for"] = data["reason"] = ("expired", "outside_schedule")[i % 2]
        row["body"] = _body(row, data)
        yield tuple(row.get(name) for name in EVENT_FIELDS)


def _body(row: dict[str, object], data: dict[str, object]) -> str:
    """The event as its gateway wrote it."""
    return json.dumps(
        {
            "id": str(UUID(str(row["id"]))),
            "source": f"/gw/{row['gateway_id']}/{row['subject']}",
            "specversion": "1.0",
            "type": row["type"],
            "time": from_us(int(str(row["time"]))).isoformat(),
            "subject": row["subject"],
            "gateway": row["gateway_id"],
            "place": "gate-east",
            "stream": str(UUID(str(row["stream"]))),
            "seq": row["seq"],
            "clock": {"state": "synced", "monotonic_ms": 1000},
            "data": data,
        }
    )


def _id_at(at_us: int, number: int) -> str:
    """A UUIDv7 of this moment, 32 hex digits; `number` tells it from others."""
    return f"{at_us // 1000:012x}7{number >> 40 & 0xFFF:03x}8{number & 0xFFFFFFFFFF:015x}"
