"""Every rule at a door by examples: what is presented, what the door asks for, and the one reason that comes of it."""

import uuid
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.access.decision import Decider, Need, outcome_of
from edge.access.drivers.interface import DeviceDecided
from edge.access.lockout import LONGEST_S, TRIES, Lockout
from edge.access.presentations import Card, CardAndPin, Code, DoorStanding, Number, Pin, Plate
from protocols.access_events import (
    AccessDenied,
    AccessGranted,
    AccessMethod,
    DecidedBy,
    DenialReason,
    DoorMode,
    GrantReason,
)
from protocols.cards import CardFormat, encode_bytes, parse_text
from protocols.rules import (
    AntiPassback,
    Area,
    DoorGroup,
    DoorRule,
    Interval,
    ReaderArea,
    Rules,
    Schedule,
    SpecialDay,
    Weekday,
)
from tests.support.deciding import (
    MONDAY_0930,
    SITE,
    Deciding,
    card_row,
    code,
    holder,
    pass_row,
    pin_row,
    plate_row,
    token,
    verify,
)
from tests.support.doors import ALWAYS, NEVER, ZONE

CARD, OTHER_CARD = "w26:1:1", "w26:1:2"
MORNING = Schedule(id="morning", intervals=(Interval(weekday=0, since=9 * 60, until=12 * 60),))
METHODS = tuple(AccessMethod)
LOCKED = DoorStanding(mode=DoorMode.LOCKED)
LOCKDOWN = DoorStanding(mode=DoorMode.LOCKED, lockdown=True)
FREE = DoorStanding(mode=DoorMode.FREE)
INTERLOCKED = DoorStanding(interlocked=True)
IN_AND_OUT = (ReaderArea(reader="r1", into="yard"), ReaderArea(reader="r2"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Deciding]:
    made = Deciding(tmp_path)
    yield made
    made.close()


def rules(
    *doors: DoorRule, areas: tuple[Area, ...] = (Area(id="yard"),), special: tuple[SpecialDay, ...] = ()
) -> Rules:
    """Group `all` opens d1 and d2 always, `morning` in the morning, `closed` never."""
    both = ("d1", "d2")
    groups = (("all", "always"), ("morning", "morning"), ("closed", "never"))
    return Rules(
        schedules=(ALWAYS, NEVER, MORNING),
        groups=tuple(DoorGroup(id=name, doors=both, schedule=schedule) for name, schedule in groups),
        doors=doors,
        areas=areas,
        special_days=special,
    )


def door(**fields: object) -> DoorRule:
    return DoorRule.model_validate({"door": "d1"} | fields)


def number(text: str = CARD) -> Number:
    return Number(parse_text(text))


# --- what is presented ---------------------------------------------------------------------------------------------


def test_a_card_is_read_in_its_readers_own_format(site: Deciding) -> None:
    card = parse_text("w34:7:9")
    site.permit(rules(), card_row("w34:7:9", "all"))
    formats = {"r1": CardFormat.W34}
    decider = Decider(site.store, site.ledgers, SITE, verify, site.clock, ZONE, formats)
    bits = Card(encode_bytes(card), card.bit_count)

    assert decider.decide("d1", "r1", bits, DoorStanding()).granted
    assert decider.decide("d1", "r2", bits, DoorStanding()).reason is DenialReason.UNREADABLE


def test_a_pin_opens_by_itself_where_the_door_takes_pins(site: Deciding) -> None:
    pin = pin_row("2468", "all")
    site.permit(rules(DoorRule(door="d2", methods=(AccessMethod.CARD,))), pin)

    granted = site.ask(Pin("2468"))

    assert (granted.granted, granted.credential, granted.method) == (True, pin.ref, AccessMethod.PIN)
    assert site.ask(Pin("2468"), door="d2").reason is DenialReason.METHOD_NOT_ALLOWED
    assert site.ask(Pin("1357")).reason is DenialReason.UNKNOWN_CREDENTIAL
    assert site.ask(Pin("123")).reason is DenialReason.UNREADABLE


def test_a_duress_pin_opens_as_any_other_and_says_so(site: Deciding) -> None:
    site.permit(rules(), pin_row("2468", "all", duress=True))

    decision = site.ask(Pin("2468"))

    assert (decision.granted, decision.duress) == (True, True)
    refused = site.ask(Pin("2468"), standing=LOCKED)
    assert (refused.granted, refused.duress) == (False, True)


def test_a_plate_opens_however_its_separators_were_read(site: Deciding) -> None:
    plate = plate_row("贵G12345", "all")
    site.permit(rules(DoorRule(door="d2", methods=(AccessMethod.CARD,))), plate)

    assert site.ask(Plate("贵G·12345")).credential == plate.ref
    assert site.ask(Plate("贵G12345"), door="d2").reason is DenialReason.METHOD_NOT_ALLOWED
    assert site.ask(Plate("贵G99999")).reason is DenialReason.UNKNOWN_CREDENTIAL
    assert site.ask(Plate("12345")).reason is DenialReason.UNREADABLE


@pytest.mark.parametrize(
    ("methods", "minute", "needs"),
    [
        (("card",), 0, None),
        (("card_pin",), 0, Need.PIN),
        (("card", "card_pin"), 8 * 60, Need.PIN),
        (("card", "card_pin"), 9 * 60, None),
        (("card_pin",), 9 * 60, None),
    ],
)
def test_a_card_needs_its_pin_outside_the_hours_of_the_card_alone(
    site: Deciding, methods: tuple[str, ...], minute: int, needs: Need | None
) -> None:
    site.permit(rules(door(methods=methods, card_alone="morning")), card_row(CARD, "all", pin="2468"))
    site.clock.set(datetime(2026, 3, 2, tzinfo=ZONE) + timedelta(minutes=minute))

    decision = site.ask(CARD)

    assert decision.needs is needs
    assert decision.reason is (DenialReason.PIN_MISSING if needs else None)


@pytest.mark.parametrize(
    ("digits", "reason", "duress"),
    [
        ("2468", None, False),
        ("2469", None, True),
        ("1357", DenialReason.WRONG_PIN, False),
        ("24", DenialReason.WRONG_PIN, False),
        ("", DenialReason.WRONG_PIN, False),
        (None, DenialReason.PIN_MISSING, False),
    ],
)
def test_a_card_and_its_digits(site: Deciding, digits: str | None, reason: DenialReason | None, duress: bool) -> None:
    site.permit(rules(door(methods=("card_pin",))), card_row(CARD, "all", pin="2468", duress_pin="2469"))

    decision = site.ask(CardAndPin(number(), digits))

    assert (decision.reason, decision.duress, decision.needs) == (reason, duress, None)


def test_a_card_without_a_pin_never_opens_a_door_that_wants_one(site: Deciding) -> None:
    site.permit(rules(door(methods=("card_pin",))), card_row(CARD, "all"))

    assert site.ask(CARD).needs is Need.PIN
    assert site.ask(CardAndPin(number(), "00000000")).reason is DenialReason.WRONG_PIN


def test_the_pin_of_another_card_is_wrong(site: Deciding) -> None:
    site.permit(
        rules(door(methods=("card_pin",))),
        card_row(CARD, "all", pin="2468"),
        card_row(OTHER_CARD, "all", pin="1357"),
    )

    assert site.ask(CardAndPin(number(), "1357")).reason is DenialReason.WRONG_PIN


def test_a_duress_pin_is_noticed_though_the_door_wants_none(site: Deciding) -> None:
    site.permit(rules(), card_row(CARD, "all", pin="2468", duress_pin="2469"))

    assert site.ask(CardAndPin(number(), "2469")).duress
    assert site.ask(CardAndPin(number(), "1111")).reason is DenialReason.WRONG_PIN


# --- codes ---------------------------------------------------------------------------------------------------------


def test_a_code_opens_though_the_policy_has_no_row_of_it(site: Deciding) -> None:
    made = token(holder=holder(3))
    site.permit(rules())

    decision = site.ask(code(made))

    assert (decision.granted, decision.credential, decision.holder) == (True, made.ref, holder(3))


def test_codes_that_are_none_of_ours(site: Deciding) -> None:
    stranger = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
    good = code(token()).text

    for text in (
        "",
        "GQ1",
        "https://example.com/?q=1",
        good[:-4],
        good + "x" * 2000,
        "GQ1.\ud800.hub.x",
        "一.二.三.四",
    ):
        assert site.ask(Code(text)).reason is DenialReason.BAD_TOKEN
    assert site.ask(code(token(), stranger)).reason is DenialReason.BAD_TOKEN
    assert site.ask(code(token(site="another-site"))).reason is DenialReason.OTHER_SITE


@pytest.mark.parametrize(
    ("offset", "reason"),
    [
        (timedelta(minutes=-5, microseconds=-1), DenialReason.NOT_YET_VALID),
        (timedelta(minutes=-5), None),
        (timedelta(minutes=65, microseconds=-1), None),
        (timedelta(minutes=65), DenialReason.EXPIRED),
    ],
)
def test_five_minutes_are_allowed_for_a_skewed_clock(
    site: Deciding, offset: timedelta, reason: DenialReason | None
) -> None:
    site.clock.set(MONDAY_0930 + offset)

    assert site.ask(code(token())).reason is reason


@pytest.mark.parametrize(
    ("fields", "at", "reason"),
    [
        ({"doors": ("d2",)}, time(9, 30), DenialReason.NO_RIGHT_AT_DOOR),
        ({"days": (0,)}, time(9, 30), None),
        ({"days": (1, 2)}, time(9, 30), DenialReason.OUTSIDE_SCHEDULE),
        ({"hours": (570, 600)}, time(9, 30), None),
        ({"hours": (570, 600)}, time(10, 0), DenialReason.OUTSIDE_SCHEDULE),
        ({"hours": (1320, 360)}, time(23, 0), None),
        ({"hours": (1320, 360), "days": (0,)}, time(5, 59), DenialReason.OUTSIDE_SCHEDULE),
        ({"hours": (1320, 360), "days": (6,)}, time(5, 59), None),
        ({"hours": (1320, 360), "days": (6,)}, time(6, 0), DenialReason.OUTSIDE_SCHEDULE),
        ({"hours": (600, 600)}, time(10, 0), DenialReason.OUTSIDE_SCHEDULE),
    ],
)
def test_a_code_has_doors_days_and_hours(
    site: Deciding, fields: dict[str, object], at: time, reason: DenialReason | None
) -> None:
    site.clock.set(datetime.combine(MONDAY_0930.date(), at, tzinfo=ZONE))
    window = {"since": MONDAY_0930 - timedelta(days=1), "until": MONDAY_0930 + timedelta(days=1)}

    assert site.ask(code(token(**window | fields))).reason is reason


def test_a_pass_that_was_taken_back_is_ended_by_its_row(site: Deciding) -> None:
    made = token()
    site.permit(rules(), pass_row(made.ref, not_after=MONDAY_0930 + timedelta(minutes=10)))

    assert site.ask(code(made)).granted
    site.clock.advance(minutes=10)
    assert site.ask(code(made)).reason is DenialReason.EXPIRED


def test_the_row_of_a_pass_opens_nothing_as_a_card_or_pin(site: Deciding) -> None:
    made = pass_row(uuid.uuid4(), groups=("all",))
    site.permit(rules(), made)

    assert site.store.find(made.hash) == []
    assert site.store.find_pass(made.ref) is not None


# --- uses ----------------------------------------------------------------------------------------------------------


def test_a_code_for_one_use_opens_once_even_before_anybody_passes(site: Deciding) -> None:
    made = code(token(uses=1, doors=("d1", "d2")))

    assert site.ask(made).granted
    assert site.ask(made).reason is DenialReason.USED_UP
    assert site.ask(made, door="d2").reason is DenialReason.USED_UP


def test_a_use_is_given_back_if_the_door_was_not_opened(site: Deciding) -> None:
    made = code(token(uses=1))
    decision = site.ask(made)

    site.decider.not_used("d1", "r1", decision)

    assert site.ask(made).granted
    assert site.ask(made).reason is DenialReason.USED_UP


def test_uses_are_those_of_the_row_if_it_has_fewer_and_outlive_a_restart(site: Deciding) -> None:
    made = token(uses=9)
    site.permit(rules(), pass_row(made.ref, uses=2), card_row(CARD, "all", uses=1))
    assert site.ask(code(made)).granted
    assert site.ask(CARD).granted

    site.again()

    assert site.ask(CARD).reason is DenialReason.USED_UP
    assert site.ask(code(made)).granted
    assert site.ask(code(made)).reason is DenialReason.USED_UP


def test_a_refusal_costs_no_use(site: Deciding) -> None:
    made = code(token(uses=1))

    assert site.ask(made, standing=LOCKED).reason is DenialReason.LOCKED
    assert site.ask(made, standing=FREE).granted
    assert site.ask(made).granted


# --- the clock and the hub -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("delta_s", "trusted"), [(60.0, True), (60.1, False), (-2.0, False)])
def test_what_expires_is_not_judged_by_a_clock_that_jumped(site: Deciding, delta_s: float, trusted: bool) -> None:
    tenant, resident = card_row(CARD, "all", not_after=MONDAY_0930 + timedelta(days=9)), card_row(OTHER_CARD, "all")
    site.permit(rules(), tenant, resident)

    site.decider.clock_jumped(delta_s)

    expected = None if trusted else DenialReason.CLOCK_UNTRUSTED
    assert site.ask(CARD).reason is expected
    assert site.ask(code(token())).reason is expected
    assert site.ask(OTHER_CARD).granted
    site.decider.clock_settled()
    assert site.ask(CARD).granted


def test_a_gateway_that_starts_in_its_own_past_waits_for_its_clock(site: Deciding) -> None:
    site.permit(rules(), card_row(CARD, "all", not_after=MONDAY_0930 + timedelta(days=1)))
    site.clock.advance(days=2)
    assert site.ask(CARD).reason is DenialReason.EXPIRED

    site.clock.at = MONDAY_0930
    site.again()
    assert site.ask(CARD).reason is DenialReason.CLOCK_UNTRUSTED
    site.clock.advance(days=2)

    assert site.ask(CARD).reason is DenialReason.EXPIRED


def test_a_lease_ends_at_the_gateway_to_the_microsecond_after_a_week_offline(site: Deciding) -> None:
    end = MONDAY_0930 + timedelta(days=8, hours=5, seconds=17, microseconds=3)
    site.permit(rules(), card_row(CARD, "all", not_after=end), card_row(OTHER_CARD, "all", offline_s=3 * 86_400))
    site.decider.heard_from_hub(site.clock.wall_s())

    for _ in range(7):
        site.clock.advance(days=1)
        assert site.ask(CARD).granted
        site.again()
    assert site.ask(OTHER_CARD).reason is DenialReason.POLICY_STALE
    site.clock.set(end - timedelta(microseconds=1))
    assert site.ask(CARD).granted
    site.clock.set(end)

    assert site.ask(CARD).reason is DenialReason.EXPIRED


def test_residents_get_in_and_guests_do_not_when_the_hub_is_silent_for_too_long(site: Deciding) -> None:
    site.permit(rules(), card_row(CARD, "all"), card_row(OTHER_CARD, "all", offline_s=3600))
    guest = token(until=MONDAY_0930 + timedelta(hours=9), offline_s=3600)
    site.decider.heard_from_hub(site.clock.wall_s())

    site.clock.advance(hours=1)
    assert site.ask(OTHER_CARD).granted
    assert site.ask(code(guest)).granted
    assert site.decider.stale_since(site.clock.wall_s()) is None
    assert site.decider.next_change_s(site.clock.wall_s() - 1) == site.clock.wall_s()
    site.clock.advance(seconds=1)

    assert site.ask(OTHER_CARD).reason is DenialReason.POLICY_STALE
    assert site.ask(code(guest)).reason is DenialReason.POLICY_STALE
    assert site.ask(CARD).granted
    assert site.decider.stale_since(site.clock.wall_s()) == site.clock.wall_s() - 1
    assert site.decider.stale_up_to_s(site.clock.wall_s()) == 3600
    site.decider.heard_from_hub(site.clock.wall_s())
    assert site.ask(OTHER_CARD).granted
    assert not site.decider.stale(site.clock.wall_s())


def test_silence_is_measured_across_a_restart_and_not_by_a_clock_that_jumps(site: Deciding) -> None:
    site.permit(rules(), card_row(CARD, "all", offline_s=3600))
    site.decider.heard_from_hub(site.clock.wall_s())
    site.clock.at += timedelta(hours=5)
    assert site.ask(CARD).granted
    site.clock.at -= timedelta(hours=5)

    site.clock.advance(minutes=59)
    site.again()
    assert site.ask(CARD).granted
    site.clock.advance(minutes=2)

    assert site.ask(CARD).reason is DenialReason.POLICY_STALE


# --- days ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heeds", "day", "counts_as", "reason"),
    [
        (False, date(2026, 3, 2), Weekday.HOLIDAY, None),
        (True, date(2026, 3, 2), Weekday.HOLIDAY, DenialReason.OUTSIDE_SCHEDULE),
        (True, date(2026, 3, 1), Weekday.MONDAY, None),
        (True, date(2026, 3, 1), Weekday.TUESDAY, DenialReason.OUTSIDE_SCHEDULE),
        (True, date(2026, 3, 1), Weekday.SUNDAY, DenialReason.OUTSIDE_SCHEDULE),
    ],
)
def test_holidays_and_workdays_in_their_stead(
    site: Deciding, heeds: bool, day: date, counts_as: Weekday, reason: DenialReason | None
) -> None:
    plain = rules(special=(SpecialDay(day=day, counts_as=counts_as),))
    heeding = MORNING.model_copy(update={"heeds_holidays": heeds})
    site.permit(plain.model_copy(update={"schedules": (ALWAYS, NEVER, heeding)}), card_row(CARD, "morning"))
    site.clock.set(datetime.combine(day, time(9, 30), tzinfo=ZONE))

    assert site.ask(CARD).reason is reason


def test_any_of_several_groups_is_enough(site: Deciding) -> None:
    site.permit(rules(), card_row(CARD, "closed", "morning"), card_row(OTHER_CARD, "closed", "no-such-group"))

    assert site.ask(CARD).granted
    assert site.ask(OTHER_CARD).reason is DenialReason.OUTSIDE_SCHEDULE


# --- first cards and two persons -----------------------------------------------------------------------------------


def test_nobody_gets_in_before_a_first_card_and_then_everybody_until_the_interval_ends(site: Deciding) -> None:
    site.permit(rules(door(first_card="morning")), card_row(CARD, "all"), card_row(OTHER_CARD, "all", first=True))
    assert site.ask(CARD).reason is DenialReason.FIRST_CARD_MISSING

    first = site.ask(OTHER_CARD)
    assert (first.granted, first.frees_door_until) == (True, None)
    site.again()
    assert site.ask(CARD).granted
    site.clock.set(MONDAY_0930.replace(hour=12, minute=0))
    assert site.ask(CARD).granted  # the rule holds in its schedule alone
    site.clock.advance(days=6, hours=21)

    assert site.ask(CARD).reason is DenialReason.FIRST_CARD_MISSING


def test_a_first_card_counts_for_its_own_interval_alone(site: Deciding) -> None:
    halves = ((9 * 60, 10 * 60), (10 * 60, 11 * 60))
    hours = tuple(Interval(weekday=0, since=since, until=until) for since, until in halves)
    plain = rules(door(first_card="morning"))
    schedules = (ALWAYS, NEVER, MORNING.model_copy(update={"intervals": hours}))
    first = card_row(OTHER_CARD, "all", first=True)
    site.permit(plain.model_copy(update={"schedules": schedules}), card_row(CARD, "all"), first)
    site.ask(OTHER_CARD)
    site.clock.set(MONDAY_0930.replace(hour=9, minute=59, second=59))
    assert site.ask(CARD).granted

    site.clock.advance(seconds=1)

    assert site.ask(CARD).reason is DenialReason.FIRST_CARD_MISSING


def test_a_first_card_that_frees_the_door_tells_until_when(site: Deciding) -> None:
    site.permit(rules(door(first_card="morning", first_card_frees=True)), card_row(CARD, "all", first=True))
    noon_s = MONDAY_0930.replace(hour=12, minute=0).timestamp()

    assert site.ask(CARD).frees_door_until == noon_s
    assert site.decider.freed_by_first_card("d1", site.clock.wall_s()) == noon_s
    assert site.decider.freed_by_first_card("d1", noon_s) is None
    site.clock.set(MONDAY_0930.replace(hour=13))
    assert site.ask(CARD).frees_door_until is None


def test_two_persons_are_two_holders_within_fifteen_seconds(site: Deciding) -> None:
    mine, my_other = card_row(CARD, "all", holder=holder(1)), card_row(OTHER_CARD, "all", holder=holder(1))
    yours, nobodys = card_row("w26:1:3", "all", holder=holder(2), uses=5), card_row("w26:1:4", "all")
    site.permit(rules(door(two_persons=True)), mine, my_other, yours, nobodys)

    first = site.ask(CARD)
    assert (first.reason, first.needs) == (DenialReason.SECOND_PERSON_MISSING, Need.SECOND_PERSON)
    assert not site.ask(OTHER_CARD).granted
    assert site.ask("w26:1:4").needs is None
    site.clock.advance(seconds=15)
    second = site.ask("w26:1:3")
    assert (second.granted, second.credential, len(second.passing)) == (True, yours.ref, 2)
    assert second.spent == (yours.ref,)

    assert not site.ask("w26:1:3").granted
    site.clock.advance(seconds=15.1)
    assert not site.ask(CARD).granted
    assert site.ask("w26:1:3").granted


def test_the_first_of_two_persons_must_still_have_a_right_when_the_second_comes(site: Deciding) -> None:
    leaving = card_row(CARD, "all", holder=holder(1), not_after=MONDAY_0930 + timedelta(seconds=5))
    site.permit(rules(door(two_persons=True)), leaving, card_row(OTHER_CARD, "all", holder=holder(2)))

    site.ask(CARD)
    site.clock.advance(seconds=5)

    assert site.ask(OTHER_CARD).reason is DenialReason.SECOND_PERSON_MISSING


# --- how the door stands -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        (LOCKDOWN, DenialReason.LOCKDOWN),
        (DoorStanding(mode=DoorMode.FREE, lockdown=True), DenialReason.LOCKDOWN),
        (LOCKED, DenialReason.LOCKED),
        (INTERLOCKED, DenialReason.INTERLOCK),
    ],
)
def test_a_door_that_is_shut_to_all(site: Deciding, standing: DoorStanding, reason: DenialReason) -> None:
    site.permit(rules(), card_row(CARD, "all"))

    assert site.ask(CARD, standing=standing).reason is reason


def test_at_a_free_door_nobody_is_refused_and_the_unknown_are_not_told(site: Deciding) -> None:
    expired = card_row(CARD, "closed", not_after=MONDAY_0930 - timedelta(days=1), pin="2468", duress_pin="2469")
    site.permit(rules(door(methods=("card_pin",))), expired)

    known = site.ask(CARD, standing=FREE)
    assert (known.granted, known.grant_reason, known.credential) == (True, GrantReason.FREE_PASSAGE, expired.ref)
    assert site.ask(CardAndPin(number(), "2469"), standing=FREE).duress
    for presented in (number(OTHER_CARD), Pin("9999"), Code("x"), Plate("x"), Card(b"\xff", 5)):
        unknown = site.ask(presented, standing=FREE)
        assert unknown.granted
        assert outcome_of("r1", unknown) is None


def test_the_way_out_is_open_to_every_known_credential(site: Deciding) -> None:
    yard = Area(id="yard", anti_passback=AntiPassback.HARD)
    expired = card_row(CARD, "closed", not_after=MONDAY_0930 - timedelta(days=1), uses=1, pin="2468")
    valid = card_row(OTHER_CARD, "all", uses=1)
    rule = door(methods=("card_pin", "qr"), areas=IN_AND_OUT, two_persons=True, first_card="morning")
    site.permit(rules(rule, areas=(yard,)), expired, valid, pin_row("1111"))
    site.decider.clock_jumped(-9.0)

    for standing in (DoorStanding(), LOCKED, LOCKDOWN):
        out = site.ask(CARD, reader="r2", standing=standing)
        assert (out.granted, out.grant_reason, out.needs, out.spent) == (True, GrantReason.WAY_OUT, None, ())
        assert site.ask(OTHER_CARD, reader="r2", standing=standing).grant_reason is GrantReason.VALID
        assert site.ask(Pin("1111"), reader="r2", standing=standing).granted
    assert site.ask("w26:9:9", reader="r2").reason is DenialReason.UNKNOWN_CREDENTIAL
    assert site.ask(Code("x"), reader="r2").reason is DenialReason.BAD_TOKEN
    assert site.ask(CARD, reader="r2", standing=INTERLOCKED).reason is DenialReason.INTERLOCK


# --- anti-passback -------------------------------------------------------------------------------------------------


def passback(mode: AntiPassback, **fields: object) -> Rules:
    return rules(door(areas=IN_AND_OUT), areas=(Area.model_validate({"id": "yard", "anti_passback": mode} | fields),))


def test_hard_anti_passback_refuses_who_is_inside_until_they_went_out(site: Deciding) -> None:
    mine = card_row(CARD, "all", holder=holder(1))
    my_other = card_row(OTHER_CARD, "all", holder=holder(1))
    site.permit(passback(AntiPassback.HARD), mine, my_other)
    assert site.go(CARD).granted

    assert site.ask(OTHER_CARD).reason is DenialReason.ANTI_PASSBACK
    site.again()
    assert site.ask(CARD).reason is DenialReason.ANTI_PASSBACK
    assert site.go(CARD, reader="r2").granted
    assert site.ask(CARD).granted


def test_who_did_not_pass_is_not_inside(site: Deciding) -> None:
    site.permit(passback(AntiPassback.HARD), card_row(CARD, "all"))

    decision = site.ask(CARD)
    site.decider.not_used("d1", "r1", decision)

    assert site.ask(CARD).granted


def test_soft_anti_passback_lets_in_and_tells(site: Deciding) -> None:
    site.permit(passback(AntiPassback.SOFT), card_row(CARD, "all"))

    assert site.go(CARD).grant_reason is GrantReason.VALID
    assert site.go(CARD).grant_reason is GrantReason.SOFT_ANTI_PASSBACK
    assert site.go(CARD, reader="r2").grant_reason is GrantReason.VALID
    assert site.go(CARD, reader="r2").grant_reason is GrantReason.SOFT_ANTI_PASSBACK


def test_timed_anti_passback_refuses_for_its_minutes_unless_they_went_out(site: Deciding) -> None:
    site.permit(passback(AntiPassback.TIMED, minutes=10), card_row(CARD, "all"))
    site.go(CARD)
    assert site.ask(CARD).reason is DenialReason.ANTI_PASSBACK
    site.clock.advance(minutes=10, seconds=-1)
    assert site.ask(CARD).reason is DenialReason.ANTI_PASSBACK
    site.clock.advance(seconds=1)
    assert site.go(CARD).grant_reason is GrantReason.VALID

    site.go(CARD, reader="r2")
    assert site.ask(CARD).granted


def test_who_is_inside_is_forgotten_once_a_day_and_on_command(site: Deciding) -> None:
    site.permit(passback(AntiPassback.HARD, forgives_at=240), card_row(CARD, "all"))
    site.go(CARD)
    site.clock.set(datetime(2026, 3, 3, 3, 59, 59, tzinfo=ZONE))
    assert site.ask(CARD).reason is DenialReason.ANTI_PASSBACK
    site.clock.advance(seconds=1)
    assert site.go(CARD).granted
    assert site.ask(CARD).reason is DenialReason.ANTI_PASSBACK

    site.decider.forgive("garage")
    assert site.ask(CARD).reason is DenialReason.ANTI_PASSBACK
    site.decider.forgive("yard")
    assert site.go(CARD).granted
    site.decider.forgive(None)
    assert site.ask(CARD).granted


def test_nothing_is_forgotten_by_itself_where_no_time_is_set(site: Deciding) -> None:
    site.permit(passback(AntiPassback.HARD, forgives_at=None), card_row(CARD, "all"))
    site.go(CARD)
    site.clock.advance(days=20)

    assert site.ask(CARD).reason is DenialReason.ANTI_PASSBACK


# --- lock-out ------------------------------------------------------------------------------------------------------


def test_five_wrong_pins_in_a_minute_lock_the_keys_out_and_nobodys_card(site: Deciding) -> None:
    site.permit(rules(door(methods=("card", "pin"))), pin_row("2468", "all"), card_row(CARD, "all"))
    for tries in range(TRIES):
        assert site.ask(Pin("2468")).granted  # a right one between forgives nothing
        locks_out_s = site.ask(Pin("1357")).locks_out_s
        assert locks_out_s == (30.0 if tries == TRIES - 1 else None)
        site.clock.advance(seconds=1)

    assert site.ask(Pin("2468")).reason is DenialReason.LOCKED_OUT
    assert site.ask(Pin("2468"), reader="r2").granted
    assert site.ask(CARD).granted
    site.clock.advance(seconds=28)
    assert site.ask(Pin("2468")).reason is DenialReason.LOCKED_OUT
    site.clock.advance(seconds=1)
    assert site.ask(Pin("2468")).granted


def test_wrong_pins_of_a_card_count_and_then_the_card_is_not_asked_for_its_pin(site: Deciding) -> None:
    site.permit(rules(door(methods=("card_pin",))), card_row(CARD, "all", pin="2468"))
    for _ in range(TRIES):
        assert site.ask(CardAndPin(number(), "1357")).reason is DenialReason.WRONG_PIN

    assert site.ask(CARD).reason is DenialReason.LOCKED_OUT
    assert site.ask(CardAndPin(number(), "2468")).reason is DenialReason.LOCKED_OUT


def test_unknown_cards_and_codes_lock_nobody_out(site: Deciding) -> None:
    site.permit(rules(), pin_row("2468", "all"))
    for _ in range(TRIES * 3):
        site.ask(OTHER_CARD)
        site.ask(Code("x"))
        site.ask(Plate("贵G99999"))
        site.ask(Pin("12"))

    assert site.ask(Pin("2468")).granted


def test_a_lock_out_doubles_up_to_five_minutes_and_is_forgiven_after_a_quarter_of_an_hour() -> None:
    lockout, now_s, spans = Lockout(), 0.0, []
    for _ in range(6):
        locked = [lockout.wrong("r1", now_s) for _ in range(TRIES)]
        spans.append(locked[-1])
        now_s += locked[-1] + 1
    assert spans == [30.0, 60.0, 120.0, 240.0, 300.0, LONGEST_S]

    now_s += 900
    assert [lockout.wrong("r1", now_s) for _ in range(TRIES)][-1] == 30.0


def test_five_wrong_tries_in_more_than_a_minute_lock_nothing() -> None:
    lockout = Lockout()

    assert not any(lockout.wrong("r1", 15.1 * tries) for tries in range(20))


# --- devices -------------------------------------------------------------------------------------------------------


def verdict(granted: bool = True, **fields: object) -> DeviceDecided:
    return DeviceDecided("r1", granted, AccessMethod.FACE, DecidedBy.TERMINAL, **fields)


def test_a_devices_verdict_is_led_back_to_its_credential(site: Deciding) -> None:
    mine = card_row(CARD, "all", holder=holder(1), number=CARD, uses=3)
    site.permit(passback(AntiPassback.HARD), mine)

    by_card = site.decider.device_verdict("d1", "r1", verdict(card=parse_text(CARD)))
    by_id = site.decider.device_verdict("d1", "r1", verdict(credential=mine.ref))
    refused = site.decider.device_verdict("d1", "r1", verdict(granted=False, credential=mine.ref))
    nobody = site.decider.device_verdict("d1", "r1", verdict())

    for decision in (by_card, by_id):
        assert (decision.granted, decision.credential, decision.holder) == (True, mine.ref, holder(1))
        assert decision.method is AccessMethod.FACE
    assert (refused.reason, refused.credential) == (DenialReason.TERMINAL_REFUSED, mine.ref)
    assert isinstance(outcome_of("r1", refused), AccessDenied)
    assert (nobody.granted, outcome_of("r1", nobody)) == (True, None)
    assert site.ledgers.uses.count(mine.ref) == 2
    site.decider.passed("d1", "r1", by_id)
    assert site.ask(CARD).reason is DenialReason.ANTI_PASSBACK


def test_a_verdict_is_of_whoever_held_the_card_then_and_an_old_one_moves_nobody(site: Deciding) -> None:
    left = card_row(CARD, "all", not_after=MONDAY_0930 - timedelta(days=1))
    site.permit(passback(AntiPassback.HARD), card_row(CARD, "all", not_before=MONDAY_0930 - timedelta(days=1)), left)

    caught_up = verdict(card=parse_text(CARD), at=MONDAY_0930 - timedelta(days=3))
    decision = site.decider.device_verdict("d1", "r1", caught_up)
    site.decider.passed("d1", "r1", decision)

    assert decision.credential == left.ref
    assert len(site.ledgers.presence) == 0


def test_a_device_that_does_not_know_the_time_is_taken_as_now(site: Deciding) -> None:
    site.permit(rules(), card_row(CARD, "all"))

    decision = site.decider.device_verdict(
        "d1", "r1", verdict(card=parse_text(CARD), at=datetime(1, 1, 1, tzinfo=ZONE))
    )

    assert decision.at_s == MONDAY_0930.timestamp()


# --- the events ----------------------------------------------------------------------------------------------------


def test_the_events_carry_what_was_decided(site: Deciding) -> None:
    resident = card_row(CARD, "all")
    site.permit(rules(), resident)

    granted, denied = outcome_of("r1", site.ask(CARD)), outcome_of("r1", site.ask(OTHER_CARD))

    assert isinstance(granted, AccessGranted)
    assert (granted.credential, granted.reason, granted.policy_version) == (resident.ref, GrantReason.VALID, 1)
    assert isinstance(denied, AccessDenied)
    assert (denied.credential, denied.credential_hash) == (None, site.ask(OTHER_CARD).credential_hash)
    assert denied.reason is DenialReason.UNKNOWN_CREDENTIAL
