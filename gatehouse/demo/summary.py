"""The demo's figures: what is shown while it runs, what is told at the end, and whether the whole path worked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table

from gatehouse.demo.camera_rules import EAST
from gatehouse.demo.ladder import Standing
from gatehouse.demo.watch import Tally, quantile_ms
from protocols.camera_events import PersonTailgated

_CAMERA = "gatehouse_edge_camera_total"
_RULE = "gatehouse_edge_rule_events_total"
_SHOWN = 8


@dataclass(frozen=True)
class Figures:
    """Everything that the demo counts. Latencies in milliseconds; 0 where nothing was measured."""

    frames: int
    analysed: int
    detections: int
    tracks: int
    line_crossings: int
    intruders: int
    loiterers: int
    crowds: int
    without_credential: int
    tailgated: int
    standing_vehicles: int
    covered_cameras: int
    two_wheelers: int
    left_behind: int
    taken: int
    rule_rows: int
    cards_presented: int
    card_reads: int
    decisions: int
    granted: int
    board_granted: int
    board_refused: int
    guests: int
    duress_opened: int
    duress_alarms: int
    events_stored: int
    events_linked: int
    rows_live: int
    clips_at_hub: int
    alarms_guard: int
    alarms_district: int
    alarms_settled: int
    told_by_webhook: int
    kinds_at_district: int
    outbox: int
    strike_p50_ms: float
    strike_p99_ms: float
    row_p50_ms: float
    row_p99_ms: float
    alarms_at_level: tuple[int, ...]
    kinds_missing: tuple[str, ...]

    def zeros(self) -> list[str]:
        """What should have happened by the end and did not."""
        names = {label: value for label, value in self.lines() if isinstance(value, int)}
        names |= {"latency card to strike": self.strike_p50_ms > 0, "latency card to console": self.row_p50_ms > 0}
        missing = [f"the alarm {code} at the district" for code in self.kinds_missing]
        return [label for label, value in names.items() if not value and label not in _MAY_BE_NONE] + missing

    def lines(self) -> Iterator[tuple[str, int | str]]:
        """Label and value of each figure, in the order of an event's journey."""
        yield "video frames decoded", self.frames
        yield "frames analysed by the detector", self.analysed
        yield "detections", self.detections
        yield "tracks confirmed", self.tracks
        yield "people who crossed a line", self.line_crossings
        yield "people in a forbidden zone", self.intruders
        yield "loiterers", self.loiterers
        yield "crowds", self.crowds
        yield "in without a credential, or tailgating", self.without_credential
        yield _ON_ONE_CARD, self.tailgated
        yield "vehicles standing in a fire lane", self.standing_vehicles
        yield "camera covered, and uncovered again", self.covered_cameras
        yield "two-wheelers in the lift's lobby", self.two_wheelers
        yield "bicycles left there", self.left_behind
        yield "and taken from there", self.taken
        yield "of these, rows in the live stream", self.rule_rows
        yield "cards presented at readers", self.cards_presented
        yield "card reads at the gateway", self.card_reads
        yield "decisions", self.decisions
        yield "doors released for a card", self.granted
        yield "residents let in by the UHPPOTE board", self.board_granted
        yield "former tenants refused there", self.board_refused
        yield "guests let in by their QR code", self.guests
        yield "doors opened by the duress PIN", self.duress_opened
        yield "silent alarms in the console", self.duress_alarms
        yield "events stored by the hub", self.events_stored
        yield "events linked to a resident", self.events_linked
        yield "rows in the console's live stream", self.rows_live
        yield "clips at the hub", self.clips_at_hub
        yield "alarms that the guard of the compound sees", self.alarms_guard
        yield "alarms that the district sees", self.alarms_district
        yield "alarms that the guard has ended", self.alarms_settled
        yield "alarms at the district told by webhook", self.told_by_webhook
        yield "kinds of alarms at the district", self.kinds_at_district
        yield "open alarms at each level", " -> ".join(map(str, self.alarms_at_level))
        yield _OUTBOX, self.outbox
        yield "card to strike, at the reader", f"p50 {self.strike_p50_ms:.0f} ms, p99 {self.strike_p99_ms:.0f} ms"
        yield "card to row in the console", f"p50 {self.row_p50_ms:.0f} ms, p99 {self.row_p99_ms:.0f} ms"


_OUTBOX = "events waiting in the gateway's outbox"
_ON_ONE_CARD = "of these, two or more on one card"
_MAY_BE_NONE = (_OUTBOX, _ON_ONE_CARD)
"""A machine that is seconds late sees people after their card's time is over: they came in without one."""


def figures(
    edge: Mapping[str, float],
    hub: Mapping[str, float],
    tally: Tally,
    played: Mapping[str, int],
    told: int,
    alarms: Standing,
) -> Figures:
    """Read the figures out of both daemons' metrics, our own tally, what was played at the side doors, what came by
    webhook, and the alarms as they stand."""

    def of(source: Mapping[str, float], name: str) -> int:
        return int(source.get(name, 0))

    granted = of(edge, "gatehouse_edge_access_granted_total")
    with tally.lock:
        return Figures(
            frames=of(edge, f"{_CAMERA}:frames_decoded"),
            analysed=of(edge, f"{_CAMERA}:frames_analysed"),
            detections=of(edge, f"{_CAMERA}:detections"),
            tracks=of(edge, f"{_CAMERA}:tracks_confirmed"),
            line_crossings=of(edge, f"{_RULE}:r-path"),
            intruders=of(edge, f"{_RULE}:r-plot"),
            loiterers=of(edge, f"{_RULE}:r-lamp"),
            crowds=of(edge, f"{_RULE}:r-crowd"),
            without_credential=of(edge, f"{_RULE}:r-west"),
            tailgated=tally.camera_rows[EAST, PersonTailgated.TYPE],
            standing_vehicles=of(edge, f"{_RULE}:r-fire-lane"),
            covered_cameras=of(edge, f"{_RULE}:r-lens"),
            two_wheelers=of(edge, f"{_RULE}:r-two-wheels"),
            left_behind=of(edge, f"{_RULE}:r-left"),
            taken=of(edge, f"{_RULE}:r-taken"),
            rule_rows=tally.camera_rows.total(),
            cards_presented=tally.presented,
            card_reads=of(edge, "gatehouse_edge_card_reads_total"),
            decisions=granted + of(edge, "gatehouse_edge_access_denied_total"),
            granted=granted,
            board_granted=played.get("resident at the board", 0),
            board_refused=played.get("former tenant at the board", 0),
            guests=played.get("guest's QR code", 0),
            duress_opened=played.get("duress PIN", 0),
            duress_alarms=tally.rows["access.duress.v1"],
            events_stored=of(hub, "gatehouse_ingest_events_stored_total"),
            events_linked=of(hub, "gatehouse_ingest_events_linked_total"),
            rows_live=sum(tally.rows.values()),
            clips_at_hub=of(edge, "gatehouse_edge_happenings_total:clips_sent"),
            alarms_guard=len(alarms.guard),
            alarms_district=len(alarms.district),
            alarms_settled=alarms.settled,
            told_by_webhook=told,
            kinds_at_district=len(alarms.at_district),
            alarms_at_level=tuple(alarms.at_level()),
            kinds_missing=tuple(alarms.missing),
            outbox=of(edge, "gatehouse_edge_outbox_rows"),
            strike_p50_ms=quantile_ms(tally.strike_s, 0.5),
            strike_p99_ms=quantile_ms(tally.strike_s, 0.99),
            row_p50_ms=quantile_ms(tally.row_s, 0.5),
            row_p99_ms=quantile_ms(tally.row_s, 0.99),
        )


def live_view(now: Figures, tally: Tally, elapsed_s: float, duration_s: float) -> RenderableType:
    """Figures and the newest rows, as the terminal shows them."""
    until = f"{elapsed_s:.0f} s of {duration_s:.0f}" if duration_s else f"{elapsed_s:.0f} s; Ctrl-C ends it"
    counts = Table(title=f"Gatehouse demo, {until}", title_justify="left", show_header=False)
    for label, value in now.lines():
        counts.add_row(label, f"{value:,}" if isinstance(value, int) else value)
    newest = Table(title="Newest events, as the guard sees them", title_justify="left", show_header=False)
    with tally.lock:
        for row in list(tally.latest)[:_SHOWN]:
            newest.add_row(*_row_cells(row))
    return Group(counts, newest)


def _row_cells(row: Mapping[str, object]) -> tuple[str, ...]:
    words = (row["time"], row["type"], row["place"], row.get("person"), row.get("dwelling"), row.get("cause"))
    time, *others = (str(word) if word is not None else "" for word in words)
    return time[11:19], *others
