"""Clips of open alarms stay at the gateway: the hub's holds, carried out by the gateway's own keeping.

The two speak by the real commands: what the hub's `CommandService` sends is read as a gateway reads it, carried out by
`edge.keeping.orders`, and answered.
"""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import func, select, update

from cloud.alarms import evidence
from cloud.alarms.evidence import RENEWED_AFTER, EvidenceKeeper
from cloud.alarms.states import Outcome
from cloud.broker import Mirror
from cloud.commands import CommandService
from cloud.commands.service import THE_HUB
from cloud.database.engine import Database
from cloud.database.tables import AlarmEvidence, CommandRecord, Gateway
from cloud.retention.holds import active_holds
from edge.counters import Counters
from edge.keeping.config import KeepingSection
from edge.keeping.errors import KeepingError
from edge.keeping.index import Grade, Hold, KeepingIndex, Piece, PieceState
from edge.keeping.orders import HoldOrders
from edge.keeping.retention import Retention
from protocols.access_events import DoorForced
from protocols.clip_events import ClipKept
from protocols.commands import Command, EvidenceHold, Reply, ReplyState
from protocols.events import CameraOnline
from tests.support.alarms import City
from tests.support.gateways import SetClock

PIECE_BYTES = 700 * 1024
HOUR = 3600.0


class EdgeKeeping:
    """What `HoldOrders` needs of `edge.keeping.service.Keeping`, over the real index."""

    def __init__(self, index: KeepingIndex) -> None:
        self.index, self.cameras = index, {"c-east"}

    def sink(self, camera: str) -> str | None:
        return camera if camera in self.cameras else None

    def hold(self, hold: Hold) -> None:
        self.index.hold(hold)

    def end_hold(self, name: str) -> bool:
        return self.index.end_hold(name)


class Site:
    """A hub and the keeping of its gateway gw-east, each with its clock; both go by `pass_hours`."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.city, self.folder = City(database), folder
        self.edge_clock = SetClock(wall=self.city.clock().timestamp())
        self.connected, self.sent = True, list[EvidenceHold]()
        self.issued_by: set[str] = set()
        self.set_gateway(reported={"policy_format": 2})
        self.new_edge()
        self.restart()

    def new_edge(self) -> None:
        """An index of nothing, as after `video.db` was lost."""
        self.index = KeepingIndex(self.folder / f"{os.urandom(4).hex()}.db", self.folder / "video")
        self.keeping = EdgeKeeping(self.index)
        self.orders = HoldOrders(self.keeping, self.edge_clock)  # type: ignore[arg-type]  # the part that it uses
        section = KeepingSection(free_mib=0, clips_mib=1)
        self.retention = Retention(section, (), self.index, self.edge_clock, Counters(), lambda _folder: 10**12)

    def restart(self) -> None:
        """As a hub makes them at its start."""
        city = self.city
        seal: Callable[[str, bytes], bytes] = lambda _topic, body: body  # noqa: E731
        self.commands = CommandService(
            city.database, seal, self._carry, city.clock, UuidMaker(), os.urandom, lambda _outcome: None
        )
        self.keeper = EvidenceKeeper(
            city.database, self.commands, city.clock, UuidMaker(), city.limits, CollectorRegistry()
        )

    def _carry(self, _topic: str, message: bytes, _mirror: Mirror) -> bool:
        """The broker's part and the gateway's: the answer is back before the hub looks again."""
        command = Command.model_validate_json(message)
        assert isinstance(command.args, EvidenceHold)
        self.sent.append(command.args)
        self.issued_by.add(command.issued_by)
        if self.connected:
            outcome = self.orders.hold(command.args)
            state = ReplyState.DONE if outcome.done else ReplyState.FAILED
            code = outcome.code.value if outcome.code else None
            self.commands.answered(
                "gw-east", Reply(corr=command.corr, state=state, time=self.city.clock(), reason="", code=code)
            )
        return True

    def set_gateway(self, **values: object) -> None:
        with self.city.database.write() as connection:
            connection.execute(update(Gateway).where(Gateway.id == "gw-east").values(**values))

    def force_door(self) -> tuple[UUID, Piece]:
        """The door is forced: an alarm at the hub, and its clip of the camera at the gateway, which the hub has."""
        city, gateway = self.city, self.city.gateways["east"]
        forced, since = gateway.event(DoorForced(), at=city.clock()), city.clock() - timedelta(seconds=5)
        told = ClipKept(
            clip=forced.id,
            sha256="ab" * 32,
            size_bytes=PIECE_BYTES,
            codec="h264",
            since=since,
            until=since + timedelta(seconds=15),
            events=(forced.id,),
        )
        online = gateway.event(CameraOnline(width=640, height=360, fps=10.0, codec="h264"), "c-east", at=city.clock())
        city.store(online, forced, gateway.event(told, "c-east", at=city.clock() + timedelta(seconds=12)))
        city.tick()
        return city.alarms()[-1].id, self.add_clip(forced.id)

    def add_clip(self, event: UUID, camera: str = "c-east") -> Piece:
        since_ms = round((self.city.clock().timestamp() - 5) * 1000)
        path = self.index.folder / f"{event}.{camera}.mp4"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(PIECE_BYTES))
        piece = Piece(
            f"{event}.{camera}", camera, Grade.ALARM, since_ms, since_ms + 15_000, path.name, PIECE_BYTES, "",
            PieceState.KEPT, True, True,
        )  # fmt: skip
        self.index.add(piece)
        return piece

    def pass_hours(self, hours: float, look: bool = True) -> None:
        """Time passes at both; the hub looks at its end."""
        self.city.clock.forward(hours * HOUR)
        self.edge_clock.advance(hours * HOUR)
        if look:
            self.look()

    def look(self) -> None:
        """The hub asks and, a minute later, takes the answers."""
        for _ in range(2):
            self.keeper.run_once()
            self.city.clock.forward(61)
            self.edge_clock.advance(61)

    def press(self) -> set[str]:
        """Another clip of an alarm comes; what the quota, which is for one, left."""
        self.add_clip(UuidMaker()(), "c-other")
        self.edge_clock.advance(61)
        self.retention.run()
        return {piece.id for piece in self.index.all_kept()}

    def close(self, alarm: UUID) -> None:
        guard = self.city.actor("guard-east")
        self.city.desk.acknowledge(alarm, guard)
        self.city.desk.close(alarm, guard, Outcome.FALSE_ALARM, "the wind")


class UuidMaker:
    def __call__(self) -> UUID:
        return UUID(bytes=os.urandom(16))


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Iterator[Site]:
    made = Site(database, tmp_path)
    yield made
    made.index.close()


def test_the_clip_stays_while_the_alarm_is_open_and_goes_once_it_is_closed(site: Site) -> None:
    alarm, clip = site.force_door()
    site.pass_hours(13)
    site.pass_hours(24 * 10)
    assert clip.id in site.press(), "ten days old, over quota, the hub has it: the hold alone spares it"
    site.close(alarm)
    site.look()
    assert site.index.holds() == []
    assert clip.id not in site.press()
    assert site.sent[0].active
    assert not site.sent[-1].active
    site.look()
    assert len([each for each in site.sent if not each.active]) == 1, "it is ended once"


def test_without_a_hold_the_quota_takes_it_after_72_hours(site: Site) -> None:
    """That the test above can fail."""
    _, clip = site.force_door()
    site.pass_hours(71, look=False)
    assert clip.id in site.press()
    site.pass_hours(2, look=False)
    assert clip.id not in site.press()


def test_nothing_is_sent_for_alarms_that_are_closed_soon(site: Site) -> None:
    alarm, _ = site.force_door()
    site.pass_hours(11)
    assert site.sent == []
    site.close(alarm)
    site.pass_hours(2)
    assert site.sent == []


def test_it_is_held_once_and_again_each_day_also_where_the_gateway_lost_it(site: Site) -> None:
    site.force_door()
    site.pass_hours(13)
    for _ in range(5):
        site.look()
    (hold,) = site.index.holds()
    assert (len(site.sent), site.sent[0].camera, site.issued_by) == (1, "c-east", {str(THE_HUB)})
    site.index.close()
    site.new_edge()
    site.pass_hours(RENEWED_AFTER.total_seconds() / HOUR)
    (again,) = site.index.holds()
    assert (again.id, again.since_ms, again.until_ms) == (hold.id, hold.since_ms, hold.until_ms)


def test_a_gateway_that_was_away_is_told_once_it_is_there(site: Site) -> None:
    alarm, _ = site.force_door()
    site.set_gateway(presence="offline")
    site.pass_hours(40)
    assert site.sent == []
    site.set_gateway(presence="online")
    site.look()
    assert len(site.index.holds()) == 1
    site.set_gateway(presence="offline")
    site.close(alarm)
    site.pass_hours(100)
    assert len(site.sent) == 1
    site.restart()
    site.set_gateway(presence="online")
    site.look()
    assert site.index.holds() == []


def test_a_command_without_an_answer_is_sent_again_later_and_later(site: Site) -> None:
    site.force_door()
    site.connected = False
    site.pass_hours(13)
    for _ in range(30):
        site.commands.expire()
        site.pass_hours(0.1)
    assert 3 <= len(site.sent) <= 9
    assert len({each.hold for each in site.sent}) == 1
    site.connected = True
    site.pass_hours(7)
    assert len(site.index.holds()) == 1


def test_a_hub_that_ends_between_asking_and_writing_down_asks_again(site: Site) -> None:
    alarm, _ = site.force_door()
    site.pass_hours(13, look=False)
    change = site.keeper._change
    calls: list[int] = []

    def dies_at_the_second(row: object, **values: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeepingError("killed")
        change(row, **values)  # type: ignore[arg-type]

    site.keeper._change = dies_at_the_second  # type: ignore[method-assign,assignment]
    with pytest.raises(KeepingError):
        site.keeper.run_once()
    assert len(site.index.holds()) == 1
    site.restart()
    site.close(alarm)
    site.look()
    site.pass_hours(0.1)
    assert site.index.holds() == [], "a hold that the hub began it also ends"


@pytest.mark.parametrize("reported", [None, {"policy_format": 1}])
def test_an_older_gateway_is_left_alone(site: Site, reported: dict[str, int] | None) -> None:
    site.set_gateway(reported=reported)
    alarm, _ = site.force_door()
    site.pass_hours(100)
    site.close(alarm)
    site.look()
    assert site.sent == []
    with site.city.database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(CommandRecord)) == 0
        assert connection.scalars(select(AlarmEvidence.ended_at)).one() is not None


def test_a_camera_that_is_gone_keeps_no_hold_from_ending(site: Site) -> None:
    alarm, _ = site.force_door()
    site.pass_hours(13)
    site.keeping.cameras.clear()
    site.close(alarm)
    site.look()
    assert site.index.holds() == []


def test_a_clip_that_is_told_late_is_held_and_old_alarms_are_looked_at_for_a_day(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[object] = []
    find = evidence._clips_of
    monkeypatch.setattr(evidence, "_clips_of", lambda link, alarm: looks.append(alarm.id) or find(link, alarm))
    gateway, city = site.city.gateways["east"], site.city
    forced = gateway.event(DoorForced(), at=city.clock())
    since = city.clock() - timedelta(seconds=5)
    told = ClipKept(
        clip=forced.id,
        sha256="ab" * 32,
        size_bytes=1,
        codec="h264",
        since=since,
        until=since + timedelta(seconds=15),
        events=(forced.id,),
    )
    online = gateway.event(CameraOnline(width=640, height=360, fps=10.0, codec="h264"), "c-east", at=city.clock())
    late = gateway.event(told, "c-east", at=city.clock() + timedelta(hours=5))
    city.store(online, forced)
    city.tick()
    site.pass_hours(60)
    assert (site.sent, len(looks)) == ([], 1)
    city.store(late)
    site.pass_hours(1)
    assert len(site.index.holds()) == 1
    for _ in range(30):
        site.pass_hours(1, look=True)
    assert 20 < len(looks) < 30, "then no more"


def test_holds_of_alarms_are_no_holds_of_a_case(site: Site) -> None:
    """Hub retention spares what open alarms need by themselves; a thousand of them are no thousand conditions."""
    site.force_door()
    site.pass_hours(13)
    with site.city.database.read() as connection:
        assert active_holds(connection) == []


def test_an_alarm_found_again_and_again_holds_a_bounded_number_of_clips(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "CLIPS_OF_ALARM", 4)
    for number in range(7):
        site.force_door()
        site.pass_hours(13 if number == 0 else 0.3)
    assert len(site.city.alarms()) == 1
    assert len(site.index.holds()) == 4
