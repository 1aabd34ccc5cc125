"""The rules that keep a known credential out, each a small function; together they follow the order of `DenialReason`.

Nothing here changes anything: what a decision counts is counted by `edge.access.decision`.
"""

import math
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from edge.access.calendar import last_at
from edge.access.claims import Asked, Claim
from edge.access.ledgers import Ledgers
from edge.access.presence_ledger import Presence
from edge.access.presentations import DoorStanding
from edge.access.trust import ClockTrust, HubNews
from edge.clock import Moment
from protocols.access_events import AccessMethod, DenialReason, DoorMode
from protocols.rules import AntiPassback, Area

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Case:
    """One presentation: all that its judging looks at."""

    asked: Asked
    reader: str
    standing: DoorStanding
    moment: Moment
    method: AccessMethod

    @property
    def is_free(self) -> bool:
        return self.standing.mode is DoorMode.FREE and not self.standing.lockdown

    @property
    def leads_out(self) -> bool:
        return self.asked.terms.leads_out(self.reader)


class Judge:
    """Asks the rules in their order."""

    def __init__(self, ledgers: Ledgers, trust: ClockTrust, news: HubNews, zone: ZoneInfo) -> None:
        self._ledgers, self._trust, self._news, self._zone = ledgers, trust, news, zone

    def why_not_in(self, case: Case, claim: Claim) -> DenialReason | None:
        """Why a claim does not open a way in, the second person left aside."""
        if not case.asked.terms.takes(case.method):
            return DenialReason.METHOD_NOT_ALLOWED
        return claim.pin or self._why_not_now(case, claim) or self._why_shut(case, claim)

    def why_not_valid(self, case: Case, claim: Claim) -> DenialReason | None:
        """Why a claim is not valid at a way out, where neither its method, its PIN nor its uses count."""
        return self._why_not_in_time(case, claim) or self._why_stale(case, claim) or claim.right

    def passback(self, case: Case, who: bytes) -> AntiPassback:
        """What anti-passback has against somebody: off (nothing), soft (it is told), or hard (refused)."""
        leads, place = case.asked.terms.leads, self._ledgers.presence.of(who)
        if place is None or case.reader not in leads:
            return AntiPassback.OFF
        into = leads[case.reader]
        if into is None:
            return self._passback_out(case, place)
        return self._passback_in(case.asked.rules.areas[into], place, case.moment.wall_s)

    def _why_not_now(self, case: Case, claim: Claim) -> DenialReason | None:
        in_time = self._why_not_in_time(case, claim)
        if in_time is not None:
            return in_time
        if claim.uses is not None and self._ledgers.uses.count(claim.ref) >= claim.uses:
            return DenialReason.USED_UP
        return self._why_stale(case, claim) or claim.right

    def _why_not_in_time(self, case: Case, claim: Claim) -> DenialReason | None:
        if not self._trust.holds(case.moment.wall_s) and claim.needs_clock:
            return DenialReason.CLOCK_UNTRUSTED
        now_us = round(case.moment.wall_s * 1_000_000)
        if now_us < claim.since_us:
            return DenialReason.NOT_YET_VALID
        return DenialReason.EXPIRED if now_us >= claim.until_us else None

    def _why_stale(self, case: Case, claim: Claim) -> DenialReason | None:
        if claim.offline_s is None or self._news.silent_s(case.moment.wall_s) <= claim.offline_s:
            return None
        return DenialReason.POLICY_STALE

    def _why_shut(self, case: Case, claim: Claim) -> DenialReason | None:
        standing = case.standing
        if self._first_card_is_missing(case, claim):
            return DenialReason.FIRST_CARD_MISSING
        if standing.lockdown:
            return DenialReason.LOCKDOWN
        if standing.mode is DoorMode.LOCKED:
            return DenialReason.LOCKED
        if self.passback(case, claim.who) is AntiPassback.HARD:
            return DenialReason.ANTI_PASSBACK
        return DenialReason.INTERLOCK if standing.interlocked else None

    def _first_card_is_missing(self, case: Case, claim: Claim) -> bool:
        schedule = case.asked.terms.first_card
        if schedule is None or claim.first or not schedule.covers(case.asked.at):
            return False
        left_s = self._ledgers.first_card_until_s(case.asked.door) - case.moment.wall_s
        return not 0 < left_s <= _DAY_S  # an interval ends on its day, so more is a clock that went back

    def _passback_in(self, area: Area, place: Presence, wall_s: float) -> AntiPassback:
        if area.anti_passback is AntiPassback.OFF or place.area != area.id or self._is_forgiven(area, place, wall_s):
            return AntiPassback.OFF
        if area.anti_passback is AntiPassback.TIMED:
            is_early = 0 <= wall_s - place.at_s < area.minutes * 60
            return AntiPassback.HARD if is_early else AntiPassback.OFF
        return area.anti_passback

    def _passback_out(self, case: Case, place: Presence) -> AntiPassback:
        """Out of an area by somebody who is known to be out already: told, never refused."""
        if place.area is not None:
            return AntiPassback.OFF
        rules, wall_s = case.asked.rules, case.moment.wall_s
        left = (rules.areas[area] for area in case.asked.terms.leads.values() if area is not None)
        kept = (
            area.anti_passback is not AntiPassback.OFF and not self._is_forgiven(area, place, wall_s) for area in left
        )
        return AntiPassback.SOFT if any(kept) else AntiPassback.OFF

    def _is_forgiven(self, area: Area, place: Presence, wall_s: float) -> bool:
        forgiven_s = -math.inf if area.forgives_at is None else last_at(area.forgives_at, wall_s, self._zone)
        return place.at_s < forgiven_s
