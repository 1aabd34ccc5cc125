"""The decision at a door: may who presented this pass here, now? Made in memory alone, in well under a millisecond.

Reasons are looked for in the order of `DenialReason`. When several credentials carry what was presented (a card was
handed on), any that may pass opens; otherwise the reason of the one that came furthest is told. A way out opens to
every credential that is known, and a free door to everybody. The rules in words: `docs/doors/deciding.md`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from edge.access.calendar import local_minute, next_change, wall_s_of
from edge.access.claims import Asked, Claim, Claims, Reading
from edge.access.drivers.interface import DeviceDecided
from edge.access.judge import Case, Judge
from edge.access.ledgers import Ledgers
from edge.access.lockout import Lockout
from edge.access.outcome import GRANTED, Decision, Need, denied, granted, holder_of, outcome_of
from edge.access.presentations import Card, CardAndPin, DoorStanding, Number, Pin, Presentation
from edge.access.store import CredentialStore
from edge.access.trust import ClockTrust, HubNews
from edge.clock import Clock, now
from protocols.access_events import AccessMethod, DenialReason, GrantReason
from protocols.cards import CardFormat
from protocols.rules import AntiPassback
from protocols.sealing import Verify

__all__ = ["SECOND_PERSON_WITHIN_S", "Decider", "Decision", "Need", "outcome_of"]

SECOND_PERSON_WITHIN_S = 15.0
DEVICE_DURESS = "duress"
"""The reason that a device gives with a grant to somebody under threat."""

LATE_S = 600.0
"""A decision that is older when somebody is said to have passed (a device caught up) moves nobody."""

_DAY_S = 86_400.0
_NO_DEVICE_BEFORE_S = 946_684_800.0
"""The year 2000: a device that tells an earlier time has none."""
_ORDER = {reason: place for place, reason in enumerate(DenialReason)}


@dataclass(frozen=True)
class _First:
    """The first of two persons at a door."""

    claim: Claim
    at_s: float
    """Monotonic."""


class Decider:
    """Decides for the doors of one gateway.

    `decide`, `device_verdict`, `passed` and `not_used` are called by one thread; the others by any.

    Args:
        gateway: its name, which a QR code has to carry as its site.
        verify: checks the hub's signature of QR codes.
        zone: the site's time zone, in which schedules are meant.
        card_formats: by reader, how the bits of its cards are laid out; Wiegand 26 for one that is not named.
    """

    def __init__(
        self,
        store: CredentialStore,
        ledgers: Ledgers,
        gateway: str,
        verify: Verify,
        clock: Clock,
        zone: ZoneInfo,
        card_formats: Mapping[str, CardFormat] | None = None,
        counter_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._store, self._ledgers, self._clock, self._zone = store, ledgers, clock, zone
        self._claims = Claims(store, gateway, verify, card_formats or {})
        self._counter_ns = counter_ns
        self._lockout = Lockout()
        self._trust = ClockTrust(ledgers, clock)
        self._news = HubNews(ledgers, clock)
        self._firsts: dict[str, _First] = {}
        self._judge = Judge(ledgers, self._trust, self._news, zone)
        if self._trust.holds(clock.wall_s()):
            ledgers.uses.forget_ended(clock.wall_s())

    def decide(self, door: str, reader: str, presented: Presentation, standing: DoorStanding) -> Decision:
        """Decide, and count what the decision itself changes: a use, a wrong try, the first of two persons.

        A grant is to be followed by `passed` or `not_used`.
        """
        began_ns = self._counter_ns()
        version, rules = self._store.policy
        moment = now(self._clock)
        asked = Asked(door, rules, rules.terms(door), local_minute(moment.wall_s, self._zone))
        reading = self._claims.read(reader, presented, asked)
        case = Case(asked, reader, standing, moment, reading.method)
        decision = self._decided(case, presented, reading)
        return replace(
            decision,
            method=reading.method,
            at_s=moment.wall_s,
            policy_version=version,
            decision_us=(self._counter_ns() - began_ns) // 1000,
        )

    def passed(self, door: str, reader: str, decision: Decision) -> None:
        """The door was opened after this grant: whoever passes is in the area now that the reader leads into."""
        leads = self._store.policy[1].terms(door).leads
        if not decision.granted or reader not in leads or self._clock.wall_s() - decision.at_s > LATE_S:
            return
        for who in decision.passing:
            self._ledgers.presence.moved(who, leads[reader], decision.at_s)

    def not_used(self, door: str, reader: str, decision: Decision) -> None:  # noqa: ARG002 - as `passed`
        """The door was never opened after this grant: its uses are given back."""
        for ref in decision.spent:
            self._ledgers.uses.give_back(ref)

    def device_verdict(self, door: str, reader: str, verdict: DeviceDecided) -> Decision:  # noqa: ARG002
        """Whose credential it was that a device judged by itself. Opens nothing; a use is counted all the same."""
        began_ns = self._counter_ns()
        version, rules = self._store.policy
        at_s = self._clock.wall_s()
        if verdict.at is not None and verdict.at.timestamp() > _NO_DEVICE_BEFORE_S:
            at_s = verdict.at.timestamp()
        asked = Asked(door, rules, rules.terms(door), local_minute(at_s, self._zone))
        claim, card_hash = self._claim_of(verdict, asked, at_s)
        if verdict.granted and claim is not None:
            self._spend(claim)
        return Decision(
            granted=verdict.granted,
            reason=None if verdict.granted else DenialReason.TERMINAL_REFUSED,
            credential=verdict.credential if claim is None else claim.ref,
            credential_hash=card_hash,
            policy_version=version,
            decision_us=(self._counter_ns() - began_ns) // 1000,
            method=verdict.method,
            holder=holder_of(claim),
            duress=verdict.granted and (verdict.reason == DEVICE_DURESS or (claim is not None and claim.duress)),
            passing=() if claim is None else (claim.who,),
            at_s=at_s,
        )

    def heard_from_hub(self, wall_s: float, ago_s: float = 0.0) -> None:
        """The hub was there `ago_s` before now: to be called twice a minute while it is. Kept once a minute."""
        self._news.heard(wall_s, ago_s)

    def clock_jumped(self, delta_s: float) -> None:
        """The wall clock jumped: by more than a minute or backwards, nothing that expires is taken until settled."""
        self._trust.jumped(delta_s)

    def clock_settled(self) -> None:
        """The clock is right: to be called whenever that is found (`edge.clock_watch`), also at the start."""
        self._trust.settled()

    def clock_is_trusted(self, wall_s: float) -> bool:
        """Whether credentials that expire are judged."""
        return self._trust.holds(wall_s)

    def forgive(self, area: str | None) -> None:
        """Forget who is in an area (None: in every area)."""
        self._ledgers.presence.forget(area)

    def free_by_schedule(self, door: str, wall_s: float) -> tuple[bool, float | None]:
        """Whether a door stands free by its schedule, and when (wall seconds) that changes next; None: not foreseen."""
        schedule = self._store.policy[1].terms(door).free
        if schedule is None:
            return False, None
        is_free = schedule.covers(local_minute(wall_s, self._zone))
        return is_free, next_change(schedule, wall_s, self._zone)

    def freed_by_first_card(self, door: str, wall_s: float) -> float | None:
        """Until when (wall seconds) a first card has freed a door, also across a restart; None: it has not."""
        until_s = self._ledgers.freed_until_s(door)
        terms = self._store.policy[1].terms(door)
        return until_s if terms.first_card_frees and 0 < until_s - wall_s <= _DAY_S else None

    def stale(self, wall_s: float) -> bool:
        """Whether some credentials are not taken any more, the hub having been silent for too long."""
        return self.stale_since(wall_s) is not None

    def stale_since(self, wall_s: float) -> float | None:
        """Since when (wall seconds) that is so; None: all are taken."""
        if self.stale_up_to_s(wall_s) is None:
            return None
        return min(wall_s, self._news.heard_wall_s + self._store.offline_classes[0])

    def stale_up_to_s(self, wall_s: float) -> int | None:
        """The longest `offline_s` that the hub's silence exceeds, which rises with each class of credentials that is
        not taken any more; None: all are taken."""
        silent_s = self._news.silent_s(wall_s)
        return max((each for each in self._store.offline_classes if each < silent_s), default=None)

    def silent_s(self, wall_s: float) -> float:
        """For how long the hub has been silent."""
        return self._news.silent_s(wall_s)

    def next_change_s(self, wall_s: float) -> float:
        """When (wall seconds) something may change by itself, by which `free_by_schedule`, `stale` and the devices'
        rosters are to be looked at again: at the next local midnight at the latest."""
        tomorrow = local_minute(wall_s, self._zone).day + timedelta(days=1)
        moments = [wall_s_of(tomorrow, 0, self._zone)]
        for _, schedule in self._store.policy[1].free_doors:
            moments.append(next_change(schedule, wall_s, self._zone) or moments[0])
        silent_s = self._news.silent_s(wall_s)
        left = (each - silent_s for each in self._store.offline_classes if each >= silent_s)
        moments += (wall_s + left_s + 1.0 for left_s in left)  # it is still taken in that very moment
        return min(moments)

    # --- one decision --------------------------------------------------------------------------------------------

    def _decided(self, case: Case, presented: Presentation, reading: Reading) -> Decision:
        if case.is_free:
            return self._at_free_door(case, reading)
        if self._is_locked_out(case, presented):
            return denied(DenialReason.LOCKED_OUT)
        if not reading.claims:
            return self._unknown(case, reading)
        if case.leads_out:
            return self._out(case, reading)
        return self._in(case, presented, reading)

    def _is_locked_out(self, case: Case, presented: Presentation) -> bool:
        """Only what has digits is refused, so that nobody's card is kept out by somebody who plays with the keys."""
        if not self._lockout.holds(case.reader, case.moment.monotonic_s):
            return False
        match presented:
            case Pin():
                return True
            case CardAndPin(_, digits):
                return digits is not None and not case.leads_out
            case Card() | Number():
                return not case.leads_out and case.asked.terms.wants_pin(case.asked.at)
        return False

    def _unknown(self, case: Case, reading: Reading) -> Decision:
        is_guess = reading.method is AccessMethod.PIN and reading.why_none is DenialReason.UNKNOWN_CREDENTIAL
        locks_out_s = self._lockout.wrong(case.reader, case.moment.monotonic_s) if is_guess else None
        return replace(denied(reading.why_none), credential_hash=reading.hash, locks_out_s=locks_out_s)

    def _at_free_door(self, case: Case, reading: Reading) -> Decision:
        if not reading.claims:
            return replace(GRANTED, grant_reason=GrantReason.FREE_PASSAGE)
        claim = self._likeliest(case, reading)
        return granted(claim, reading, GrantReason.FREE_PASSAGE)

    def _out(self, case: Case, reading: Reading) -> Decision:
        claim = self._likeliest(case, reading)
        if case.standing.interlocked:
            return denied(DenialReason.INTERLOCK, claim, reading)
        if self._judge.why_not_valid(case, claim) is not None:
            return granted(claim, reading, GrantReason.WAY_OUT)
        return granted(claim, reading, self._grant_reason(case, claim))

    def _likeliest(self, case: Case, reading: Reading) -> Claim:
        """The claim that got furthest, where all open."""
        return max(reading.claims, key=lambda claim: _place(claim.pin or self._judge.why_not_valid(case, claim)))

    def _in(self, case: Case, presented: Presentation, reading: Reading) -> Decision:
        furthest: tuple[DenialReason, Claim] | None = None
        for claim in reading.claims:
            reason = self._judge.why_not_in(case, claim)
            if reason is None:
                return self._admitted(case, claim, reading)
            if furthest is None or _ORDER[reason] > _ORDER[furthest[0]]:
                furthest = reason, claim
        assert furthest is not None  # noqa: S101 - there is a claim
        return self._refused(case, presented, reading, *furthest)

    def _refused(
        self, case: Case, presented: Presentation, reading: Reading, reason: DenialReason, claim: Claim
    ) -> Decision:
        decision = denied(reason, claim, reading)
        if reason is DenialReason.WRONG_PIN:
            return replace(decision, locks_out_s=self._lockout.wrong(case.reader, case.moment.monotonic_s))
        if reason is DenialReason.PIN_MISSING and not isinstance(presented, CardAndPin):
            return replace(decision, needs=Need.PIN)
        return decision

    def _admitted(self, case: Case, claim: Claim, reading: Reading) -> Decision:
        """What has a right to pass now passes, at a door for two with the other person."""
        if not case.asked.terms.two_persons:
            return self._let_in(case, (claim,), reading)
        first = self._first_of_two(case, claim)
        if first is None:
            needs = None if claim.holder is None else Need.SECOND_PERSON
            return replace(denied(DenialReason.SECOND_PERSON_MISSING, claim, reading), needs=needs)
        return self._let_in(case, (claim, first), reading)

    def _first_of_two(self, case: Case, claim: Claim) -> Claim | None:
        """The other person, if one came just before; else this one is kept as the first. A credential of which nobody
        knows the holder is neither."""
        if claim.holder is None:
            return None
        door = case.asked.door
        first = self._firsts.pop(door, None)
        if first is not None and self._makes_two(case, first, claim):
            return first.claim
        self._firsts[door] = _First(claim, case.moment.monotonic_s)
        return None

    def _makes_two(self, case: Case, first: _First, claim: Claim) -> bool:
        """Whether the first came just before, is somebody else, and may pass still."""
        in_time = case.moment.monotonic_s - first.at_s <= SECOND_PERSON_WITHIN_S
        is_other = first.claim.holder != claim.holder
        return in_time and is_other and self._judge.why_not_in(case, first.claim) is None

    def _let_in(self, case: Case, claims: tuple[Claim, ...], reading: Reading) -> Decision:
        spent = tuple(claim.ref for claim in claims if self._spend(claim))
        return replace(
            granted(claims[0], reading, self._grant_reason(case, claims[0])),
            frees_door_until=self._first_card(case, claims),
            spent=spent,
            passing=tuple(claim.who for claim in claims),
        )

    def _grant_reason(self, case: Case, claim: Claim) -> GrantReason:
        is_soft = self._judge.passback(case, claim.who) is AntiPassback.SOFT
        return GrantReason.SOFT_ANTI_PASSBACK if is_soft else GrantReason.VALID

    def _first_card(self, case: Case, claims: tuple[Claim, ...]) -> float | None:
        """Let others in until the interval's end if this was a first card; the end, if it frees the door."""
        terms, at = case.asked.terms, case.asked.at
        if terms.first_card is None or not any(claim.first for claim in claims):
            return None
        end = terms.first_card.end_of_interval(at)
        if end is None:
            return None
        until_s = wall_s_of(at.day, end, self._zone)
        self._ledgers.first_card_came(case.asked.door, until_s, terms.first_card_frees)
        return until_s if terms.first_card_frees else None

    def _spend(self, claim: Claim) -> bool:
        if claim.uses is not None:
            self._ledgers.uses.spend(claim.ref, claim.ends_s)
        return claim.uses is not None

    def _claim_of(self, verdict: DeviceDecided, asked: Asked, at_s: float) -> tuple[Claim | None, str | None]:
        if verdict.credential is not None:
            return self._claims.of_credential(verdict.credential, asked), None
        if verdict.card is None:
            return None, None
        reading = self._claims.of_card(verdict.card, asked)
        at_us = round(at_s * 1_000_000)
        held = (claim for claim in reading.claims if claim.since_us <= at_us < claim.until_us)
        return next(held, reading.claims[0] if reading.claims else None), reading.hash


def _place(reason: DenialReason | None) -> int:
    return len(_ORDER) if reason is None else _ORDER[reason]
