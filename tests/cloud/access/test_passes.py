"""Passes, credentials, leases and lockdowns: the services, on both databases."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection, insert, select, update

from cloud.access import credentials, leases, lockdown, passes
from cloud.access.chores import AccessChores
from cloud.access.errors import InUse, NotNow, NotThere
from cloud.access.people import residents
from cloud.access.values.base import DoorKeyValue
from cloud.access.values.commands import LockdownRequest
from cloud.access.values.leases import GraceChange
from cloud.access.values.passes import PassRequest
from cloud.access.values.people import CredentialChange, NewCredential
from cloud.database import tables
from cloud.database.engine import Database
from cloud.database.tables import ResidencyRole
from cloud.register.credentials import NUMBER
from cloud.register.errors import RegisterError
from cloud.register.ids import IdMaker
from cloud.signing import HubSigner
from protocols import pins
from protocols.credentials import CredentialKind
from protocols.passes import read_token
from tests.cloud.credentials.test_distribution import Follower
from tests.support import register as given

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SIGNER = HubSigner(b"s" * 32)


class Site:
    """Gateway `east` with door d1 in group `residents`; a tenant until `lease_end` in dwelling b-101."""

    def __init__(self, database: Database, lease_end: datetime | None) -> None:
        self.database = database
        self.person, self.dwelling, self.residency = uuid4(), uuid4(), uuid4()
        with database.write() as connection:
            given.add_gateway(connection, "east")
            given.add_doors(connection, "east", {"residents": ["d1"]})
            connection.execute(
                update(tables.Gateway).values(reported={"policy_format": 2}).where(tables.Gateway.id == "east")
            )
            connection.execute(insert(tables.Person).values(id=self.person, name="张三丰"))
            place = {"id": self.dwelling, "kind": "dwelling", "code": "b-101", "name": "101"}
            given.add_place(connection, place)
            self.add_residency(connection, self.residency, lease_end)

    def add_residency(self, connection: Connection, identifier: UUID, until: datetime | None) -> None:
        connection.execute(
            insert(tables.Residency).values(
                id=identifier,
                person_id=self.person,
                dwelling_id=self.dwelling,
                role="tenant",
                since=given.LONG_AGO,
                until=until,
            )
        )

    def request(self, **fields: object) -> PassRequest:
        values = {
            "kind": "guest",
            "host": self.person,
            "label": "客",
            "since": NOW,
            "until": NOW + DAY,
            "doors": (DoorKeyValue(gateway="east", device="d1"),),
        }
        return PassRequest.model_validate(values | fields)

    def courier(self, **fields: object) -> PassRequest:
        return self.request(kind="courier", doors=(), groups=("residents",), **fields)


@pytest.fixture
def site(database: Database) -> Site:
    return Site(database, NOW + 10 * DAY)


def maker(*numbers: int) -> passes.PassMaker:
    left = list(numbers)
    return passes.PassMaker(given.vault(), SIGNER, uuid4, lambda _limit: left.pop(0))


def fits(key_id: str, signed: bytes, signature: bytes) -> bool:
    return key_id == SIGNER.key_id and SIGNER.sign(signed) == signature


def test_a_guest_s_qr_code_names_doors_window_uses_and_nobody(site: Site) -> None:
    with site.database.write() as connection:
        issued = maker().create(connection, site.request(uses=4, days=[5, 6], hours=[480, 600]), None, NOW)
    [code] = issued.qr_codes
    token = read_token(code.token, fits)
    assert (token.ref, token.site, token.doors, token.uses) == (issued.id, "east", ("d1",), 4)
    assert (token.since, token.until, token.days, token.hours) == (NOW, NOW + DAY, (5, 6), (480, 600))
    assert token.holder == pins.keyed_hash_of(given.CARD_SECRET, pins.holder_text(issued.id))
    assert token.offline_s == 86_400
    assert code.svg.startswith("<svg")
    assert code.token not in repr(issued)
    follower = Follower(site.database)
    follower.settle()
    [row] = follower.whole("east").rows
    assert (row.ref, row.kind, row.uses, row.not_after) == (issued.id, CredentialKind.PASS, 4, NOW + DAY)


def test_a_pass_ends_with_its_host_s_lease_and_a_code_after_31_days(site: Site) -> None:
    helper = site.request(kind="helper", until=NOW + 90 * DAY, doors=(), groups=("residents",))
    with site.database.write() as connection:
        issued = maker().create(connection, helper, None, NOW)
        assert issued.access_pass.ends_at == NOW + 10 * DAY
        assert issued.qr_codes[0].until == NOW + 10 * DAY
        connection.execute(update(tables.Residency).values(until=None))
        [later] = maker().issue(connection, issued.id, NOW + 5 * DAY)
        assert (later.since, later.until) == (NOW + 5 * DAY, NOW + 36 * DAY)
        assert read_token(later.token, fits).doors == ("d1",)
        with pytest.raises(NotNow, match="over"):
            maker().issue(connection, issued.id, NOW + 91 * DAY)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"until": NOW + 32 * DAY}, "until"),
        ({"since": NOW - 2 * DAY, "until": NOW - DAY}, "until"),
        ({"host": UUID(int=1)}, "host"),
        ({"since": NOW + 11 * DAY, "until": NOW + 12 * DAY}, "host"),
        ({"doors": [{"gateway": "east", "device": "d9"}]}, "door"),
        ({"doors": [], "groups": ["nobody"]}, "groups"),
    ],
)
def test_a_pass_that_cannot_be_is_refused_by_its_field(site: Site, fields: dict[str, object], field: str) -> None:
    with pytest.raises(RegisterError) as caught, site.database.write() as connection:
        maker().create(connection, site.request(**fields), None, NOW)
    assert caught.value.field == field


def test_a_courier_s_code_is_unique_opens_once_and_is_shown_once(site: Site) -> None:
    with site.database.write() as connection:
        first = maker(402913).create(connection, site.courier(), None, NOW)
        second = maker(402913, 402913, 7).create(connection, site.courier(), None, NOW)
        assert (first.code, second.code) == ("402913", "000007")
        with pytest.raises(NotNow, match="shown once"):
            maker().issue(connection, first.id, NOW)
        with pytest.raises(NotNow, match="no free code"):
            passes.PassMaker(given.vault(), SIGNER, uuid4, lambda _limit: 7).create(
                connection, site.courier(), None, NOW
            )
    follower = Follower(site.database)
    follower.settle()
    row = next(row for row in follower.whole("east").rows if row.ref == first.id)
    assert (row.kind, row.uses, row.groups) == (CredentialKind.PIN, 1, ("residents",))
    assert row.hash == pins.keyed_hash_of(given.CARD_SECRET, pins.pin_text("402913"))
    assert row.holder == pins.keyed_hash_of(given.CARD_SECRET, pins.holder_text(first.id))
    assert "402913" not in repr(first)


def test_a_revoked_pass_is_told_until_its_codes_ran_out_and_then_dropped(site: Site) -> None:
    follower = Follower(site.database)
    with site.database.write() as connection:
        issued = maker().create(connection, site.request(), None, NOW)
        courier = maker(5).create(connection, site.courier(), None, NOW)
        passes.revoke(connection, issued.id, NOW + timedelta(hours=1))
        with pytest.raises(NotNow):
            passes.revoke(connection, issued.id, NOW)
    follower.settle()
    ends = {row.ref: row.not_after for row in follower.whole("east").rows}
    assert ends == {issued.id: NOW + timedelta(hours=1), courier.id: NOW + DAY}
    with site.database.write() as connection:
        assert passes.drop_over(connection, NOW + 2 * DAY) == 0
        assert passes.drop_over(connection, NOW + 2 * DAY + timedelta(seconds=1)) == 2
        again = maker(5).create(connection, site.courier(since=NOW + 2 * DAY, until=NOW + 3 * DAY), None, NOW + 2 * DAY)
    assert again.code == "000005"
    follower.settle()
    assert {row.ref for row in follower.whole("east").rows} == {again.id}


def test_passes_are_listed_by_host_and_by_what_runs(site: Site) -> None:
    with site.database.write() as connection:
        first = maker().create(connection, site.request(), None, NOW)
        maker().create(connection, site.request(until=NOW + 2 * DAY), None, NOW)
        assert len(passes.list_passes(connection, site.person, None)) == 2
        assert passes.list_passes(connection, uuid4(), None) == []
        passes.revoke(connection, first.id, NOW)
        assert len(passes.list_passes(connection, None, NOW)) == 1
        with pytest.raises(NotThere):
            passes.find(connection, uuid4())


# --- credentials


def add(connection: Connection, **fields: object) -> UUID:
    new = NewCredential.model_validate({"groups": ["residents"]} | fields)
    return credentials.add_credential(connection, given.vault(), IdMaker(), new)


def test_cards_pins_and_plates_are_given_and_shown_without_their_numbers(site: Site) -> None:
    with site.database.write() as connection:
        card = add(connection, person=site.person, number="W26:12:345", pin="2580", duress_pin="0852", first=True)
        add(connection, person=site.person, kind="pin", number="23456")
        add(connection, person=site.person, kind="plate", number="贵g·12345")
        found = credentials.credentials_of(connection, given.vault(), site.person)
    assert [(each.kind, each.ends_with, each.has_pin, each.has_duress_pin) for each in found] == [
        ("card", "45", True, True),
        ("pin", "56", False, False),
        ("plate", "45", False, False),
    ]
    assert (found[0].id, found[0].ends_at, found[0].first) == (card, NOW + 10 * DAY, True)
    with site.database.read() as connection:
        assert connection.execute(select(tables.Credential.number_index)).scalars().all()
        plate = connection.execute(select(tables.Credential).where(tables.Credential.kind == "plate")).one()
        assert given.vault().open(plate.number_sealed, NUMBER).decode() == "贵G12345"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "card", "number": "12345"}, "number"),
        ({"kind": "pin", "number": "12ab5"}, "number"),
        ({"kind": "plate", "number": "H99999"}, "number"),
        ({"kind": "plate", "number": "贵G12345", "pin": "2580"}, "pin"),
        ({"number": "w26:1:2", "pin": "2580", "duress_pin": "2580"}, "duress_pin"),
        ({"number": "w26:1:2", "duress_pin": "2580"}, "duress_pin"),
        ({"number": "w26:1:2", "groups": ["nobody"]}, "groups"),
        ({"number": "w26:1:2", "since": NOW, "until": NOW}, "until"),
        ({"number": "w26:1:2", "person": UUID(int=9)}, "person"),
    ],
)
def test_a_faulty_credential_is_refused_by_its_field_and_without_its_number(
    site: Site, fields: dict[str, object], field: str
) -> None:
    with pytest.raises(RegisterError) as caught, site.database.write() as connection:
        add(connection, **{"person": site.person} | fields)
    assert caught.value.field == field
    assert str(fields.get("number", "-")) not in str(caught.value)


def test_a_number_is_held_once_and_freed_by_revocation(site: Site) -> None:
    with site.database.write() as connection:
        first = add(connection, person=site.person, kind="pin", number="23456")
        with pytest.raises(InUse):
            add(connection, person=site.person, kind="pin", number="23456")
        credentials.remove_credential(connection, first, NOW)
        assert add(connection, person=site.person, kind="pin", number="23456") != first
        with pytest.raises(NotThere):
            credentials.remove_credential(connection, first, NOW)


def test_a_change_of_pins_keeps_replaces_and_takes_away(site: Site) -> None:
    box = given.vault()

    def change(connection: Connection, **fields: object) -> tuple[bool, bool]:
        wanted = CredentialChange.model_validate({"groups": ["residents"]} | fields)
        credentials.change_credential(connection, box, card, wanted)
        found = credentials.credential(connection, box, card)
        return found.has_pin, found.has_duress_pin

    with site.database.write() as connection:
        card = add(connection, person=site.person, number="w26:12:345", pin="2580")
        assert change(connection, duress_pin="0852") == (True, True)
        assert change(connection) == (True, True)
        with pytest.raises(RegisterError, match="the same as the PIN"):
            change(connection, pin="0852")
        with pytest.raises(RegisterError, match="no PIN beside it"):
            change(connection, pin="")
        assert change(connection, pin="", duress_pin="") == (False, False)


def test_residents_are_shown_masked(site: Site) -> None:
    with site.database.read() as connection:
        [found] = residents(connection, "b-101", NOW)
        assert (found.id, found.name, found.until) == (site.person, "张*", NOW + 10 * DAY)
        assert residents(connection, "b-101", NOW + 10 * DAY) == []
        with pytest.raises(RegisterError, match="no place"):
            residents(connection, "b-999", NOW)


# --- leases


def test_warnings_are_told_once_each_at_7_3_and_1_days(site: Site) -> None:
    registry = CollectorRegistry()
    clock = [NOW]
    chores = AccessChores(site.database, lambda: clock[0], registry)

    def told() -> dict[str, float]:
        chores.run_once()
        found = {days: registry.get_sample_value("gatehouse_lease_warnings_total", {"days": days}) for days in "731"}
        return {days: count for days, count in found.items() if count}

    assert told() == {}
    clock[0] = NOW + 3 * DAY
    assert told() == told() == {"7": 1}
    clock[0] = NOW + 9 * DAY  # the hub was down in between: the three days' is not told late
    assert told() == told() == {"7": 1, "1": 1}
    with site.database.read() as connection:
        [lease] = leases.ending_leases(connection, clock[0], DAY)
        assert (lease.warned, lease.dwelling, lease.name) == ((7, 1), "b-101", "张*")
    with site.database.write() as connection:
        connection.execute(update(tables.Residency).values(until=NOW + 12 * DAY))
    assert told() == {"7": 1, "1": 1, "3": 1}  # another end is warned of anew
    clock[0] = NOW + 13 * DAY
    assert told() == {"7": 1, "1": 1, "3": 1}


def test_who_stays_on_is_not_warned(site: Site) -> None:
    with site.database.write() as connection:
        site.add_residency(connection, uuid4(), NOW + 300 * DAY)
        assert leases.tell_warnings(connection, NOW + 5 * DAY) == {}


def test_grace_moves_the_end_and_can_be_taken_back(site: Site) -> None:
    with site.database.write() as connection:
        leases.set_grace(connection, GraceChange(grace_s={ResidencyRole.TENANT: 3600, ResidencyRole.OWNER: 0}))
        assert leases.grace(connection).grace_s == {"tenant": 3600}
        [lease] = leases.ending_leases(connection, NOW, 30 * DAY)
        assert lease.ends_at - lease.until == timedelta(hours=1)
        leases.set_grace(connection, GraceChange(grace_s={}))
        assert leases.grace(connection).grace_s == {}


# --- lockdowns


class Two:
    """Two accounts."""

    def __init__(self, database: Database) -> None:
        self.ids = [uuid4(), uuid4()]
        with database.write() as connection:
            for number, each in enumerate(self.ids):
                connection.execute(
                    insert(tables.Account).values(
                        id=each, username=f"u{number}", password_hash="-", role="guard", created_at=NOW
                    )
                )


def test_a_lockdown_takes_two_people_and_one_to_end(site: Site) -> None:
    one, other = Two(site.database).ids
    wanted = LockdownRequest(gateways=("east",), why="break-in")
    with site.database.write() as connection:
        asked = lockdown.ask(connection, uuid4, wanted, one, NOW)
        assert asked.state == "asked"
        with pytest.raises(NotNow, match="cannot confirm"):
            lockdown.confirm(connection, asked.id, one, NOW)
        with pytest.raises(NotNow, match="asked"):
            lockdown.active(connection, asked.id)
        active = lockdown.confirm(connection, asked.id, other, NOW + timedelta(minutes=4))
        assert (active.state, active.asked_by, active.confirmed_by) == ("active", one, other)
        with pytest.raises(NotNow):
            lockdown.confirm(connection, asked.id, other, NOW + timedelta(minutes=4))
        second = lockdown.ask(connection, uuid4, wanted, one, NOW)
        lockdown.confirm(connection, second.id, other, NOW)
        ended, was_active = lockdown.end(connection, asked.id, one, NOW)
        assert (ended.state, ended.ended_by, was_active) == ("ended", one, True)
        assert lockdown.held_by_others(connection, ended) == {"east"}
        with pytest.raises(NotNow):
            lockdown.end(connection, asked.id, one, NOW)


def test_a_lockdown_that_nobody_confirms_lapses(site: Site) -> None:
    one, other = Two(site.database).ids
    with site.database.write() as connection:
        late = lockdown.ask(connection, uuid4, LockdownRequest(gateways=("east",), why="x"), one, NOW)
        with pytest.raises(NotNow, match="five minutes"):
            lockdown.confirm(connection, late.id, other, NOW + lockdown.CONFIRM_WITHIN)
        back = lockdown.ask(connection, uuid4, LockdownRequest(gateways=("east",), why="x"), one, NOW + DAY)
        assert lockdown.end(connection, back.id, one, NOW + DAY)[1] is False
        lockdown.lapse_old(connection, NOW + lockdown.CONFIRM_WITHIN)
        assert {each.state for each in lockdown.list_lockdowns(connection)} == {"lapsed"}
        with pytest.raises(RegisterError, match="no gateway"):
            lockdown.ask(connection, uuid4, LockdownRequest(gateways=("west",), why="x"), one, NOW)
