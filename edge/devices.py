"""The doors and the cameras as parts of the daemon: made anew at every start, imported only when configured.

Each supervises its own threads; what is caught here is that one of them cannot start at all. A missing video library
then costs the cameras, never the doors.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from edge.access.status import AccessStatus, ReleaseOutcome
from edge.access.store import CredentialStore
from edge.clock import Clock
from edge.config import SiteConfig
from edge.observations import PictureStore, Recorder
from protocols.commands import FailureCode

if TYPE_CHECKING:  # both import device libraries
    from edge.access.controller import AccessController
    from edge.video.service import VideoService, VideoStatus


class Doors:
    """Readers and doors."""

    def __init__(self, config: SiteConfig, store: CredentialStore, record: Recorder, clock: Clock) -> None:
        self._make: Callable[[], AccessController] = lambda: _controller(config, store, record, clock)
        self._controller: AccessController | None = None

    def start(self) -> None:
        """Start them.

        Raises:
            Exception: whatever keeps the readers from starting; the supervisor tries again.
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

    def release(self, door: str, corr: UUID) -> ReleaseOutcome:
        """Release a door for a command."""
        controller = self._controller
        if controller is None:
            why = "the door controller of this gateway does not run"
            return ReleaseOutcome(False, why, FailureCode.DOORS_STOPPED)
        return controller.release(door, corr)

    def status(self) -> AccessStatus | None:
        controller = self._controller
        return controller.status() if controller is not None else None


class Cameras:
    """All cameras."""

    def __init__(self, config: SiteConfig, record: Recorder, pictures: PictureStore, clock: Clock) -> None:
        self._make: Callable[[], VideoService] = lambda: _video(config, record, pictures, clock)
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


def _controller(config: SiteConfig, store: CredentialStore, record: Recorder, clock: Clock) -> "AccessController":
    from edge.access.controller import AccessController

    return AccessController(config.access, store, record, clock, config.zone)


def _video(config: SiteConfig, record: Recorder, pictures: PictureStore, clock: Clock) -> "VideoService":
    import cv2

    from edge.video.service import VideoService

    cv2.setNumThreads(1)  # frames of several cameras are worked on side by side already
    return VideoService(config.video, record, pictures, clock)
