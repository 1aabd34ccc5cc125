"""Gateways are added, listed, revoked and given codes; codes and keys are stored sealed."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from cloud.database import tables
from cloud.database.engine import Database
from cloud.gateways import GatewayError, GatewayKeys, GatewayRegister, Roster
from tests.support import register as given

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def register(database: Database) -> GatewayRegister:
    return GatewayRegister(database, given.vault(), lambda: NOW, os.urandom)


def test_a_code_is_stored_sealed_and_expires_after_a_day(register: GatewayRegister, database: Database) -> None:
    code = register.add("east")
    with database.read() as connection:
        [row] = connection.execute(select(tables.EnrolmentCode.__table__)).all()
    assert row.expires_at == NOW + timedelta(hours=24)
    assert code.secret.encode() not in row.secret_sealed
    assert [(each.id, each.state, each.code_expires_at) for each in register.list()] == [
        ("east", "waiting", row.expires_at)
    ]


@pytest.mark.parametrize("name", ["hub", "East", "a.b", "a/b", "+", "#", "", "-a", "a" * 40, "a b"])
def test_a_name_that_a_topic_could_not_carry_is_refused(register: GatewayRegister, name: str) -> None:
    with pytest.raises(GatewayError, match="cannot be a gateway's name"):
        register.add(name)


def test_a_taken_name_is_refused_with_what_helps(register: GatewayRegister) -> None:
    register.add("east")
    with pytest.raises(GatewayError, match="'gateways code east' makes a new code"):
        register.add("east")


@pytest.mark.parametrize("act", ["revoke", "new_code"])
def test_an_unknown_gateway_is_told(register: GatewayRegister, act: str) -> None:
    with pytest.raises(GatewayError, match="no gateway 'west'"):
        getattr(register, act)("west")


def test_a_new_code_ends_the_older_one(register: GatewayRegister, database: Database) -> None:
    old, new = register.add("east"), register.new_code("east")
    with database.read() as connection:
        assert connection.execute(select(tables.EnrolmentCode.name)).scalars().all() == [new.name]
    assert old.secret != new.secret


def test_revoking_wipes_keys_and_codes_and_the_next_question_finds_none(
    register: GatewayRegister, database: Database
) -> None:
    with database.write() as connection:
        given.add_gateway(connection, "east")
    clock = [0.0]
    keys = GatewayKeys(database, given.vault(), lambda: clock[0])
    key = keys.key("east")
    assert key is not None
    assert (key.key_id, key.secret) == ("k1", given.MESSAGE_SECRET)
    register.new_code("east")
    register.revoke("east")
    clock[0] = 0.6
    assert keys.key("east") is None
    with database.read() as connection:
        row = connection.execute(select(tables.Gateway.__table__)).one()
        assert connection.execute(select(tables.EnrolmentCode.name)).first() is None
    assert (row.message_key_sealed, row.card_key_sealed, row.broker_password_sealed) == (None, None, None)
    assert register.list()[0].state == "revoked"


def test_keys_are_read_again_at_once_when_told_to_forget(database: Database, register: GatewayRegister) -> None:
    keys = GatewayKeys(database, given.vault(), lambda: 0.0)
    assert keys.key("east") is None
    with database.write() as connection:
        given.add_gateway(connection, "east")
    assert keys.key("east") is None
    keys.forget()
    assert keys.key("east") is not None


def test_a_key_sealed_under_another_master_key_keeps_only_its_gateway_out(database: Database) -> None:
    from cloud.gateways.purposes import MESSAGE_KEY
    from cloud.vault import Vault

    with database.write() as connection:
        given.add_gateway(connection, "east")
        given.add_gateway(connection, "west")
        foreign = Vault(b"x" * 32).seal(b"m" * 32, MESSAGE_KEY)
        connection.execute(
            tables.Gateway.__table__.update().where(tables.Gateway.id == "west").values(message_key_sealed=foreign)
        )
    keys = GatewayKeys(database, given.vault())
    assert keys.key("west") is None
    assert keys.key("east") is not None


class RememberingBroker:
    """Takes the users that it is given; the real ones are tried in tests/cloud/broker."""

    def __init__(self) -> None:
        self.users: dict[str, str] = {}

    def set_gateways(self, passwords: dict[str, str]) -> None:
        self.users = dict(passwords)


def test_the_roster_admits_the_enrolled_and_leaves_out_the_revoked(
    database: Database, register: GatewayRegister
) -> None:
    broker = RememberingBroker()
    roster = Roster(database, given.vault(), broker)  # type: ignore[arg-type]  # one method of Broker is enough
    register.add("waiting")
    with database.write() as connection:
        given.add_gateway(connection, "east")
        given.add_gateway(connection, "west")
    register.revoke("west")
    roster.sync()
    assert broker.users == {"east": given.BROKER_SECRET}
