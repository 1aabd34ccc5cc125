"""The made-up ONVIF device as a camera: device information, both media services, masks and motion. Written from the
ONVIF Media and Media 2 specifications; it shares no code with `protocols.onvif_media` and `protocols.onvif_motion`."""

import itertools
import xml.etree.ElementTree as Tree

from tests.peers.onvif import NS, UNREACHABLE, Fault, OnvifPeer

Points = list[tuple[float, float]]
MOTION = "tns1:RuleEngine/CellMotionDetector/Motion"


class OnvifCameraPeer(OnvifPeer):
    """A camera with a main and a sub stream, over the older media service or both.

    Attributes:
        rtsp: where its streams are, in its own words: an address that nobody can reach, with an account in it.
        masks: its privacy masks by token: points from -1 to 1, whether enabled.
        most_masks: how many it takes.
        rectangles_only: whether it takes rectangles alone.
    """

    def __init__(self, *, media2: bool = True, events: bool = True) -> None:
        super().__init__()
        self.places = {"tds": "device_service", "trt": "media"}
        self.places |= {"tr2": "media2"} if media2 else {}
        self.places |= {"tev": "events"} if events else {}
        self.inputs.clear()
        self.rtsp = UNREACHABLE.replace("http://", "rtsp://installer:8888@").replace(":8899", ":554")
        self.masks: dict[str, tuple[Points, bool]] = {}
        self.most_masks = 4
        self.rectangles_only = False
        self._numbers = itertools.count(1)

    def move(self, *, active: bool, source: str = "VideoSourceToken", operation: str = "Changed") -> None:
        """Something moves before it, or no longer does."""
        state = "true" if active else "false"
        self.emit(MOTION, "VideoSourceConfigurationToken", source, "IsMotion", state, operation)

    def _GetDeviceInformation(self, *_: object) -> str:  # noqa: N802
        return (
            "<tds:GetDeviceInformationResponse><tds:Manufacturer>Made up</tds:Manufacturer><tds:Model>MC-2</tds:Model>"
            "<tds:FirmwareVersion>1.0</tds:FirmwareVersion><tds:SerialNumber>7</tds:SerialNumber>"
            "<tds:HardwareId>1</tds:HardwareId></tds:GetDeviceInformationResponse>"
        )

    def _GetProfiles(self, asked: Tree.Element, _root: object) -> str:  # noqa: N802
        if asked.tag.startswith(f"{{{NS['tr2']}}}"):
            wanted = [each.text for each in asked.findall("tr2:Type", NS)]
            assert wanted == ["VideoSource", "VideoEncoder"]
            profiles = _profile2("main", "H265", 2560, 1440) + _profile2("sub", "H264", 704, 576)
            return f"<tr2:GetProfilesResponse>{profiles}</tr2:GetProfilesResponse>"
        profiles = _profile("main", 2560, 1440) + _profile("sub", 704, 576)
        return f"<trt:GetProfilesResponse>{profiles}</trt:GetProfilesResponse>"

    def _GetStreamUri(self, asked: Tree.Element, _root: object) -> str:  # noqa: N802
        if asked.tag.startswith(f"{{{NS['tr2']}}}"):
            assert asked.findtext("tr2:Protocol", "", NS) == "RTSP"
            uri = f"{self.rtsp}/{self._profile_asked(asked, 'tr2')}"
            return f"<tr2:GetStreamUriResponse><tr2:Uri>{uri}</tr2:Uri></tr2:GetStreamUriResponse>"
        assert asked.findtext("trt:StreamSetup/tt:Transport/tt:Protocol", "", NS) == "RTSP"
        assert asked.findtext("trt:StreamSetup/tt:Stream", "", NS) == "RTP-Unicast"
        uri = f"{self.rtsp}/{self._profile_asked(asked, 'trt')}"
        return (
            f"<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>{uri}</tt:Uri><tt:InvalidAfterConnect>false"
            "</tt:InvalidAfterConnect></trt:MediaUri></trt:GetStreamUriResponse>"
        )

    def _GetSnapshotUri(self, *_: object) -> str:  # noqa: N802
        raise Fault("ActionNotSupported", "no stills")

    def _GetMaskOptions(self, asked: Tree.Element, _root: object) -> str:  # noqa: N802
        self._source_asked(asked)
        only = "true" if self.rectangles_only else "false"
        return (
            f'<tr2:GetMaskOptionsResponse><tr2:Options RectangleOnly="{only}" SingleColorOnly="true">'
            f"<tr2:MaxMasks>{self.most_masks}</tr2:MaxMasks><tr2:MaxPoints>8</tr2:MaxPoints><tr2:Types>Color</tr2:Types>"
            "<tr2:Types>Pixelated</tr2:Types></tr2:Options></tr2:GetMaskOptionsResponse>"
        )

    def _GetMasks(self, asked: Tree.Element, _root: object) -> str:  # noqa: N802
        self._source_asked(asked)
        masks = "".join(
            f'<tr2:Masks token="{token}"><tr2:ConfigurationToken>VideoSourceToken</tr2:ConfigurationToken><tr2:Polygon>'
            + "".join(f'<tt:Point x="{x}" y="{y}"/>' for x, y in points)
            + f"</tr2:Polygon><tr2:Type>Color</tr2:Type><tr2:Enabled>{str(enabled).lower()}</tr2:Enabled></tr2:Masks>"
            for token, (points, enabled) in self.masks.items()
        )
        return f"<tr2:GetMasksResponse>{masks}</tr2:GetMasksResponse>"

    def _CreateMask(self, asked: Tree.Element, _root: object) -> str:  # noqa: N802
        if len(self.masks) >= self.most_masks:
            raise Fault("MaxMasks", "no more masks")
        token = f"mask-{next(self._numbers)}"
        self.masks[token] = self._mask_given(asked)
        return f"<tr2:CreateMaskResponse><tr2:Token>{token}</tr2:Token></tr2:CreateMaskResponse>"

    def _SetMask(self, asked: Tree.Element, _root: object) -> str:  # noqa: N802
        mask = asked.find("tr2:Mask", NS)
        assert mask is not None
        token = mask.attrib["token"]
        if token not in self.masks:
            raise Fault("NoConfig", "there is no such mask")
        self.masks[token] = self._mask_given(asked)
        return "<tr2:SetMaskResponse/>"

    def _mask_given(self, asked: Tree.Element) -> tuple[Points, bool]:
        mask = asked.find("tr2:Mask", NS)
        assert mask is not None
        self._source_asked(mask)
        corners = mask.findall("tr2:Polygon/tt:Point", NS)
        points = [(float(each.attrib["x"]), float(each.attrib["y"])) for each in corners]
        assert mask.findtext("tr2:Type", "", NS) == "Color"
        assert all(-1 <= value <= 1 for point in points for value in point)
        if self.rectangles_only and len(points) != 4:
            raise Fault("InvalidPolygon", "rectangles alone")
        return points, mask.findtext("tr2:Enabled", "", NS) == "true"

    def _source_asked(self, asked: Tree.Element) -> None:
        if asked.findtext("tr2:ConfigurationToken", "", NS) != "VideoSourceToken":
            raise Fault("NoConfig", "there is no such video source")

    def _profile_asked(self, asked: Tree.Element, prefix: str) -> str:
        token = asked.findtext(f"{prefix}:ProfileToken", "", NS)
        if token not in ("main", "sub"):
            raise Fault("NoProfile", "there is no such profile")
        return token


def _profile(token: str, width: int, height: int) -> str:
    return (
        f'<trt:Profiles token="{token}" fixed="true"><tt:Name>{token} stream</tt:Name>'
        '<tt:VideoSourceConfiguration token="VideoSourceToken"><tt:SourceToken>s</tt:SourceToken>'
        '</tt:VideoSourceConfiguration><tt:VideoEncoderConfiguration token="e"><tt:Encoding>H264</tt:Encoding>'
        f"<tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution><tt:RateControl>"
        "<tt:FrameRateLimit>10</tt:FrameRateLimit><tt:BitrateLimit>512</tt:BitrateLimit></tt:RateControl>"
        "<tt:H264><tt:GovLength>20</tt:GovLength></tt:H264></tt:VideoEncoderConfiguration></trt:Profiles>"
    )


def _profile2(token: str, codec: str, width: int, height: int) -> str:
    return (
        f'<tr2:Profiles token="{token}" fixed="true"><tr2:Name>{token} stream</tr2:Name><tr2:Configurations>'
        f'<tr2:VideoSource token="VideoSourceToken"/><tr2:VideoEncoder token="e" GovLength="20"><tt:Encoding>{codec}'
        f"</tt:Encoding><tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution>"
        "<tt:RateControl><tt:FrameRateLimit>10</tt:FrameRateLimit><tt:BitrateLimit>512</tt:BitrateLimit></tt:RateControl>"
        "</tr2:VideoEncoder></tr2:Configurations></tr2:Profiles>"
    )
