"""ONVIF's media services and motion events: fixtures as devices send them, and input that no device should send."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import onvif, onvif_media
from protocols.base import ProtocolError
from protocols.onvif_media import MEDIA, MEDIA2, DeviceInformation, MaskOptions, MediaProfile, PrivacyMask
from protocols.onvif_motion import MotionEvent, read_motion
from protocols.xml_reading import Element, read_xml
from tests.protocols.test_onvif import answer

PROFILES = """<trt:GetProfilesResponse xmlns:trt="http://www.onvif.org/ver10/media/wsdl">
<trt:Profiles token="Profile_1" fixed="true"><tt:Name>mainStream</tt:Name>
<tt:VideoSourceConfiguration token="VideoSourceToken"><tt:SourceToken>VideoSource_1</tt:SourceToken>
</tt:VideoSourceConfiguration><tt:VideoEncoderConfiguration token="VideoEncoderToken_1"><tt:Encoding>H264</tt:Encoding>
<tt:Resolution><tt:Width>2688</tt:Width><tt:Height>1520</tt:Height></tt:Resolution><tt:RateControl>
<tt:FrameRateLimit>25</tt:FrameRateLimit><tt:EncodingInterval>1</tt:EncodingInterval><tt:BitrateLimit>4096</tt:BitrateLimit>
</tt:RateControl><tt:H264><tt:GovLength>50</tt:GovLength><tt:H264Profile>Main</tt:H264Profile></tt:H264>
</tt:VideoEncoderConfiguration></trt:Profiles>
<trt:Profiles token="audio"><tt:Name>audio alone</tt:Name></trt:Profiles></trt:GetProfilesResponse>"""

PROFILES2 = """<tr2:GetProfilesResponse xmlns:tr2="http://www.onvif.org/ver20/media/wsdl">
<tr2:Profiles token="Profile_2" fixed="true"><tr2:Name>subStream</tr2:Name><tr2:Configurations>
<tr2:VideoSource token="VideoSourceToken"/><tr2:VideoEncoder token="e" GovLength="100" Profile="Main">
<tt:Encoding>H265</tt:Encoding><tt:Resolution><tt:Width>704</tt:Width><tt:Height>576</tt:Height></tt:Resolution>
<tt:RateControl ConstantBitRate="false">
<tt:FrameRateLimit>12.5</tt:FrameRateLimit><tt:BitrateLimit>512</tt:BitrateLimit>
</tt:RateControl></tr2:VideoEncoder></tr2:Configurations></tr2:Profiles></tr2:GetProfilesResponse>"""

MASKS = """<tr2:GetMasksResponse xmlns:tr2="http://www.onvif.org/ver20/media/wsdl"><tr2:Masks token="m1">
<tr2:ConfigurationToken>VideoSourceToken</tr2:ConfigurationToken><tr2:Polygon><tt:Point x="-1" y="1"/>
<tt:Point x="0" y="1"/><tt:Point x="0" y="0.5"/></tr2:Polygon><tr2:Type>Color</tr2:Type><tr2:Enabled>true</tr2:Enabled>
</tr2:Masks></tr2:GetMasksResponse>"""


def read(body: str, name: str) -> Element:
    return onvif.read_answer(answer(body), name)


def uri(text: str) -> str:
    body = (
        f"<a:GetStreamUriResponse xmlns:a='x'><a:MediaUri><tt:Uri>{text}</tt:Uri></a:MediaUri></a:GetStreamUriResponse>"
    )
    return onvif_media.read_stream_uri(read(body, "GetStreamUriResponse"))


def test_profiles_of_the_first_media_service() -> None:
    assert onvif_media.read_profiles(read(PROFILES, "GetProfilesResponse")) == (
        MediaProfile("Profile_1", "mainStream", "VideoSourceToken", "h264", 2688, 1520, 25.0, 50, 4096),
    )


def test_profiles_of_the_second_media_service() -> None:
    assert onvif_media.read_profiles(read(PROFILES2, "GetProfilesResponse")) == (
        MediaProfile("Profile_2", "subStream", "VideoSourceToken", "hevc", 704, 576, 12.5, 100, 512),
    )


def test_a_profile_that_says_little_is_still_one() -> None:
    body = (
        '<a:GetProfilesResponse xmlns:a="x"><a:Profiles token="p"><tt:VideoEncoderConfiguration/></a:Profiles>'
        "</a:GetProfilesResponse>"
    )

    assert onvif_media.read_profiles(read(body, "GetProfilesResponse")) == (
        MediaProfile("p", "", "", "", 0, 0, 0.0, 0, 0),
    )


def test_what_the_device_is() -> None:
    body = (
        "<tds:GetDeviceInformationResponse><tds:Manufacturer>HIKVISION</tds:Manufacturer>"
        "<tds:Model>DS-2CD\x09 2</tds:Model><tds:FirmwareVersion>V5.7</tds:FirmwareVersion>"
        "</tds:GetDeviceInformationResponse>"
    )
    told = onvif_media.read_device_information(read(body, "GetDeviceInformationResponse"))

    assert told == DeviceInformation("HIKVISION", "DS-2CD 2", "V5.7", "")


def test_a_streams_address_loses_its_account() -> None:
    assert uri("rtsp://admin:secret@192.0.2.64:554/Streaming/Channels/102?transportmode=unicast&amp;p=1") == (
        "rtsp://192.0.2.64:554/Streaming/Channels/102?transportmode=unicast&p=1"
    )


@pytest.mark.parametrize(
    "text", ["", "file:///etc/passwd", "rtsp://", "rtsp://h:99999/", "rtsp://h/a b", "rtsp://h/" + "a" * 500]
)
def test_what_is_no_streams_address_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        uri(text)


def test_a_stream_is_asked_for_in_the_words_of_either_service() -> None:
    first = read_xml(onvif.envelope(onvif_media.get_stream_uri(MEDIA, "P<1>"))).child("Body", "GetStreamUri")
    second = read_xml(onvif.envelope(onvif_media.get_stream_uri(MEDIA2, "P<1>"))).child("Body", "GetStreamUri")

    assert first is not None
    assert (first.namespace, first.text_of("ProfileToken")) == (MEDIA, "P<1>")
    assert first.text_of("StreamSetup", "Transport", "Protocol") == "RTSP"
    assert second is not None
    assert (second.namespace, second.text_of("ProfileToken"), second.text_of("Protocol")) == (MEDIA2, "P<1>", "RTSP")


def test_masks_are_read_as_fractions_from_the_top_left() -> None:
    (mask,) = onvif_media.read_masks(read(MASKS, "GetMasksResponse"))

    assert mask == PrivacyMask("m1", "VideoSourceToken", ((0.0, 0.0), (0.5, 0.0), (0.5, 0.25)), True, "Color")


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=10).map(tuple),
    st.text("a\"<&'", min_size=1),
)
def test_a_mask_that_is_written_is_read_again(corners: onvif_media.Corners, token: str) -> None:
    mask = PrivacyMask(token, "s", corners, True, "Color")
    body = read_xml(onvif.envelope(onvif_media.set_mask(mask))).child("Body", "SetMask")
    assert body is not None
    sent = body.child("Mask")
    assert sent is not None
    (again,) = onvif_media.read_masks(
        Element("GetMasksResponse", children=[Element("Masks", "", sent.attributes, sent.children)])
    )

    assert again.token == token
    assert [each for corner in again.corners for each in corner] == pytest.approx(
        [each for corner in corners for each in corner], abs=1e-5
    )


def test_what_masks_a_camera_can_have() -> None:
    body = (
        '<a:GetMaskOptionsResponse xmlns:a="x"><a:Options RectangleOnly="true"><a:MaxMasks>4</a:MaxMasks>'
        "<a:MaxPoints>4</a:MaxPoints><a:Types>Color</a:Types><a:Types>Pixelated</a:Types></a:Options></a:GetMaskOptionsResponse>"
    )
    told = onvif_media.read_mask_options(read(body, "GetMaskOptionsResponse"))

    assert told == MaskOptions(4, 4, ("Color", "Pixelated"), True)


def pulled(topic: str, item: str, value: str, operation: str = "Changed", source: str = "VideoSourceToken") -> str:
    return (
        f"<wsnt:NotificationMessage><wsnt:Topic>{topic}</wsnt:Topic><wsnt:Message><tt:Message "
        f'UtcTime="0000-00-00T00:00:00Z" PropertyOperation="{operation}"><tt:Source>'
        f'<tt:SimpleItem Name="{source}" Value="v1"/><tt:SimpleItem Name="Rule" Value="r"/></tt:Source>'
        f'<tt:Data><tt:SimpleItem Name="{item}" Value="{value}"/></tt:Data></tt:Message></wsnt:Message>'
        "</wsnt:NotificationMessage>"
    )


def motion(*messages: str) -> tuple[MotionEvent, ...]:
    body = f"<tev:PullMessagesResponse>{''.join(messages)}</tev:PullMessagesResponse>"
    return read_motion(read(body, "PullMessagesResponse"))


@pytest.mark.parametrize(
    ("topic", "item", "value", "active"),
    [
        ("tns1:RuleEngine/CellMotionDetector/Motion", "IsMotion", "true", True),
        ("tns1:VideoSource/MotionAlarm", "State", "false", False),
        ("tns1:VideoSource/tns1:MotionAlarm", "State", "1", True),
        ("tns1:RuleEngine/MotionRegionDetector/Motion", "State", "0", False),
        ("tns1:RuleEngine/FieldDetector/ObjectsInside", "IsInside", "true", True),
        ("tns1:RuleEngine/MyRuleDetector/PeopleDetect", "State", "true", True),
        ("tns1:RuleEngine/PeopleDetector/People", "IsPeople", "true", True),
        ("tns1:RuleEngine/tnsajax:MotionDetector/Detection", "Detected", "true", True),
        ("tnsaxis:CameraApplicationPlatform/VMD/Camera1ProfileANY", "active", "1", True),
    ],
)
def test_every_makers_motion_is_motion(topic: str, item: str, value: str, active: bool) -> None:
    (event,) = motion(pulled(topic, item, value))

    assert (event.active, event.initial, event.source, event.lasting) == (active, False, "v1", True)


def test_a_crossed_line_is_a_moment_and_no_state() -> None:
    crossed = pulled("tns1:RuleEngine/LineDetector/Crossed", "ObjectId", "7")

    assert motion(crossed) == (MotionEvent("RuleEngine/LineDetector/Crossed", "v1", True, False, lasting=False),)
    assert motion(pulled("tns1:RuleEngine/LineDetector/Crossed", "ObjectId", "7", "Initialized")) == ()


def test_how_it_stood_at_the_beginning_is_marked_and_other_topics_are_passed_over() -> None:
    events = motion(
        pulled("tns1:RuleEngine/CellMotionDetector/Motion", "IsMotion", "false", "Initialized"),
        pulled("tns1:Device/Trigger/DigitalInput", "LogicalState", "true"),
        pulled("tns1:RuleEngine/CellMotionDetector/Motion", "IsMotion", "perhaps"),
        pulled("tns1:RuleEngine/CellMotionDetector/Motion", "IsMotion", "true", "Deleted"),
        "<wsnt:NotificationMessage/>",
    )

    assert [(event.active, event.initial) for event in events] == [(False, True)]


FIXTURES = [
    answer(each)
    for each in (
        PROFILES,
        PROFILES2,
        MASKS,
        f"<tev:PullMessagesResponse>{pulled('a', 'b', 'c')}</tev:PullMessagesResponse>",
    )
]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(FIXTURES), st.integers(0, 1500), st.integers(0, 60), st.binary(max_size=40))
def test_no_answer_does_more_than_be_refused(fixture: bytes, at: int, cut: int, noise: bytes) -> None:
    readers = (
        ("GetProfilesResponse", onvif_media.read_profiles),
        ("GetMasksResponse", onvif_media.read_masks),
        ("PullMessagesResponse", read_motion),
    )
    for name, reader in readers:
        try:
            reader(onvif.read_answer(fixture[:at] + noise + fixture[at + cut :], name))
        except ProtocolError:
            continue
