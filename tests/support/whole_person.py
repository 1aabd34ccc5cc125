"""A person of whom the hub holds one of everything, beside a neighbour of whom it holds as much."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert, select

from cloud.database import tables
from cloud.database.engine import Database
from cloud.register.sealed import (
    CATEGORY,
    CATEGORY_BASIS,
    CONTACT_NAME,
    CONTACT_PHONE,
    HISTORY,
    ID_NUMBER,
    NUMBER,
    PHONE,
    PIN,
    PLATE,
    id_number_indexes,
    phone_indexes,
    plate_indexes,
)
from tests.support import register as given
from tests.support.console import Seed
from tests.support.events import granted, new_id

PHONE_NUMBER, ID = "13800001234", "11010519491231002X"


class WholePerson:
    """`person` of the community that `tests.support.console` seeds, with `card` and a guest's `qr_pass`."""

    def __init__(self, database: Database, seed: Seed, now: datetime, name: str, last: int) -> None:
        self.database, self.seed, self.now, self.name = database, seed, now, name
        self.phone = PHONE_NUMBER[:-1] + str(last)
        self.person, self.card, self.qr_pass, self.residency = (new_id() for _ in range(4))
        with database.write() as connection:
            self._add(connection, last)

    def pass_a_door(self, *, ago: timedelta = timedelta(minutes=1), credential: UUID | None = None) -> UUID:
        """An event of the card, or of another credential; its id."""
        event = self.seed.gateway.event(granted(credential or self.card), place="gate-east", at=self.now - ago)
        self.seed.store(event, received_at=self.now - ago)
        return event.id

    def _add(self, connection: Connection, last: int) -> None:
        seal, index, now = given.vault().seal, given.vault().index, self.now
        dwelling = connection.execute(select(tables.Place.id).where(tables.Place.code == "qt-3-2-501")).scalar_one()
        officer, household, entry, unit = (new_id() for _ in range(4))
        of, from_then = {"person_id": self.person}, {"since": given.LONG_AGO}
        phone = {"phone_sealed": seal(self.phone.encode(), PHONE), **phone_indexes(given.vault(), self.phone)}
        number = {"id_number_sealed": seal(ID.encode(), ID_NUMBER)}
        number |= id_number_indexes(given.vault(), ID) if last == 4 else {}
        card = f"w26:7:{last}"
        community = connection.execute(select(tables.Place.id).where(tables.Place.code == "qt")).scalar_one()
        self.entries = [entry, *(new_id() for _ in range(6))]
        rows: list[tuple[Any, dict[str, Any]]] = [
            (
                tables.Account,
                {
                    "id": officer,
                    "username": f"officer{last}",
                    "password_hash": "-",
                    "role": "category_officer",
                    "created_at": now,
                },
            ),
            (tables.Person, {"id": self.person, "name": self.name, **phone, **number}),
            (tables.Household, {"id": household, "code": f"h{last}", "dwelling_id": dwelling, **from_then}),
            (
                tables.Residency,
                {
                    "id": self.residency,
                    "dwelling_id": dwelling,
                    "role": "tenant",
                    **of,
                    **from_then,
                    "until": now + timedelta(days=3),
                    "household_id": household,
                },
            ),
            (
                tables.LeaseWarning,
                {"residency_id": self.residency, "until": now + timedelta(days=3), "days": 3, "told_at": now},
            ),
            (tables.Lease, {"id": self.entries[1], "residency_id": self.residency, "number": f"L{last}", **from_then}),
            (
                tables.Credential,
                {
                    "id": self.card,
                    **of,
                    "number_sealed": seal(card.encode(), NUMBER),
                    "number_index": index(card, NUMBER),
                    "pin_sealed": seal(b"2580", PIN),
                },
            ),
            (
                tables.Credential,
                {
                    "id": self.qr_pass,
                    **of,
                    "kind": "pass",
                    **from_then,
                    "until": now + timedelta(days=9),
                    "number_sealed": seal(str(self.qr_pass).encode(), NUMBER),
                    "number_index": index(str(self.qr_pass), NUMBER),
                },
            ),
            (
                tables.AccessPass,
                {
                    "id": self.qr_pass,
                    "kind": "guest",
                    "label": f"访客{self.name}",
                    "days": [],
                    "created_at": now,
                    "tokens_until": now + timedelta(days=9),
                },
            ),
            (
                tables.Contact,
                {
                    "id": self.entries[2],
                    **of,
                    "name_sealed": seal("儿子".encode(), CONTACT_NAME),
                    "relation": "son",
                    **phone,
                    "phone_sealed": seal(self.phone.encode(), CONTACT_PHONE),
                },
            ),
            (
                tables.Vehicle,
                {
                    "id": self.entries[3],
                    **of,
                    **from_then,
                    "description": "",
                    "plate_sealed": seal(f"贵G1234{last}".encode(), PLATE),
                    **plate_indexes(given.vault(), f"贵G1234{last}"),
                },
            ),
            (tables.JointUnit, {"id": unit, "code": f"u{last}", "name": "u", "place_id": community, **from_then}),
            (tables.Post, {"id": self.entries[4], **of, "kind": "unit_head", "joint_unit_id": unit, **from_then}),
            (tables.AccountPerson, {"id": self.entries[6], **of, "account_id": officer}),
            (
                tables.CareAgreement,
                {"id": self.entries[5], **of, "dwelling_id": dwelling, "hours": 24, "consent": "form 1", **from_then},
            ),
            (
                tables.ServiceCategory,
                {
                    "id": entry,
                    **of,
                    **from_then,
                    "category_sealed": seal(b"renter", CATEGORY),
                    "category_index": index("renter", CATEGORY),
                    "officer_id": officer,
                    "basis_sealed": seal(b"decision 2026-17", CATEGORY_BASIS),
                    "review_at": now + timedelta(days=5),
                },
            ),
            (
                tables.CategoryWarning,
                {"entry_id": entry, "review_at": now + timedelta(days=5), "days": 7, "told_at": now},
            ),
            (
                tables.HistoryLook,
                {
                    "id": new_id(),
                    **of,
                    "purpose": "p",
                    "case_number": "c",
                    "since": now,
                    "until": now,
                    "asked_by": officer,
                    "asked_at": now,
                    "needs_second": False,
                },
            ),
        ]
        rows += [
            (
                tables.RegisterHistory,
                {
                    "id": new_id(),
                    "at": now,
                    "source": "s",
                    "kind": "k",
                    "entry_id": each,
                    "act": "changed",
                    "before_sealed": seal(b'{"name": "x", "pin": "1"}', HISTORY),
                },
            )
            for each in (self.person, self.residency, self.card, *self.entries)
        ]
        for table, values in rows:
            connection.execute(insert(table).values(**values))
