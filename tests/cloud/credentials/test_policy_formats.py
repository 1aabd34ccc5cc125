"""What a gateway is told of rules and credentials in each policy format, on both databases."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, insert, update

from cloud.credentials.marks import take_marks
from cloud.database import tables
from cloud.database.engine import Database
from cloud.register.credentials import NUMBER, PIN
from protocols import pins, plates
from protocols.access_events import AccessMethod
from protocols.credentials import CredentialKind, CredentialRow
from protocols.rules import AntiPassback, Area, DoorRule, Interval, ReaderArea, SpecialDay, Weekday
from tests.cloud.credentials.test_distribution import Follower, check_digest
from tests.support import register as given

NOW = datetime(2026, 5, 1, tzinfo=UTC)
CARD, OTHER = "w26:12:345", "w26:12:346"
BIRTH_2 = {"v": 1, "state": "online", "session": 1, "policy_format": 2}
PLAIN_RULE = {
    "methods": ["card"],
    "first_card_frees": False,
    "two_persons": False,
    "keeps_list": False,
}


class Register:
    """Gateway `new` reads format 2 and `old` format 1; both have doors d1 and d2 in one group each."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.write() as connection:
            for name in ("new", "old"):
                given.add_gateway(connection, name)
                given.add_doors(connection, name, {f"g-{name}": ["d1", "d2"]})
            connection.execute(
                update(tables.Gateway).where(tables.Gateway.id == "new").values(reported=BIRTH_2),
            )
            self.person = given.add_person(connection)
            [self.card] = given.add_credentials(connection, self.person, [CARD], ["g-new", "g-old"])
        self.follower = Follower(database)

    def put(self, table: type[tables.Base], **values: object) -> None:
        with self.database.write() as connection:
            connection.execute(insert(table).values(**values))

    def change_card(self, **values: object) -> None:
        with self.database.write() as connection:
            connection.execute(update(tables.Credential).where(tables.Credential.id == self.card).values(**values))

    def door(self, gateway: str, device: str) -> UUID:
        query = tables.Door.__table__.select().where(tables.Door.gateway_id == gateway, tables.Door.device == device)
        with self.database.read() as connection:
            return connection.execute(query).one().id

    def rule(self, device: str, **values: object) -> None:
        for gateway in ("new", "old"):
            self.put(tables.DoorRule, door_id=self.door(gateway, device), **(PLAIN_RULE | values))

    def lives(self, role: str, until: datetime | None, since: datetime = given.LONG_AGO) -> UUID:
        residency, dwelling = uuid4(), uuid4()
        with self.database.write() as connection:
            place = {"id": dwelling, "kind": "dwelling", "code": str(dwelling), "name": "501"}
            given.add_place(connection, place)
        self.put(
            tables.Residency,
            id=residency,
            person_id=self.person,
            dwelling_id=dwelling,
            role=role,
            since=since,
            until=until,
        )
        return residency

    def row(self, gateway: str, ref: UUID | None = None) -> CredentialRow | None:
        self.follower.settle()
        whole = self.follower.whole(gateway)
        check_digest(whole)
        return next((row for row in whole.rows if row.ref == (ref or self.card)), None)

    def ends(self) -> list[datetime | None]:
        rows = [self.row("new"), self.row("old")]
        return [row.not_after for row in rows if row is not None]


@pytest.fixture
def register(database: Database) -> Register:
    return Register(database)


def hash_of(text: str) -> str:
    return pins.keyed_hash_of(given.CARD_SECRET, text)


def test_a_card_has_holder_and_pins_in_format_2_and_nothing_of_them_in_format_1(register: Register) -> None:
    box = given.vault()
    register.change_card(pin_sealed=box.seal(b"1234", PIN), duress_pin_sealed=box.seal(b"4321", PIN), first=True)
    assert register.row("new") == CredentialRow(
        ref=register.card,
        hash=hash_of(CARD),
        groups=("g-new",),
        holder=hash_of(pins.holder_text(register.person)),
        pin=hash_of(pins.pin_of_card_text(register.card, "1234")),
        duress_pin=hash_of(pins.pin_of_card_text(register.card, "4321")),
        first=True,
    )
    assert register.row("old") == CredentialRow(ref=register.card, hash=hash_of(CARD), groups=("g-old",))


@pytest.mark.parametrize(
    ("kind", "number", "text"),
    [(CredentialKind.PIN, "23456", pins.pin_text("23456")), (CredentialKind.PLATE, "贵G12345", "plate:贵G12345")],
)
def test_a_pin_and_a_plate_are_hashed_as_their_kind_and_unknown_to_format_1(
    register: Register, kind: CredentialKind, number: str, text: str
) -> None:
    assert kind is CredentialKind.PIN or plates.plate_text(number) == text
    register.change_card(kind=kind, number_sealed=given.vault().seal(number.encode(), NUMBER))
    found = register.row("new")
    assert found is not None
    assert (found.kind, found.hash) == (kind, hash_of(text))
    assert register.row("old") is None


@pytest.mark.parametrize("bounds", [{"uses": 3}, {"offline_s": 60}, {"duress": True}])
def test_a_card_with_bounds_that_format_1_does_not_know_is_kept_from_it(
    register: Register, bounds: dict[str, object]
) -> None:
    register.change_card(**bounds)
    found = register.row("new")
    assert found is not None
    assert found.model_dump(include=set(bounds)) == bounds
    assert register.row("old") is None


def test_rules_areas_and_holidays_reach_format_2_alone(register: Register) -> None:
    register.put(tables.Schedule, code="night", name="夜", intervals=[[0, 0, 360], [7, 0, 1440]], heeds_holidays=True)
    register.put(tables.SpecialDay, day=date(2026, 10, 1), counts_as=7, name="国庆节")
    register.put(tables.Area, code="garage", name="车库", anti_passback="hard", minutes=10, forgives_at=240)
    register.rule("d1", methods=["card", "card_pin"], card_alone="night")
    register.rule("d2", free="night")
    register.put(
        tables.Reader, door_id=register.door("new", "d2"), device="r2", name="入", leads="into", area_code="garage"
    )
    register.follower.settle()
    rules = register.follower.whole("new").rules
    assert rules.doors == (
        DoorRule(door="d1", methods=(AccessMethod.CARD, AccessMethod.CARD_PIN), card_alone="night"),
        DoorRule(
            door="d2", methods=(AccessMethod.CARD,), free="night", areas=(ReaderArea(reader="r2", into="garage"),)
        ),
    )
    assert rules.areas == (Area(id="garage", anti_passback=AntiPassback.HARD, minutes=10, forgives_at=240),)
    assert rules.special_days == (SpecialDay(day=date(2026, 10, 1), counts_as=Weekday.HOLIDAY),)
    [_, night] = rules.schedules
    assert (night.id, night.heeds_holidays, night.intervals[-1].weekday) == ("night", True, Weekday.HOLIDAY)
    old = register.follower.whole("old").rules
    assert (old.doors, old.areas, old.special_days) == ((), (), ())
    assert [schedule.id for schedule in old.schedules] == ["always"]


@pytest.mark.parametrize(
    ("rule", "opens"),
    [
        ({"methods": ["card", "qr"]}, True),
        ({"methods": ["qr"]}, False),
        ({"methods": ["card_pin"]}, False),
        ({"methods": ["card", "card_pin"], "card_alone": "always"}, False),
        ({"two_persons": True}, False),
        ({"first_card": "always"}, False),
        ({"interlock": "lock-1"}, False),
        ({"free": "always"}, True),
    ],
)
def test_a_door_that_asks_for_more_than_a_card_stays_shut_at_an_old_gateway(
    register: Register, rule: dict[str, object], opens: bool
) -> None:
    register.rule("d1", **rule)
    register.follower.settle()
    [group] = register.follower.whole("old").rules.groups
    assert group.doors == (("d1", "d2") if opens else ("d2",))
    [group] = register.follower.whole("new").rules.groups
    assert group.doors == ("d1", "d2")


def test_a_week_for_an_old_gateway_has_no_holidays(register: Register) -> None:
    with register.database.write() as connection:
        connection.execute(update(tables.Schedule).values(intervals=[[4, 0, 60], [7, 0, 60]], heeds_holidays=True))
    register.follower.settle()
    [week] = register.follower.whole("old").rules.schedules
    assert (week.intervals, week.heeds_holidays) == ((Interval(weekday=Weekday.FRIDAY, since=0, until=60),), False)


def test_a_gateway_that_was_brought_up_to_date_gets_everything_anew(register: Register) -> None:
    register.change_card(first=True)
    assert register.row("old") is not None
    with register.database.write() as connection:
        connection.execute(update(tables.Gateway).where(tables.Gateway.id == "old").values(reported=BIRTH_2))
    found = register.row("old")
    assert found is not None
    assert found.first


def test_a_door_whose_device_keeps_a_list_is_told_card_numbers_and_no_other(register: Register) -> None:
    register.put(tables.DoorRule, door_id=register.door("new", "d1"), **(PLAIN_RULE | {"keeps_list": True}))
    with register.database.write() as connection:
        given.add_doors(connection, "new", {"g-plain": ["d3"]})
        [plain] = given.add_credentials(connection, register.person, [OTHER], ["g-plain"])
    listed, unlisted = register.row("new"), register.row("new", plain)
    assert listed is not None
    assert unlisted is not None
    assert (listed.number, unlisted.number) == (CARD, None)


def test_the_lease_ends_the_card_and_several_residencies_keep_the_latest(register: Register) -> None:
    assert register.ends() == [None, None]
    register.lives("tenant", NOW)
    assert register.ends() == [NOW, NOW]
    later = register.lives("tenant", NOW + timedelta(days=9))
    assert register.ends() == [NOW + timedelta(days=9)] * 2
    register.change_card(until=NOW - timedelta(days=1))
    assert register.ends() == [NOW - timedelta(days=1)] * 2
    register.change_card(until=None)
    with register.database.write() as connection:
        connection.execute(delete(tables.Residency).where(tables.Residency.id == later))
    assert register.ends() == [NOW, NOW]
    register.lives("owner", None)
    assert register.ends() == [None, None]
    assert register.follower.distribution.counts["compiled"] == 2  # the start's: each change cost a row


def test_grace_is_the_role_s_own(register: Register) -> None:
    register.lives("tenant", NOW)
    register.lives("family", NOW)
    register.put(tables.LeaseGrace, role="family", grace_s=3 * 86_400)
    assert register.ends() == [NOW + timedelta(days=3)] * 2


def give_pass(register: Register, **values: object) -> UUID:
    given_id = uuid4()
    seal = given.vault().seal
    register.put(
        tables.Credential,
        id=given_id,
        person_id=register.person,
        kind="pass",
        number_sealed=seal(str(given_id).encode(), NUMBER),
        number_index=str(given_id),
        since=NOW,
        until=NOW + timedelta(days=1),
        uses=2,
    )
    register.put(tables.AccessPass, id=given_id, kind="guest", label="客", days=[], created_at=NOW, **values)
    register.put(tables.AccessPassDoor, pass_id=given_id, door_id=register.door("new", "d1"))
    return given_id


def test_a_pass_goes_where_its_doors_are_and_its_guest_is_not_its_host(register: Register) -> None:
    ref = give_pass(register)
    assert register.row("new", ref) == CredentialRow(
        ref=ref,
        hash=hash_of(str(ref)),
        not_before=NOW,
        not_after=NOW + timedelta(days=1),
        kind=CredentialKind.PASS,
        holder=hash_of(pins.holder_text(ref)),
        uses=2,
    )
    assert register.row("old", ref) is None


def test_a_revoked_pass_is_told_as_ended_until_it_is_dropped(register: Register) -> None:
    ref = give_pass(register, tokens_until=NOW + timedelta(days=1))
    never_shown = give_pass(register)
    end = NOW + timedelta(hours=1)
    with register.database.write() as connection:
        connection.execute(
            update(tables.Credential).where(tables.Credential.kind == "pass").values(revoked_at=end),
        )
    found = register.row("new", ref)
    assert found is not None
    assert found.not_after == end
    assert register.row("new", never_shown) is None
    with register.database.write() as connection:
        connection.execute(update(tables.AccessPass).values(dropped=True))
    assert register.row("new", ref) is None


def test_a_change_of_doors_marks_the_gateways_concerned_alone(register: Register) -> None:
    register.follower.settle()
    register.rule("d1")
    assert take_marks(register.database).gateways == {"new", "old"}
    with register.database.write() as connection:
        connection.execute(
            update(tables.DoorRule)
            .where(tables.DoorRule.door_id == register.door("new", "d1"))
            .values(two_persons=True)
        )
    assert take_marks(register.database).gateways == {"new"}
    with register.database.write() as connection:
        connection.execute(update(tables.DoorGroup).where(tables.DoorGroup.code == "g-old").values(name="旧"))
    changes = take_marks(register.database)
    assert (changes.everything, changes.gateways) == (False, {"old"})
    with register.database.write() as connection:
        connection.execute(delete(tables.DoorGroupDoor).where(tables.DoorGroupDoor.group_code == "g-new"))
    assert take_marks(register.database).gateways == {"new"}
    register.put(tables.SpecialDay, day=date(2026, 10, 1), counts_as=7, name="国庆节")
    assert take_marks(register.database).everything
    register.put(tables.Schedule, code="unused", name="-", intervals=[])
    assert not take_marks(register.database).gateways


def test_rows_that_an_older_hub_wrote_out_in_full_are_not_sent_again(register: Register) -> None:
    found = register.row("old")
    assert found is not None
    with register.database.write() as connection:
        connection.execute(
            update(tables.GatewayCredentialRow)
            .where(tables.GatewayCredentialRow.gateway_id == "old")
            .values(row=found.model_dump_json())
        )
    again = Follower(register.database)
    again.settle()
    assert (again.deltas("old"), again.heads("old")) == ([], [])


def test_a_rule_is_sent_without_compiling_the_rows_anew(register: Register) -> None:
    register.follower.settle()
    compiled = register.follower.distribution.counts["compiled"]
    register.rule("d1", two_persons=True)
    with register.database.write() as connection:
        connection.execute(update(tables.Schedule).values(intervals=[[0, 0, 60]]))
    register.follower.settle()
    for gateway in ("new", "old"):
        whole = register.follower.whole(gateway)
        check_digest(whole)
        [delta] = register.follower.deltas(gateway)
        assert (delta.rules, delta.digest) == (whole.rules, whole.digest)
    assert register.follower.distribution.counts["compiled"] == compiled
    register.put(tables.DoorRule, door_id=register.door("new", "d2"), **(PLAIN_RULE | {"keeps_list": True}))
    register.follower.settle()
    assert register.follower.distribution.counts["compiled"] == compiled + 1  # rows now have card numbers


def test_more_marks_than_are_worth_reading_stand_for_everything(
    register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_marks(register.database)
    register.change_card(first=True)
    register.change_card(first=False)
    monkeypatch.setattr("cloud.credentials.marks.MAX_READ", 1)
    assert take_marks(register.database).everything
    assert not take_marks(register.database).everything
