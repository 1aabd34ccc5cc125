"""What a camera says over ONVIF about itself and its streams: values, asked one after the other, nothing kept."""

import contextlib
from dataclasses import dataclass
from urllib.parse import urlsplit

from edge.onvif.client import OnvifClient, Refused, Unreachable
from protocols import onvif, onvif_media
from protocols.base import ProtocolError
from protocols.onvif_media import MEDIA, MEDIA2, DeviceInformation, MaskOptions, MediaProfile, PrivacyMask

MOST_STREAMS = 16


@dataclass(frozen=True)
class Offer:
    """A stream that the camera offers, and where; `why_not` says why its address is unknown. No account in either."""

    profile: MediaProfile
    stream_uri: str | None
    snapshot_uri: str | None
    why_not: str = ""


class OnvifCamera:
    """One camera over a client that is connected.

    Args:
        host: the camera's own address; it takes the place of the one that it advertises for its streams.
    """

    def __init__(self, client: OnvifClient, host: str) -> None:
        self._client = client
        self._host = host

    @property
    def has_events(self) -> bool:
        """Whether it offers events."""
        return self._client.has(onvif.EVENTS)

    def information(self) -> DeviceInformation:
        """Make, model, firmware and serial number.

        Raises:
            Unreachable, Untrusted, Unauthorised, Refused.
        """
        answer = self._client.call(onvif.DEVICE, onvif_media.get_device_information())
        return onvif_media.read_device_information(answer)

    def offers(self) -> tuple[Offer, ...]:
        """Its streams, by the newer media service where it has one (the older one knows no H.265).

        Raises:
            Unreachable, Untrusted, Unauthorised.
            Refused: if it has no media service.
        """
        services = [service for service in (MEDIA2, MEDIA) if self._client.has(service)]
        if not services:
            raise Refused("the camera has no media service, so it offers no video over ONVIF")
        for service in services[:-1]:
            with contextlib.suppress(Refused, ProtocolError):
                found = self._offers(service)
                if found:
                    return found
        try:
            return self._offers(services[-1])
        except ProtocolError as error:
            raise Unreachable(f"the camera lists its profiles wrongly: {error}") from None

    def source(self) -> str:
        """The token of its video source's configuration, which masks name.

        Raises:
            Unreachable, Untrusted, Unauthorised.
            Refused: if it has none.
        """
        for offer in self.offers():
            if offer.profile.source:
                return offer.profile.source
        raise Refused("the camera names no video source")

    def masks(self, source: str) -> tuple[PrivacyMask, ...]:
        """The privacy masks of a video source's configuration.

        Raises:
            Unreachable, Untrusted, Unauthorised, ProtocolError.
            Refused: if it cannot tell.
        """
        return onvif_media.read_masks(self._client.call(MEDIA2, onvif_media.get_masks(source)))

    def mask_options(self, source: str) -> MaskOptions | None:
        """What masks it can have; None if it has none over ONVIF."""
        if not self._client.has(MEDIA2):
            return None
        with contextlib.suppress(Refused, ProtocolError):
            return onvif_media.read_mask_options(self._client.call(MEDIA2, onvif_media.get_mask_options(source)))
        return None

    def create_mask(self, mask: PrivacyMask) -> None:
        """Add a mask; its token is the camera's to choose.

        Raises:
            Unreachable, Untrusted, Unauthorised, Refused.
        """
        self._client.call(MEDIA2, onvif_media.create_mask(mask))

    def set_mask(self, mask: PrivacyMask) -> None:
        """Change the mask of that token.

        Raises:
            Unreachable, Untrusted, Unauthorised, Refused.
        """
        self._client.call(MEDIA2, onvif_media.set_mask(mask))

    def _offers(self, service: str) -> tuple[Offer, ...]:
        profiles = onvif_media.read_profiles(self._client.call(service, onvif_media.get_profiles(service)))
        return tuple(self._offer(service, each) for each in profiles[:MOST_STREAMS])

    def _offer(self, service: str, profile: MediaProfile) -> Offer:
        snapshot = None
        with contextlib.suppress(Refused, ProtocolError):
            answer = self._client.call(service, onvif_media.get_snapshot_uri(service, profile.token))
            snapshot = self._own(onvif_media.read_stream_uri(answer))
        try:
            answer = self._client.call(service, onvif_media.get_stream_uri(service, profile.token))
            return Offer(profile, self._own(onvif_media.read_stream_uri(answer)), snapshot)
        except (Refused, ProtocolError) as error:
            return Offer(profile, None, snapshot, str(error))

    def _own(self, uri: str) -> str:
        """At the address that the camera was asked at: what it advertises may be another network's."""
        parts = urlsplit(uri)
        host = f"[{self._host}]" if ":" in self._host else self._host
        return parts._replace(netloc=host if parts.port is None else f"{host}:{parts.port}").geturl()
