"""A small register, written straight into the tables: persons with cards, doors in groups, gateways with known keys."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, insert, select

from cloud.database import tables
from cloud.database.engine import Database
from cloud.gateways.purposes import BROKER_PASSWORD, CARD_KEY, MESSAGE_KEY
from cloud.register.credentials import NUMBER
from cloud.register.paths import child_path
from cloud.vault import Vault

MASTER_KEY = bytes(range(32))
MESSAGE_SECRET, CARD_SECRET = b"m" * 32, b"c" * 32
BROKER_SECRET = "a-broker-password-for-tests"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ALWAYS = [[day, 0, 1440] for day in range(7)]


def vault() -> Vault:
    return Vault(MASTER_KEY)


def add_gateway(connection: Connection, name: str, presence: str | None = "online") -> None:
    """An enrolled gateway."""
    sealed = vault().seal
    connection.execute(
        insert(tables.Gateway).values(
            id=name,
            created_at=LONG_AGO,
            enrolled_at=LONG_AGO,
            key_id="k1",
            message_key_sealed=sealed(MESSAGE_SECRET, MESSAGE_KEY),
            card_key_sealed=sealed(CARD_SECRET, CARD_KEY),
            broker_password_sealed=sealed(BROKER_SECRET.encode(), BROKER_PASSWORD),
            session=0,
            presence=presence,
        )
    )


def add_place(connection: Connection, values: Mapping[str, Any], parent: UUID | None = None) -> None:
    """A place as its values say, under that parent or under nothing."""
    above = select(tables.Place.path).where(tables.Place.id == parent)
    path = child_path(connection.execute(above).scalar_one() if parent else None, values["id"])
    connection.execute(insert(tables.Place).values(**values, parent_id=parent, path=path))


def add_doors(connection: Connection, gateway: str, groups: dict[str, list[str]], schedule: str = "always") -> None:
    """Groups with their doors, which are made with a place of their own."""
    if connection.execute(tables.Schedule.__table__.select().where(tables.Schedule.code == schedule)).first() is None:
        connection.execute(insert(tables.Schedule).values(code=schedule, name=schedule, intervals=ALWAYS))
    doors: dict[str, UUID] = {}
    for group, devices in groups.items():
        connection.execute(insert(tables.DoorGroup).values(code=group, name=group, schedule_code=schedule))
        for device in devices:
            if device not in doors:
                place, doors[device] = uuid4(), uuid4()
                code = f"{gateway}-{device}"
                add_place(connection, {"id": place, "kind": "entrance", "code": code, "name": code})
                connection.execute(
                    insert(tables.Door).values(
                        id=doors[device], gateway_id=gateway, device=device, place_id=place, name=device
                    )
                )
            connection.execute(insert(tables.DoorGroupDoor).values(group_code=group, door_id=doors[device]))


def add_person(connection: Connection) -> UUID:
    person = uuid4()
    connection.execute(insert(tables.Person).values(id=person, name="张三"))
    return person


def add_credentials(connection: Connection, person: UUID, card_texts: list[str], groups: list[str]) -> list[UUID]:
    """Credentials of one person, in the order of their cards."""
    ids = [uuid4() for _ in card_texts]
    box = vault()
    connection.execute(
        insert(tables.Credential),
        [
            {
                "id": each,
                "person_id": person,
                "number_sealed": box.seal(text.encode(), NUMBER),
                "number_index": box.index(text, NUMBER),
                "since": None,
                "until": None,
                "revoked_at": None,
            }
            for each, text in zip(ids, card_texts, strict=True)
        ],
    )
    members = [{"credential_id": each, "group_code": group} for each in ids for group in groups]
    if members:
        connection.execute(insert(tables.CredentialGroup), members)
    return ids


def add_account(database: Database) -> UUID:
    account = uuid4()
    with database.write() as connection:
        connection.execute(
            insert(tables.Account).values(
                id=account, username="wang", password_hash="-", role="guard", created_at=LONG_AGO
            )
        )
    return account
