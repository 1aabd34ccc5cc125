"""The gateway's daemon: puts its parts together, watches over them, and ends cleanly when told to.

Order at the start: outbox, doors, then everything else, so that a door works before anything that may be slow. Order
at the end: doors and cameras, their clips, then the outbox (the last events are committed), then the rest.
"""

import gc
import logging
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.access.config import card_formats
from edge.access.decision import Decider
from edge.access.ledgers import Ledgers
from edge.access.status import AccessStatus, DeviceStatus
from edge.access.store import CredentialStore
from edge.access.telling import Own
from edge.clock import Clock, SystemClock, now
from edge.clock_watch import ClockWatch, kernel_says_synchronised
from edge.config import SiteConfig
from edge.control_socket import Answer, ControlSocket, Say
from edge.counters import Counters
from edge.devices import Cameras, Doors, Sinks, joined
from edge.door_news import DoorNews
from edge.errors import EdgeError
from edge.health import Health, HealthServer
from edge.hub_http import HubHttp
from edge.identity import Identity
from edge.keeping.assembly import make_keeping, make_uploads, sighted_by, sinks_of
from edge.keeping.orders import HoldOrders
from edge.keeping.service import KeepingStatus
from edge.live.part import Live
from edge.metrics import Readings, new_registry
from edge.observations import Observation, Recorder
from edge.outbox import Outbox, OutboxLimits
from edge.pictures import Pictures
from edge.supervisor import Part, PartState, PartStatus, Supervisor
from edge.systemd import Notifier
from edge.uplink import Uplink, UplinkSettings
from edge.uplink.commands import Commands
from edge.uplink.credentials import CredentialSync
from edge.uplink.freshness import EchoMark, Freshness
from edge.uplink.nonces import CommandLedger
from edge.uplink.session import SessionCounter
from edge.video.rules.surroundings import Surroundings
from protocols.access_events import DoorMode
from protocols.event_data import EventData
from protocols.events import GatewayStarted

if TYPE_CHECKING:
    from edge.video.service import VideoStatus

_log = logging.getLogger(__name__)

TICK_S = 0.5
SWITCH_INTERVAL_S = 0.001
"""How long a thread that computes may keep the others waiting, instead of Python's 5 ms. Beside two cameras the p99 of
card to strike was 0.6 to 0.9 of what it is with 5 ms (`benchmarks/doors.py --with-video`)."""
_SETTLED_AFTER_S = 15.0
"""By then the cameras' libraries and the detector are loaded."""
_STOP_DEVICES_S = 8.0
_STOP_REST_S = 5.0
_MIB = 1024 * 1024


def software_version() -> str:
    """This distribution's version."""
    try:
        return installed_version("gatehouse")
    except PackageNotFoundError:
        return "0+source"


class Daemon:
    """Everything a gateway runs.

    Raises:
        EdgeError: if the state folder cannot be used.
    """

    def __init__(self, config: SiteConfig, identity: Identity, clock: Clock | None = None) -> None:
        self._config, self._identity = config, identity
        self._clock: Clock = clock or SystemClock()
        self._counters = Counters()
        self._watch = ClockWatch(self._clock, self._counters, kernel_says_synchronised)
        self._notifier = Notifier()
        self._stop = threading.Event()
        self._settled_at_s: float | None = None
        folder = config.gateway.state_dir
        try:
            self._build(folder)
        except OSError as error:
            raise EdgeError(f"{folder}: the state folder cannot be used ({error}); check its owner") from error

    def _build(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        config, identity, clock, counters = self._config, self._identity, self._clock, self._counters
        jitter: Callable[[], float] = random.SystemRandom().random
        self._session = SessionCounter(folder / "session", clock.wall_s)
        self._http = HubHttp(identity, clock)
        self._store = CredentialStore(folder / "credentials.db", identity.card_key)
        self._ledger = CommandLedger(folder / "commands.db", counters)
        limits = OutboxLimits(quota_bytes=config.outbox.quota_mib * _MIB)
        self._outbox = Outbox(
            folder, identity.gateway, config.gateway.place, limits, clock, self._watch.state, os.urandom, counters
        )
        self._keeping = make_keeping(config, identity.gateway, self._outbox.record, clock, counters)
        keeping = self._keeping
        record: Recorder = keeping.tap if keeping is not None else self._outbox.record
        pictures = Pictures(
            folder / "pictures", config.outbox.pictures_mib * _MIB, self._http, jitter, counters,
            lambda: keeping is None or keeping.keeps_pictures,
        )  # fmt: skip
        self._ledgers = Ledgers(folder / "access.db")
        decider = Decider(
            self._store, self._ledgers, identity.gateway, identity.hub_key.verify, clock, config.zone,
            card_formats(config.access),
        )  # fmt: skip
        own = Own(identity.gateway, config.gateway.place)
        door_news = DoorNews(record)
        doors = Doors(config, own, self._store, decider, door_news, clock)
        surroundings = Surroundings(config.zone, lambda: self._store.rules.special_days, door_news)
        live = Live(config, identity, clock, counters, jitter)
        sinks = Sinks(joined(sinks_of(config, keeping), live.main_sinks), live.sub_sinks)
        cameras = Cameras(config, record, pictures, clock, surroundings, sinks, sighted_by(keeping))
        holds = HoldOrders(keeping, clock) if keeping is not None else None
        commands = Commands(identity.gateway, identity.hub_key, doors, self._ledger, clock, counters, holds)
        credentials = CredentialSync(identity, self._store, self._http, clock, jitter, counters)
        settings = UplinkSettings(config.uplink.protocol, config.uplink.backlog_events_per_s)
        freshness = Freshness(
            identity.hub_key, EchoMark(folder / "hub_echoes", identity.hub_key), clock, os.urandom, counters,
            lambda ago_s: decider.heard_from_hub(clock.wall_s(), ago_s), self._watch.hub_said,
        )  # fmt: skip
        uplink = Uplink(
            identity, self._outbox, commands, credentials, self._session, settings, clock, self._watch.state,
            software_version(), jitter, counters, freshness,
        )  # fmt: skip
        readings = Readings(
            counters, self._part_states, self._outbox.status, uplink.status, doors.status,
            cameras.status, lambda: pictures.waiting, lambda: self._store.head().version,
            lambda: {name: reason is None for name, reason in self._off_disk().items()},
            self._kept,
        )  # fmt: skip
        self._doors, self._decider, self._uplink, self._cameras = doors, decider, uplink, cameras
        self._live = live
        self._health = HealthServer(config.http.host, config.http.port, self.health, new_registry(readings))
        parts: list[tuple[str, Part]] = [("outbox", self._outbox)]
        if config.access.door or config.access.reader_bus:
            parts.append(("doors", doors))
        parts += [("commands", commands), ("credentials", credentials), ("uplink", uplink), ("pictures", pictures)]
        parts.append(("health", self._health))
        parts.append(("control", ControlSocket(folder, {"osdp.rotate": self._rotate_key})))
        if keeping is not None:
            uploads = make_uploads(config, keeping, self._http, clock, jitter, counters)
            parts += [("keeping", keeping), ("clips", uploads)]
        if config.video.cameras:
            parts.append(("video", cameras))
            if config.live.enabled:
                parts.append(("live", live))
        self._supervisor = Supervisor(
            parts, clock, self._outbox.record, identity.gateway, config.gateway.place, jitter, counters
        )

    def run(self) -> None:
        """Run until SIGTERM or SIGINT, or until `end` is called; the last events are then committed."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        self.start()
        while not self._stop.wait(TICK_S):
            self.tick()
        self.stop()

    def end(self) -> None:
        """Make `run` return; safe from any thread."""
        self._stop.set()

    def start(self) -> None:
        """Start every part and say so."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._supervisor.start()
        _spare_the_collector()
        self._settled_at_s = self._clock.monotonic_s() + _SETTLED_AFTER_S
        self._tell(GatewayStarted(version=software_version(), session=self._session.current + 1))
        self._notifier.tell("READY=1")
        _log.info(
            "gateway started",
            extra={"gateway": self._identity.gateway, "health": f"{self._config.http.host}:{self._health.port}"},
        )

    def tick(self) -> None:
        """What is done twice a second."""
        jump = self._watch.look()
        if jump is not None:
            _log.warning("the wall clock jumped", extra={"delta_s": jump.delta_s})
            self._decider.clock_jumped(jump.delta_s)
            self._doors.look_again()
            self._uplink.tell_soon()  # the hub's time may confirm the new one
            self._tell(jump)
        if self._watch.has_settled():
            _log.info("the wall clock is trusted")
            self._decider.clock_settled()
        self._supervisor.tick()
        if self._settled_at_s is not None and self._clock.monotonic_s() >= self._settled_at_s:
            self._settled_at_s = None
            _spare_the_collector()
        self._notifier.tell("WATCHDOG=1")

    def stop(self) -> None:
        """Stop every part; returns within seconds."""
        self._notifier.tell("STOPPING=1")
        _log.info("gateway stops")
        stopped = self._supervisor.stop(["doors", "video", "live"], _STOP_DEVICES_S)
        stopped &= self._supervisor.stop(["keeping"], _STOP_REST_S)
        stopped &= self._supervisor.stop(["outbox"], _STOP_REST_S)
        rest = ["uplink", "commands", "credentials", "pictures", "clips", "health", "control"]
        stopped &= self._supervisor.stop(rest, _STOP_REST_S)
        if not stopped:
            _log.warning("a part did not stop in time")
        self._outbox.close()
        self._ledgers.close()
        self._store.close()
        self._ledger.close()
        self._http.close()
        _log.info("gateway stopped", extra={"last_seq": self._outbox.last_seq})

    @property
    def health_port(self) -> int:
        return self._health.port

    def health(self) -> Health:
        """Whether everything that can be well without the hub is well."""
        parts = self._supervisor.states()
        outbox, uplink = self._outbox.status(), self._uplink.status()
        head = self._store.head()
        access = self._doors.status()
        off_disk = self._off_disk()
        off_hub_s = self._watch.off_hub_s
        kept = self._kept()
        is_well = (
            outbox.state == "ok"
            and (kept is None or kept.is_well)
            and not any(off_disk.values())
            and all(part.state is PartState.RUNNING for part in parts.values())
        )
        return Health(
            is_well,
            {
                "state": "well" if is_well else "unwell",
                "gateway": self._identity.gateway,
                "version": software_version(),
                "clock": self._watch.state(),
                "clock_trusted": self._decider.clock_is_trusted(self._clock.wall_s()),
                "clock_off_hub_s": None if off_hub_s is None else round(off_hub_s, 1),
                "parts": {
                    name: {"state": part.state, "reason": part.reason, "restarts": part.restarts}
                    for name, part in parts.items()
                },
                "outbox": {
                    "state": outbox.state,
                    "reason": outbox.reason,
                    "rows": outbox.rows,
                    "waiting": outbox.waiting,
                    "last_seq": outbox.last_seq,
                },
                "uplink": {"state": uplink.state, "reason": uplink.reason, "session": uplink.session},
                "credentials": {"version": head.version, "rows": head.rows},
                "doors": _doors_health(access),
                "keeping": _keeping_health(kept),
                "cameras": _cameras_health(self._cameras.status()),
                "live": self._live_health(),
                "in_memory_only": {name: reason for name, reason in off_disk.items() if reason is not None},
            },
        )

    def _rotate_key(self, fields: Mapping[str, Any], say: Say) -> Answer:
        """Order `osdp.rotate`: change the key of `reader`, an OSDP reader, over its secure channel."""
        reader = fields.get("reader")
        if not isinstance(reader, str):
            return Answer(False, 'there is no "reader" in the order')
        rotated = self._doors.rotate_key(reader, say)
        return Answer(rotated.done, rotated.sentence)

    def _off_disk(self) -> dict[str, str | None]:
        """Why each thing that belongs on disk is kept in memory alone; None: it is on disk."""
        access = self._doors.status()
        modes = None if access is None else access.modes_off_disk
        return {
            "credentials": self._store.off_disk,
            "commands": self._ledger.off_disk,
            "access": self._ledgers.off_disk,
            "door_modes": modes,
        }

    def _live_health(self) -> dict[str, Any]:
        """Whether live video can be asked for, and how much of it goes out."""
        status = self._live.status()
        connected = self._live.is_connected
        return {"connected": connected, "streams": status.streams, "key_frames_only": status.economy}

    def _part_states(self) -> dict[str, PartStatus]:
        return self._supervisor.states()

    def _kept(self) -> KeepingStatus | None:
        return self._keeping.status() if self._keeping is not None else None

    def _tell(self, data: EventData) -> None:
        self._outbox.record(Observation(self._identity.gateway, self._config.gateway.place, data, now(self._clock)))


def _doors_health(access: AccessStatus | None) -> dict[str, Any]:
    """What of the doors somebody who looks at the gateway wants to know at once."""
    if access is None:
        return {}
    return {
        "lockdown": access.lockdown,
        "policy_stale": access.stale,
        "modes": {door.id: door.mode for door in access.doors if door.mode is not DoorMode.NORMAL},
        "readers_away": {reader.id: reader.detail for reader in access.readers if not reader.online},
        "modes_not_read": access.modes_fault,
        "devices": {device.id: _device_health(device) for device in access.devices},
    }


def _device_health(device: DeviceStatus) -> dict[str, Any]:
    return {
        "state": device.state,
        "reason": device.reason,
        "detail": device.detail,
        "complaints": device.complaints,
        "happenings": dict(device.counts),
    }


def _keeping_health(kept: KeepingStatus | None) -> dict[str, Any]:
    """What of the kept video somebody who looks at the gateway wants to know at once."""
    if kept is None:
        return {}
    return {
        "level": kept.level,
        "fault": kept.fault,
        "free_bytes": kept.free_bytes,
        "full_in_days": kept.forecast.full_in_days,
        "recording_reaches_days": kept.forecast.recording_reaches_days,
        "clips_to_send": kept.waiting_clips,
        "not_recorded": kept.recording_faults,
    }


def _cameras_health(video: "VideoStatus | None") -> dict[str, Any]:
    """How each camera is: whether it gives pictures, how much is done about them, and what is wrong."""
    told: dict[str, Any] = {}
    for camera in video.cameras if video is not None else ():
        told[camera.id] = {
            "state": camera.state,
            "gear": camera.gear,
            "reason": camera.detail,
            "degraded": camera.rate.is_degraded,
        }
        if camera.main_state is not None:
            told[camera.id]["main"] = {"state": camera.main_state, "reason": camera.main_fault}
        if (onvif := camera.onvif) is not None:
            told[camera.id]["onvif"] = {
                "state": onvif.state,
                "reason": onvif.fault,
                "clock_offset_s": onvif.clock_offset_s,
            }
    return told


def _spare_the_collector() -> None:
    """Take what is loaded out of the garbage collector's walk: a full collection was measured to stop every thread for
    20 to 60 ms, and a card would wait for it."""
    gc.collect()
    gc.freeze()
