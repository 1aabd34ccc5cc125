"""Doors end to end over real OSDP bytes: a played reader on a pseudo-terminal, the worker process, the controller."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from edge.access.door import DoorState
from gatehouse.demo.played_plan import Pacing, Plan
from protocols.access_events import (
    AccessDenied,
    AccessGranted,
    DenialReason,
    DoorClosed,
    DoorForced,
    DoorHeld,
    DoorMode,
    DoorModeChanged,
    DoorOpened,
    DoorReleased,
    ModeCause,
    ReaderOffline,
    ReaderOfflineReason,
    ReaderOnline,
    ReaderTamper,
    ReleaseCause,
)
from protocols.cards import parse_text
from protocols.events import SourceRestarted
from tests.support.doors import DoorSite, row
from tests.support.osdp import OsdpPeer

GREEN, RED = 2, 1


def _worker_pid() -> int:
    """The worker is the only child of this process that runs that module."""
    workers = [child for child in psutil.Process().children() if "edge.access.drivers.osdp.worker" in child.cmdline()]
    return workers[0].pid


@pytest.fixture
def site(tmp_path: Path) -> Iterator[DoorSite]:
    """One door that is online, and closed."""
    with DoorSite(tmp_path) as made:
        made.permit(row("w26:12:345", "all"))
        yield made


@pytest.fixture
def peer(site: DoorSite, tmp_path: Path) -> Iterator[OsdpPeer]:
    with OsdpPeer(site.plan, tmp_path) as made:
        site.recording.wait(ReaderOnline, "r1", secure_channel=True)
        site.recording.wait(DoorClosed, "d1")
        yield made


def test_a_known_card_releases_the_strike_for_its_time_and_is_told(site: DoorSite, peer: OsdpPeer) -> None:
    given_s = peer.do("card", "r1", text="w26:12:345")

    on = peer.wait_output("r1", True, given_s)
    off = peer.wait_output("r1", False, on["t"])

    granted = site.recording.wait(AccessGranted, "d1", given_s)
    assert granted.place == "gate-1"
    assert granted.data.credential == site.store.find(site.store.hash_of(parse_text("w26:12:345")))[0].ref
    assert off["t"] - given_s > 2.0, "its time begins when the card is known"
    assert off["t"] - on["t"] < 3.0
    peer.wait(lambda seen: seen["saw"] == "led" and seen["colour"] == GREEN)
    peer.wait(lambda seen: seen["saw"] == "buzzer" and seen["beeps"] == 1)


def test_each_denial_keeps_the_strike_shut_and_says_why(site: DoorSite, peer: OsdpPeer) -> None:
    now = datetime.now(UTC)
    site.permit(
        row("w26:1:1", "all", not_before=now + timedelta(hours=1)),
        row("w26:1:2", "all", not_after=now - timedelta(hours=1)),
        row("w26:1:3", "none"),
        row("w26:1:4", "closed"),
    )
    cases = {
        "w26:1:1": DenialReason.NOT_YET_VALID,
        "w26:1:2": DenialReason.EXPIRED,
        "w26:1:3": DenialReason.NO_RIGHT_AT_DOOR,
        "w26:1:4": DenialReason.OUTSIDE_SCHEDULE,
        "w26:1:5": DenialReason.UNKNOWN_CREDENTIAL,
    }
    begun_s = time.monotonic()

    for text in cases:
        peer.do("card", "r1", text=text)
    peer.do("card", "r1", hex="ffffffc0", bits=26)  # wrong parity

    for reason in (*cases.values(), DenialReason.UNREADABLE):
        site.recording.wait(AccessDenied, "d1", begun_s, reason=reason)
    peer.wait(lambda seen: seen["saw"] == "led" and seen["colour"] == RED)
    assert not [seen for seen in peer.seen if seen["saw"] == "output" and seen["on"]]
    unknown = site.recording.wait(AccessDenied, "d1", begun_s, reason=DenialReason.UNKNOWN_CREDENTIAL)
    assert unknown.data.credential is None
    assert unknown.data.credential_hash == site.store.hash_of(parse_text("w26:1:5"))
    counters = site.controller.status().counters
    assert counters.card_reads == sum(counters.denied.values()) == 6


def test_an_opened_door_relocks_and_tells_opened_held_and_closed(site: DoorSite, peer: OsdpPeer) -> None:
    given_s = peer.do("card", "r1", text="w26:12:345")
    on = peer.wait_output("r1", True, given_s)

    peer.do("contact", "r1", open=True)
    off = peer.wait_output("r1", False, on["t"])
    site.recording.wait(DoorOpened, "d1", given_s, cause=ReleaseCause.CREDENTIAL)
    site.recording.wait(DoorHeld, "d1", given_s)
    assert site.controller.status().doors[0].state is DoorState.HELD
    peer.do("contact", "r1", open=False)
    closed = site.recording.wait(DoorClosed, "d1", given_s)

    assert off["t"] - on["t"] < 1.5  # on opening, not at the end of the release time
    assert closed.data.open_s > 1.5


def test_a_door_that_opens_unreleased_is_forced(site: DoorSite, peer: OsdpPeer) -> None:
    given_s = peer.do("contact", "r1", open=True)

    site.recording.wait(DoorForced, "d1", given_s)


def test_the_exit_button_releases_and_the_opening_is_not_forced(site: DoorSite, peer: OsdpPeer) -> None:
    given_s = peer.do("rex", "r1")
    peer.wait_output("r1", True, given_s)
    peer.do("contact", "r1", open=True)

    site.recording.wait(DoorReleased, "d1", given_s, cause=ReleaseCause.REQUEST_TO_EXIT)
    site.recording.wait(DoorOpened, "d1", given_s, cause=ReleaseCause.REQUEST_TO_EXIT)


def test_a_free_door_and_a_lockdown_reach_the_strike(site: DoorSite, peer: OsdpPeer) -> None:
    given_s = time.monotonic()
    assert site.controller.set_mode("d1", DoorMode.FREE, None, uuid.uuid4()).done
    on = peer.wait_output("r1", True, given_s)

    assert site.controller.lock_down(uuid.uuid4(), active=True).done
    off = peer.wait_output("r1", False, on["t"])
    peer.do("rex", "r1")
    peer.wait_output("r1", True, off["t"])

    site.recording.wait(DoorModeChanged, "d1", mode=DoorMode.LOCKED, cause=ModeCause.LOCKDOWN)


def test_a_command_releases_and_is_confirmed_by_the_reader(site: DoorSite, peer: OsdpPeer) -> None:
    corr, given_s = uuid.uuid4(), time.monotonic()

    outcome = site.controller.release("d1", corr)

    assert outcome.done, outcome.reason
    peer.wait_output("r1", True, given_s)
    site.recording.wait(DoorReleased, "d1", given_s, cause=ReleaseCause.COMMAND, corr=corr)
    assert "no door" in site.controller.release("d9", corr).reason


def test_a_tampered_reader_is_told_once_each_way(site: DoorSite, peer: OsdpPeer) -> None:
    for active in (True, True, False):
        peer.do("tamper", "r1", active=active)

    site.recording.wait(ReaderTamper, "r1", active=True)
    site.recording.wait(ReaderTamper, "r1", active=False)
    assert len([seen for seen in site.recording.all if isinstance(seen.data, ReaderTamper)]) == 2


def test_a_silent_reader_is_told_offline_fails_commands_and_comes_back(site: DoorSite, peer: OsdpPeer) -> None:
    given_s = peer.do("silence", "r1", on=True)

    offline = site.recording.wait(ReaderOffline, "r1", given_s, reason=ReaderOfflineReason.NO_ANSWER)
    refused = site.controller.release("d1", uuid.uuid4())
    back_s = peer.do("silence", "r1", on=False)
    online = site.recording.wait(ReaderOnline, "r1", back_s)

    assert offline.moment.monotonic_s - given_s < 10
    assert not refused.done
    assert '"r1"' in refused.reason
    assert online.moment.monotonic_s - back_s < 10
    peer.do("card", "r1", text="w26:12:345")
    site.recording.wait(AccessGranted, "d1", back_s)


def test_a_killed_worker_is_started_again_and_the_door_works_on(site: DoorSite, peer: OsdpPeer) -> None:
    killed_s = time.monotonic()
    os.kill(_worker_pid(), signal.SIGKILL)

    site.recording.wait(ReaderOffline, "r1", killed_s, reason=ReaderOfflineReason.WORKER)
    site.recording.wait(SourceRestarted, "bus1", killed_s)
    site.recording.wait(ReaderOnline, "r1", killed_s)
    peer.do("card", "r1", text="w26:12:345")
    site.recording.wait(AccessGranted, "d1", killed_s)
    assert site.controller.status().counters.worker_restarts == 1
    assert site.controller.status().devices[0].counts["worker_restarts"] == 1


def test_a_stuck_worker_is_ended_and_started_again(site: DoorSite, peer: OsdpPeer) -> None:
    stopped_s = time.monotonic()
    os.kill(_worker_pid(), signal.SIGSTOP)

    restarted = site.recording.wait(SourceRestarted, "bus1", stopped_s)

    assert "silent" in restarted.data.reason
    site.recording.wait(ReaderOnline, "r1", stopped_s)


def test_a_reader_with_another_key_never_comes_online_and_says_so(tmp_path: Path) -> None:
    with DoorSite(tmp_path) as site:
        site.permit(row("w26:12:345", "all"))
        stranger = site.plan.readers[0].model_copy(update={"scbk_hex": os.urandom(16).hex()})
        with OsdpPeer(site.plan.model_copy(update={"readers": (stranger,)}), tmp_path) as peer:
            offline = site.recording.wait(ReaderOffline, "r1", reason=ReaderOfflineReason.KEY)
            peer.do("card", "r1", text="w26:12:345")
            time.sleep(1.0)

            assert "scbk_file" in offline.data.detail
            assert not site.controller.status().readers[0].online
            kinds = {type(seen.data) for seen in site.recording.all}
            assert not kinds & {ReaderOnline, AccessGranted, AccessDenied}


def test_a_port_that_is_not_there_is_told_and_tried_again(tmp_path: Path) -> None:
    with DoorSite(tmp_path) as site:
        offline = site.recording.wait(ReaderOffline, "r1", reason=ReaderOfflineReason.PORT)
        begun_s = time.monotonic()

        assert str(site.link(1)) in offline.data.detail
        with OsdpPeer(site.plan, tmp_path):
            site.recording.wait(ReaderOnline, "r1", begun_s)
        gone = site.recording.wait(ReaderOffline, "r1", begun_s, reason=ReaderOfflineReason.PORT)

        assert str(site.link(1)) in gone.data.detail


def test_a_reader_that_never_answers_does_not_hold_others_on_its_line(tmp_path: Path) -> None:
    with DoorSite(tmp_path, doors=3, per_line=3) as site:
        site.permit(row("w26:12:345", "all"))
        present = site.plan.model_copy(update={"readers": (site.plan.readers[0], site.plan.readers[2])})
        with OsdpPeer(present, tmp_path) as peer:
            for reader in ("r1", "r3"):
                site.recording.wait(ReaderOnline, reader)
            site.recording.wait(ReaderOffline, "r2", reason=ReaderOfflineReason.NO_ANSWER)
            for _ in range(6):
                for reader, door in (("r1", "d1"), ("r3", "d3")):
                    given_s = peer.do("card", reader, text="w26:12:345")
                    granted = site.recording.wait(AccessGranted, door, given_s)
                    peer.wait_output(reader, True, given_s)
                    assert granted.moment.monotonic_s - given_s < 2.0
            assert all(reader.online for reader in site.controller.status().readers if reader.id != "r2")


def test_a_long_release_is_renewed_and_a_stopped_gateway_locks_its_doors(tmp_path: Path) -> None:
    site = DoorSite(tmp_path, release_s=200.0)
    with OsdpPeer(site.plan, tmp_path) as peer:
        with site:
            site.permit(row("w26:12:345", "all"))
            site.recording.wait(ReaderOnline, "r1")
            given_s = peer.do("card", "r1", text="w26:12:345")
            on = peer.wait_output("r1", True, given_s)
            renewed = peer.wait_output("r1", True, on["t"] + 1.0)  # before the 25.5 s of one command end
            assert renewed["t"] - on["t"] < 25.0
        peer.wait_output("r1", False, renewed["t"])
        site.recording.wait(ReaderOffline, "r1", on["t"], reason=ReaderOfflineReason.STOPPED)
        assert site.recording.all[-1].data.reason is ReaderOfflineReason.STOPPED


GATEWAY = """
import sys
from pathlib import Path
from protocols.access_events import ReaderOnline
from tests.support.doors import DoorSite, row
site = DoorSite(Path(sys.argv[1]), release_s=200.0)
with site:
    site.permit(row("w26:12:345", "all"))
    print(site.plan.model_dump_json(), flush=True)
    site.recording.wait(ReaderOnline, "r1")
    print("online", flush=True)
    sys.stdin.read()
"""


def test_a_killed_gateway_leaves_no_strike_on_and_no_worker(tmp_path: Path) -> None:
    command = [sys.executable, "-c", GATEWAY, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as gateway:
        plan = Plan.model_validate_json(gateway.stdout.readline())
        with OsdpPeer(plan, tmp_path) as peer:
            assert gateway.stdout.readline() == "online\n"
            given_s = peer.do("card", "r1", text="w26:12:345")
            on = peer.wait_output("r1", True, given_s)
            (worker,) = psutil.Process(gateway.pid).children()

            gateway.kill()

            off = peer.wait_output("r1", False, on["t"])
            assert off["t"] - on["t"] < 10.0  # and not at the end of the command's own 25.5 s
            worker.wait(30.0)


def test_a_played_day_brings_known_and_unknown_cards_exits_and_openings(tmp_path: Path) -> None:
    with DoorSite(tmp_path) as site:
        site.permit(row("w26:12:345", "all"))
        reader = site.plan.readers[0].model_copy(update={"cards": ("w26:12:345",), "unknown_cards": ("w26:9:9",)})
        pacing = Pacing(card_every_s=0.3, unknown_share=0.3, exit_share=0.3, walk_s=0.1, open_s=0.2)
        log = tmp_path / "cards.jsonl"
        plan = Plan(readers=(reader,), pacing=pacing, log=log)
        with OsdpPeer(plan, tmp_path):
            granted = site.recording.wait(AccessGranted, "d1")
            site.recording.wait(AccessDenied, "d1", reason=DenialReason.UNKNOWN_CREDENTIAL)
            site.recording.wait(DoorReleased, "d1", cause=ReleaseCause.REQUEST_TO_EXIT)
            site.recording.wait(DoorClosed, "d1", site.recording.wait(DoorOpened, "d1").moment.monotonic_s)

        kinds = {type(seen.data) for seen in site.recording.all}
        assert not kinds & {DoorForced, DoorHeld}
        first = next(line for line in map(json.loads, log.read_text().splitlines()) if line["text"] == "w26:12:345")
        assert 0 < granted.moment.wall_s - first["wall_s"] < 5


def test_a_line_that_spoils_replies_loses_few_cards_and_forges_none(site: DoorSite, peer: OsdpPeer) -> None:
    peer.do("corrupt", "r1", rate=0.02)
    lost = 0
    for _ in range(40):
        given_s = peer.do("card", "r1", text="w26:12:345")
        try:
            site.recording.wait(AccessGranted, "d1", given_s, timeout_s=3.0)
        except AssertionError:
            lost += 1

    assert lost <= 3
    assert sum(site.controller.status().counters.denied.values()) == 0
    assert site.controller.status().readers[0].online
