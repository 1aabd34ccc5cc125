"""A register of a few days with whatever makes links hard, and what its events are linked to: slow, and obvious.

Days are counted from `START`; an interval begins with its first instant and ends before its last.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import strategies as st
from sqlalchemy import Connection, delete, insert

from cloud.database.engine import Database
from cloud.database.tables import (
    AccessPass,
    Credential,
    Door,
    Gateway,
    Grid,
    GridPlace,
    Household,
    JointUnit,
    JointUnitPlace,
    Person,
    Place,
    Residency,
)
from cloud.linking.links import LinkKey, Links

START = datetime(2026, 1, 1, tzinfo=UTC)
PLACES = [UUID(int=i) for i in range(1, 7)]
DWELLINGS = PLACES[:3]
PERSONS = [UUID(int=100 + i) for i in range(3)]
CREDENTIALS = [UUID(int=200 + i) for i in range(4)]
HOUSEHOLDS = [UUID(int=300 + i) for i in range(3)]
GRIDS = [UUID(int=400 + i) for i in range(3)]
UNITS = [UUID(int=500 + i) for i in range(3)]
TABLES = (
    AccessPass,
    Credential,
    Residency,
    Household,
    GridPlace,
    JointUnitPlace,
    JointUnit,
    Grid,
    Door,
    Gateway,
    Person,
    Place,
)
DAYS = (0.0, 1.0, 4.5, 5.0, 9.999, 10.0, 20.0, 30.0)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


@dataclass(frozen=True)
class Interval:
    since: int
    until: int | None

    def holds(self, moment: float) -> bool:
        return self.since <= moment and (self.until is None or moment < self.until)

    @property
    def columns(self) -> dict[str, datetime | None]:
        return {"since": day(self.since), "until": None if self.until is None else day(self.until)}


@dataclass(frozen=True)
class Stay:
    """A residency."""

    id: UUID
    person: UUID
    dwelling: UUID
    when: Interval
    household: UUID | None = None


@dataclass(frozen=True)
class Lies:
    """A place lies in a grid or a joint-household unit."""

    place: UUID
    member: UUID
    when: Interval


@dataclass(frozen=True)
class Register:
    holders: dict[UUID, UUID]
    """Credential -> person. They all have one number: a card that was given back and given out again."""
    passes: frozenset[UUID] = frozenset()
    stays: tuple[Stay, ...] = ()
    households: tuple[tuple[UUID, Interval], ...] = ()
    grids: tuple[Lies, ...] = ()
    units: tuple[Lies, ...] = ()
    doors: tuple[tuple[str, UUID], ...] = ()


@dataclass(frozen=True)
class Asked:
    """What an event says: the credential, its time in days, the place's code and the device."""

    credential: UUID | None
    at: float
    place: str
    device: str

    @property
    def key(self) -> LinkKey:
        at_us = int(START.timestamp() + self.at * 86400) * 10**6
        return (self.place, "g1", self.device), at_us, self.credential.hex if self.credential else None


def reference(register: Register, asked: Asked) -> Links:
    """One event at a time, in plain words."""
    place = {f"place-{place.int}": place for place in PLACES}.get(asked.place)
    place = place or dict(register.doors).get(asked.device)
    person = register.holders.get(asked.credential) if asked.credential else None
    credential = asked.credential if person else None
    homes = [stay for stay in register.stays if stay.person == person and stay.when.holds(asked.at)]
    home = max(homes, key=lambda stay: (stay.when.since, stay.id.int)) if homes else None
    dwelling = home.dwelling if home else None
    household = None
    for candidate, existed in register.households:
        if home and home.household == candidate and existed.holds(asked.at):
            household = candidate
    grid = _member(register.grids, dwelling, asked.at) or _member(register.grids, place, asked.at)
    unit = _member(register.units, dwelling, asked.at)
    if credential in register.passes:
        person = None
    return tuple(id_.hex if id_ else None for id_ in (place, credential, person, dwelling, household, grid, unit))


def _member(lies: Iterable[Lies], place: UUID | None, moment: float) -> UUID | None:
    for each in lies:
        if each.place == place and each.when.holds(moment):
            return each.member
    return None


def fill(database: Database, register: Register) -> None:
    """Put a register in the place of whatever there was."""
    with database.write() as connection:
        for table in TABLES:
            connection.execute(delete(table))
        _fill_places(connection, register)
        connection.execute(insert(Person), [{"id": person, "name": "张伟"} for person in PERSONS])
        for i, (credential, person) in enumerate(register.holders.items()):
            card = {"id": credential, "person_id": person, "number_sealed": b"", "number_index": "the same card"}
            revoked = None if i + 1 == len(register.holders) else day(i)
            connection.execute(insert(Credential).values(**card, revoked_at=revoked))
        for guest in register.passes & register.holders.keys():
            values = {"id": guest, "kind": "guest", "label": "x", "days": [], "created_at": START}
            connection.execute(insert(AccessPass).values(**values))
        for id_, when in register.households:
            household = {"id": id_, "code": id_.hex, "dwelling_id": DWELLINGS[0]}
            connection.execute(insert(Household).values(**household, **when.columns))
        for stay in register.stays:
            connection.execute(insert(Residency).values(**stay_columns(stay)))


def stay_columns(stay: Stay) -> dict[str, object]:
    """A row of `residency`."""
    return {
        "id": stay.id,
        "person_id": stay.person,
        "dwelling_id": stay.dwelling,
        "role": "tenant",
        "household_id": stay.household,
        **stay.when.columns,
    }


def _fill_places(connection: Connection, register: Register) -> None:
    connection.execute(
        insert(Place),
        [{"id": p, "kind": "dwelling", "code": f"place-{p.int}", "name": "x", "path": p.bytes[8:]} for p in PLACES],
    )
    connection.execute(insert(Gateway), [{"id": "g1", "created_at": START, "session": 0}])
    for device, place in register.doors:
        door = {"id": uuid4(), "gateway_id": "g1", "device": device, "place_id": place}
        connection.execute(insert(Door).values(**door, name="x"))
    named = {"name": "x", "place_id": PLACES[-1], "since": START}
    connection.execute(insert(Grid), [{"id": id_, "code": id_.hex, "level": 1, **named} for id_ in GRIDS])
    connection.execute(insert(JointUnit), [{"id": id_, "code": id_.hex, **named} for id_ in UNITS])
    for lies in register.grids:
        connection.execute(insert(GridPlace).values(place_id=lies.place, grid_id=lies.member, **lies.when.columns))
    for lies in register.units:
        values = {"place_id": lies.place, "joint_unit_id": lies.member, **lies.when.columns}
        connection.execute(insert(JointUnitPlace).values(**values))


# --- Registers and questions that hypothesis draws

intervals = st.builds(Interval, since=st.integers(0, 20), until=st.none() | st.integers(0, 25))
stays = st.builds(
    Stay,
    id=st.uuids(),
    person=st.sampled_from(PERSONS),
    dwelling=st.sampled_from(DWELLINGS),
    when=intervals,
    household=st.none() | st.sampled_from(HOUSEHOLDS),
)


def _after_each_other(place: UUID, members: list[UUID], bounds: set[int], ends: bool) -> list[Lies]:
    """A place moved from one to the next at each bound; with gaps, where it is in none, at every second one."""
    cuts = sorted(bounds)
    lies = [
        Lies(place, members[i % len(members)], Interval(cut, cuts[i + 1] if i + 1 < len(cuts) else None))
        for i, cut in enumerate(cuts)
    ]
    return [each for i, each in enumerate(lies) if not (ends and i % 2)]


def _memberships(members: list[UUID]) -> st.SearchStrategy[tuple[Lies, ...]]:
    of_place = [
        st.builds(
            _after_each_other,
            st.just(place),
            st.permutations(members),
            st.sets(st.integers(0, 20), max_size=4),
            st.booleans(),
        )
        for place in PLACES
    ]
    return st.tuples(*of_place).map(lambda parts: tuple(lies for part in parts for lies in part))


registers = st.builds(
    Register,
    holders=st.dictionaries(st.sampled_from(CREDENTIALS[:3]), st.sampled_from(PERSONS)),
    passes=st.frozensets(st.just(CREDENTIALS[0])),
    stays=st.lists(stays, max_size=12, unique_by=lambda stay: stay.id).map(tuple),
    households=st.lists(st.tuples(st.sampled_from(HOUSEHOLDS), intervals), unique_by=lambda pair: pair[0]).map(tuple),
    grids=_memberships(GRIDS),
    units=_memberships(UNITS),
    doors=st.dictionaries(st.sampled_from(["d-east", "d-west"]), st.sampled_from(PLACES[:2])).map(
        lambda doors: tuple(doors.items())
    ),
)
questions = st.builds(
    Asked,
    credential=st.none() | st.sampled_from(CREDENTIALS),
    at=st.sampled_from(DAYS),
    place=st.sampled_from([*(f"place-{p.int}" for p in PLACES), "nowhere"]),
    device=st.sampled_from(["d-east", "d-west", "c-east"]),
)
