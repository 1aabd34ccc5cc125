"""Everything the gateway counts, as Prometheus metrics. Reads the parts' own statuses when it is asked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from edge.access.status import AccessStatus, DeviceState, DeviceStatus
from edge.counters import Counters
from edge.keeping.service import KeepingStatus
from edge.outbox import STATES as OUTBOX_STATES
from edge.outbox import OutboxStatus
from edge.supervisor import PartState, PartStatus
from edge.uplink import UplinkStatus
from protocols.clip_events import KeepingLevel

if TYPE_CHECKING:
    from edge.video.service import CameraStatus, VideoStatus

_UPLINK_STATES = ("connecting", "refused", "connected", "open")


@dataclass(frozen=True)
class Readings:
    """Where the figures come from; each is asked anew for every scrape."""

    counters: Counters
    parts: Callable[[], dict[str, PartStatus]]
    outbox: Callable[[], OutboxStatus]
    uplink: Callable[[], UplinkStatus]
    access: Callable[[], AccessStatus | None]
    video: "Callable[[], VideoStatus | None]"
    pictures_waiting: Callable[[], int]
    credential_version: Callable[[], int]
    on_disk: Callable[[], dict[str, bool]]
    keeping: Callable[[], KeepingStatus | None]


def new_registry(readings: Readings) -> CollectorRegistry:
    """A registry of the gateway's own, with the process's memory and processor time."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_GatewayCollector(readings))
    ProcessCollector(registry=registry)
    return registry


class _GatewayCollector(Collector):
    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        readings = self._readings
        yield _labelled(
            "gatehouse_edge_happenings", "Everything counted, by name", "what", readings.counters.snapshot()
        )
        yield from _parts(readings.parts())
        yield from _outbox(readings.outbox())
        yield from _uplink(readings.uplink())
        yield _gauge("gatehouse_edge_pictures_waiting", "Pictures not sent yet", readings.pictures_waiting())
        yield _gauge("gatehouse_edge_credential_version", "Credential set in force", readings.credential_version())
        on_disk = GaugeMetricFamily("gatehouse_edge_on_disk", "Whether it is on disk, not in memory", labels=["what"])
        for name, is_there in readings.on_disk().items():
            on_disk.add_metric([name], is_there)
        yield on_disk
        keeping = readings.keeping()
        if keeping is not None:
            yield from _keeping(keeping)
        access = readings.access()
        if access is not None:
            yield from _access(access)
        video = readings.video()
        if video is not None:
            yield from _video(video)


def _gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, value=value)


def _labelled(name: str, help_text: str, label: str, values: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, help_text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def _parts(parts: dict[str, PartStatus]) -> Iterator[Metric]:
    running = GaugeMetricFamily("gatehouse_edge_part_running", "Whether a part of the daemon runs", labels=["part"])
    for name, status in parts.items():
        running.add_metric([name], status.state is PartState.RUNNING)
    yield running
    restarts = {name: status.restarts for name, status in parts.items()}
    yield _labelled("gatehouse_edge_part_restarts", "Restarts of a part", "part", restarts)


def _outbox(status: OutboxStatus) -> Iterator[Metric]:
    yield _gauge("gatehouse_edge_outbox_rows", "Events without a receipt", status.rows)
    yield _gauge("gatehouse_edge_outbox_last_seq", "Highest number in the stream", status.last_seq)
    yield _gauge("gatehouse_edge_outbox_queue", "Events that wait for the disk", status.waiting)
    yield _gauge("gatehouse_edge_outbox_bytes", "Size of the outbox file", status.size_bytes)
    yield _gauge("gatehouse_edge_outbox_writable", "Whether the disk takes events", status.state == "ok")
    states = GaugeMetricFamily("gatehouse_edge_outbox_state", "1 for the state the outbox is in", labels=["state"])
    for state in OUTBOX_STATES:
        states.add_metric([state], state == status.state)
    yield states
    yield CounterMetricFamily(
        "gatehouse_edge_outbox_queue_dropped", "Events dropped before the disk took them", status.dropped_in_memory
    )


def _uplink(status: UplinkStatus) -> Iterator[Metric]:
    states = GaugeMetricFamily("gatehouse_edge_uplink_state", "1 for the state the uplink is in", labels=["state"])
    for state in _UPLINK_STATES:
        states.add_metric([state], state == status.state)
    yield states
    yield _gauge("gatehouse_edge_uplink_without_receipt", "Events sent and not receipted", status.without_receipt)
    yield _gauge("gatehouse_edge_session", "Session number of the connection", status.session)


def _access(status: AccessStatus) -> Iterator[Metric]:
    doors = GaugeMetricFamily("gatehouse_edge_door_state", "1 for the state a door is in", labels=["door", "state"])
    for door in status.doors:
        doors.add_metric([door.id, str(door.state)], 1)
    yield doors
    modes = GaugeMetricFamily("gatehouse_edge_door_mode", "1 for the mode a door is in", labels=["door", "mode"])
    for door in status.doors:
        modes.add_metric([door.id, str(door.mode)], 1)
    yield modes
    yield _gauge("gatehouse_edge_lockdown", "Whether every door is locked down", status.lockdown)
    yield _gauge("gatehouse_edge_policy_stale", "Whether the hub is away for too long", status.stale)
    readers = GaugeMetricFamily("gatehouse_edge_reader_online", "Whether a reader answers", labels=["reader"])
    for reader in status.readers:
        readers.add_metric([reader.id], bool(reader.online))
    yield readers
    yield from _devices(status.devices)
    counted = status.counters
    yield CounterMetricFamily("gatehouse_edge_card_reads", "Cards read", counted.card_reads)
    yield _labelled("gatehouse_edge_presented", "What was presented", "kind", dict(counted.presented))
    yield CounterMetricFamily("gatehouse_edge_access_granted", "Presentations granted", counted.granted)
    denied = {str(reason): count for reason, count in counted.denied.items()}
    yield _labelled("gatehouse_edge_access_denied", "Presentations denied", "reason", denied)
    yield _labelled(
        "gatehouse_edge_door_faults",
        "Faults of the doors' side",
        "kind",
        {
            "strike": counted.strike_failures,
            "worker_restart": counted.worker_restarts,
            "dropped_input": counted.dropped_inputs,
            "input": counted.faults,
        },
    )
    yield _labelled(
        "gatehouse_edge_door_happenings",
        "What else happened at the doors",
        "what",
        {
            "decided_by_device": counted.decided_by_devices,
            "duress": counted.duress,
            "lock_out": counted.lock_outs,
            "unsure_plate": counted.unsure_plates,
            **status.drivers,
        },
    )
    latencies = [value / 1e6 for value in status.card_to_strike_us]
    yield SummaryMetricFamily(
        "gatehouse_edge_card_to_strike_seconds",
        "Newest latencies from a card's bytes to its strike command",
        count_value=len(latencies),
        sum_value=sum(latencies),
    )


def _devices(devices: tuple[DeviceStatus, ...]) -> Iterator[Metric]:
    states = GaugeMetricFamily(
        "gatehouse_edge_driver_state", "1 for the state a device or bus is in", labels=["driver", "state"]
    )
    complaints = GaugeMetricFamily(
        "gatehouse_edge_driver_complaints", "What at a device is not as the site file wants it", labels=["driver"]
    )
    counts = CounterMetricFamily(
        "gatehouse_edge_driver_happenings",
        "What a driver counts: mostly what was lost, refused or went wrong",
        labels=["driver", "what"],
    )
    for device in devices:
        for state in DeviceState:
            states.add_metric([device.id, state], state is device.state)
        complaints.add_metric([device.id], len(device.complaints))
        for what, count in sorted(device.counts.items()):
            counts.add_metric([device.id, what], count)
    yield from (states, complaints, counts)


def _keeping(status: KeepingStatus) -> Iterator[Metric]:
    levels = GaugeMetricFamily("gatehouse_edge_keeping_level", "1 for what is kept at present", labels=["level"])
    for level in KeepingLevel:
        levels.add_metric([str(level)], level is status.level)
    yield levels
    yield _gauge("gatehouse_edge_keeping_usable", "Whether the disk with the video can be used", status.fault is None)
    yield _gauge("gatehouse_edge_keeping_free_bytes", "Free on the disk with the video", status.free_bytes)
    forecast = status.forecast
    yield _gauge("gatehouse_edge_keeping_bytes_per_day", "Video kept a day", forecast.bytes_per_day)
    days = GaugeMetricFamily(
        "gatehouse_edge_keeping_days", "Days until full; days that recording reaches", labels=["what"]
    )
    for name, value in (("until_full", forecast.full_in_days), ("recording", forecast.recording_reaches_days)):
        if value is not None:
            days.add_metric([name], value)
    yield days
    kept = GaugeMetricFamily("gatehouse_edge_kept_bytes", "Video on disk", labels=["grade"])
    for grade, usage in status.usage.items():
        kept.add_metric([str(grade)], usage.size_bytes)
    yield kept
    rings = GaugeMetricFamily("gatehouse_edge_ring_bytes", "Newest packets in memory", labels=["camera"])
    for camera, ring in status.rings.items():
        rings.add_metric([camera], ring.size_bytes)
    yield rings
    yield _gauge("gatehouse_edge_clips_open", "Clips being made", status.open_clips)
    yield _gauge("gatehouse_edge_clips_waiting", "Clips not sent yet", status.waiting_clips)


_CAMERA_COUNTS = (
    "connections", "restarts", "frames_received", "frames_decoded", "decode_errors", "frames_checked",
    "frames_analysed", "frames_replaced", "frames_expired", "frames_unfollowed", "closer_looks", "detections",
    "tracks_confirmed", "catch_ups", "pictures_caught_up", "main_packets", "sink_faults", "door_news_lost",
)  # fmt: skip


def _video(status: "VideoStatus") -> Iterator[Metric]:
    states = GaugeMetricFamily("gatehouse_edge_camera_state", "1 for a camera's state", labels=["camera", "state"])
    for camera in status.cameras:
        states.add_metric([camera.id, str(camera.state)], 1)
    yield states
    mains = GaugeMetricFamily("gatehouse_edge_camera_main", "1 for its main stream's state", labels=["camera", "state"])
    for camera in status.cameras:
        if camera.main_state is not None:
            mains.add_metric([camera.id, str(camera.main_state)], 1)
    yield mains
    yield _camera_counts(status.cameras)
    yield from _onvif(status.cameras)
    rules = CounterMetricFamily("gatehouse_edge_rule_events", "What cameras' rules told", labels=["camera", "rule"])
    for camera in status.cameras:
        for rule, count in camera.rule_events.items():
            rules.add_metric([camera.id, rule], count)
    yield rules
    yield from _gears(status.cameras)
    yield from _camera_rates(status.cameras)
    yield CounterMetricFamily("gatehouse_edge_detector_busy_seconds", "Detector at work", status.detector_busy_s)
    yield CounterMetricFamily("gatehouse_edge_detector_restarts", "Detector restarts", status.detector_restarts)
    yield CounterMetricFamily("gatehouse_edge_video_events", "Events from cameras", status.events)
    yield CounterMetricFamily("gatehouse_edge_video_pictures_lost", "Pictures not kept", status.pictures_lost)


def _gears(cameras: "tuple[CameraStatus, ...]") -> Iterator[Metric]:
    gears = GaugeMetricFamily("gatehouse_edge_camera_gear", "1 for the gear a camera is in", labels=["camera", "gear"])
    seconds = CounterMetricFamily("gatehouse_edge_camera_gear_seconds", "Time in a gear", labels=["camera", "gear"])
    wakes = CounterMetricFamily("gatehouse_edge_camera_wakes", "Why a camera was woken", labels=["camera", "why"])
    longest = GaugeMetricFamily(
        "gatehouse_edge_camera_longest_catch_up_seconds", "Longest catching up of decoding", labels=["camera"]
    )
    for camera in cameras:
        if camera.gear is not None:
            gears.add_metric([camera.id, str(camera.gear)], 1)
        for gear, value in camera.gear_s.items():
            seconds.add_metric([camera.id, gear], value)
        for why, count in camera.wakes.items():
            wakes.add_metric([camera.id, why], count)
        longest.add_metric([camera.id], camera.longest_catch_up_s)
    yield from (gears, seconds, wakes, longest)


def _onvif(cameras: "tuple[CameraStatus, ...]") -> Iterator[Metric]:
    states = GaugeMetricFamily(
        "gatehouse_edge_camera_onvif", "1 for its ONVIF side's state", labels=["camera", "state"]
    )
    offsets = GaugeMetricFamily(
        "gatehouse_edge_camera_clock_offset_seconds", "How far its clock is ahead of ours", labels=["camera"]
    )
    motions = CounterMetricFamily("gatehouse_edge_camera_motions", "Its own motion events", labels=["camera"])
    for camera in cameras:
        if camera.onvif is None:
            continue
        states.add_metric([camera.id, str(camera.onvif.state)], 1)
        motions.add_metric([camera.id], camera.onvif.motions)
        if camera.onvif.clock_offset_s is not None:
            offsets.add_metric([camera.id], camera.onvif.clock_offset_s)
    yield from (states, offsets, motions)


def _camera_rates(cameras: "tuple[CameraStatus, ...]") -> Iterator[Metric]:
    asked = GaugeMetricFamily("gatehouse_edge_camera_asked_rate", "Frames a second worth analysis", labels=["camera"])
    analysed = GaugeMetricFamily("gatehouse_edge_camera_analysed_rate", "Frames analysed a second", labels=["camera"])
    degraded = GaugeMetricFamily(
        "gatehouse_edge_camera_degraded", "Whether there is no time for all of a camera's frames", labels=["camera"]
    )
    for camera in cameras:
        asked.add_metric([camera.id], camera.rate.asked)
        analysed.add_metric([camera.id], camera.rate.analysed)
        degraded.add_metric([camera.id], camera.rate.is_degraded)
    yield from (asked, analysed, degraded)


def _camera_counts(cameras: "tuple[CameraStatus, ...]") -> Metric:
    family = CounterMetricFamily("gatehouse_edge_camera", "A camera's counts", labels=["camera", "what"])
    for camera in cameras:
        for name in _CAMERA_COUNTS:
            family.add_metric([camera.id, name], getattr(camera, name))
    return family
