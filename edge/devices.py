"""The doors and the cameras as parts of the daemon: made anew at every start, imported only when configured.

Each supervises its own threads; what is caught here is that one of them cannot start at all. A missing video library
then costs the cameras, never the doors.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from edge.access.decision import Decider
from edge.access.drivers.interface import Rotated
from edge.access.status import AccessStatus, Outcome
from edge.access.store import CredentialStore
from edge.access.telling import Own
from edge.clock import Clock
from edge.config import SiteConfig
from edge.observations import PictureStore, Recorder
from edge.video.packets import PacketSink
from protocols.access_events import DoorMode
from protocols.commands import FailureCode

if TYPE_CHECKING:  # both import device libraries
    from edge.access.controller import AccessController
    from edge.video.rules.surroundings import Surroundings
    from edge.video.service import VideoService, VideoStatus
    from edge.video.sightings import SightingSink


class Doors:
    """Readers and doors. Commands and news reach them from any thread, also while they do not run."""

    def __init__(
        self, config: SiteConfig, own: Own, store: CredentialStore, decider: Decider, record: Recorder, clock: Clock
    ) -> None:
        self._make: Callable[[], AccessController] = lambda: _controller(config, own, store, decider, record, clock)
        self._controller: AccessController | None = None

    def start(self) -> None:
        """Start them.

        Raises:
            Exception: whatever keeps the doors from starting; the supervisor tries again.
        """
        controller = self._make()
        controller.start()
        self._controller = controller

    def stop(self) -> None:
        controller, self._controller = self._controller, None
        if controller is not None:
            controller.stop()

    @property
    def failure(self) -> str | None:
        return None  # the controller restarts what fails in it

    def release(self, door: str, corr: UUID) -> Outcome:
        """Release a door for a command."""
        return self._told_to(lambda controller: controller.release(door, corr))

    def set_mode(self, door: str, mode: DoorMode, until_s: float | None, corr: UUID) -> Outcome:
        """Put a door into a mode for a command."""
        return self._told_to(lambda controller: controller.set_mode(door, mode, until_s, corr))

    def lock_down(self, corr: UUID, *, active: bool) -> Outcome:
        """Begin or end the lockdown of every door."""
        return self._told_to(lambda controller: controller.lock_down(corr, active=active))

    def forgive(self, area: str | None) -> Outcome:
        """Forget who is in an area."""
        return self._told_to(lambda controller: controller.forgive(area))

    def rotate_key(self, reader: str, say: Callable[[str], None]) -> Rotated:
        """Change a reader's key; takes some seconds."""
        controller = self._controller
        if controller is None:
            return Rotated(False, "the door controller of this gateway does not run")
        return controller.rotate_key(reader, say)

    def look_again(self) -> None:
        """The wall clock jumped: look at what goes by it."""
        controller = self._controller
        if controller is not None:
            controller.look_again()

    def status(self) -> AccessStatus | None:
        controller = self._controller
        return controller.status() if controller is not None else None

    def _told_to(self, do: "Callable[[AccessController], Outcome]") -> Outcome:
        controller = self._controller
        if controller is None:
            why = "the door controller of this gateway does not run"
            return Outcome(False, why, FailureCode.DOORS_STOPPED)
        return do(controller)


@dataclass(frozen=True)
class Sinks:
    """For cameras by name, who takes their packets: of the evidence stream (main if there is one), and of sub alone."""

    evidence: Mapping[str, Sequence[PacketSink]]
    sub: Mapping[str, Sequence[PacketSink]]


def joined(
    first: Mapping[str, Sequence[PacketSink]], second: Mapping[str, Sequence[PacketSink]]
) -> Mapping[str, Sequence[PacketSink]]:
    """The sinks of both."""
    return {name: (*first.get(name, ()), *second.get(name, ())) for name in {**first, **second}}


class Cameras:
    """All cameras."""

    def __init__(
        self,
        config: SiteConfig,
        record: Recorder,
        pictures: PictureStore,
        clock: Clock,
        surroundings: "Surroundings",
        sinks: Sinks,
        sighted: "Mapping[str, SightingSink]",
    ) -> None:
        self._make: Callable[[], VideoService] = lambda: _video(
            config, record, pictures, clock, surroundings, sinks, sighted
        )
        self._service: VideoService | None = None

    def start(self) -> None:
        """Start them.

        Raises:
            Exception: whatever keeps video from starting; the supervisor tries again.
        """
        service = self._make()
        service.start()
        self._service = service

    def stop(self) -> None:
        service, self._service = self._service, None
        if service is not None:
            service.stop()

    @property
    def failure(self) -> str | None:
        return None  # the service restarts what fails in it

    def status(self) -> "VideoStatus | None":
        service = self._service
        return service.status() if service is not None else None


def _controller(
    config: SiteConfig, own: Own, store: CredentialStore, decider: Decider, record: Recorder, clock: Clock
) -> "AccessController":
    from edge.access.controller import AccessController

    folder = config.gateway.state_dir
    return AccessController(
        config.access, store, record, clock, config.zone, decider=decider, state_dir=folder, own=own
    )


def _video(
    config: SiteConfig,
    record: Recorder,
    pictures: PictureStore,
    clock: Clock,
    surroundings: "Surroundings",
    sinks: Sinks,
    sighted: "Mapping[str, SightingSink]",
) -> "VideoService":
    import cv2

    from edge.video.service import VideoService

    cv2.setNumThreads(1)  # frames of several cameras are worked on side by side already
    return VideoService(
        config.video,
        record,
        pictures,
        clock,
        surroundings=surroundings,
        sinks=sinks.evidence,
        sub_sinks=sinks.sub,
        sighted=sighted,
    )
