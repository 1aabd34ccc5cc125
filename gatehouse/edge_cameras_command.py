"""`gatehouse edge cameras`: find cameras, ask one what it offers, take a picture of one."""

import os
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from gatehouse.edge_video_shell import CONFIG_HELP, ConfigOption, camera_of, fail, progress_bar, read_site, tell
from gatehouse.hub_shell import print_table

if TYPE_CHECKING:
    from edge.cameras.address import CameraAddress
    from edge.cameras.advice import Verdict
    from edge.cameras.probing import Answers, StreamFound
    from edge.config import SiteConfig
    from protocols.ws_discovery import Match

app = typer.Typer(
    name="cameras",
    help="Find cameras, ask them what they offer, look at them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_OptionalConfig = Annotated[Path | None, typer.Option("--config", "-c", help=CONFIG_HELP)]

_DISCOVER = """Examples:

  gatehouse edge cameras discover

  gatehouse edge cameras discover --host 10.0.7.21 --host 10.0.7.22

  gatehouse edge cameras discover --config site.toml      says which are in the site file already
"""

_PROBE = """Examples:

  gatehouse edge cameras probe 192.0.2.64 --user viewer

  gatehouse edge cameras probe rtsp://192.0.2.64/stream2 --user viewer --password-env CAMERA_PASSWORD

  gatehouse edge cameras probe c-east --config site.toml
"""

_MASKS = """Example:

  gatehouse edge cameras masks c-east --config site.toml --write
"""

_SNAPSHOT = """Example:

  gatehouse edge cameras snapshot c-east --config site.toml -o east.jpg --zones
"""


@app.command(epilog=_DISCOVER)
def discover(
    host: Annotated[
        list[str] | None,
        typer.Option("--host", help="Ask this address alone, where multicast does not reach; may be repeated."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.5, max=60, help="Seconds to listen for answers.")] = 4.0,
    config: _OptionalConfig = None,
) -> None:
    """List the ONVIF cameras of the networks that this machine is in.

    Asks by multicast (WS-Discovery, UDP port 3702), which routers do not pass on: for cameras in another network give
    their addresses with --host. A camera that does not answer may have discovery or ONVIF switched off in its settings;
    `probe` may find it all the same. Exit status: 0, or 1 if nothing answers.
    """
    from edge.cameras.discovery import Search

    known = _known_hosts(read_site(config)) if config is not None else {}
    search = Search()
    try:
        with progress_bar(timeout, "listening") as bar:
            found = search.at(host, timeout, bar.reach) if host else search.everywhere(timeout, bar.reach)
    except OSError as error:
        fail(f"the network cannot be asked: {error.strerror or error}", 1)
    if not found.matches:
        where = ", ".join(host or found.networks)
        fail(f"no camera answers ({where}); is ONVIF on in its settings? try: gatehouse edge cameras probe ADDRESS", 1)
    rows: list[tuple[str, ...]] = [("address", "name", "model", "location", *(("in the site file",) if config else ()))]
    for each in sorted(found.matches, key=_by_address):
        row = (each.address, each.name or "-", each.hardware or "-", each.location or "-")
        rows.append((*row, *((known.get(each.host, "-"),) if config else ())))
    print_table(rows)
    tell(f"{len(found.matches)} found; next: gatehouse edge cameras probe ADDRESS --user NAME")


@app.command(epilog=_PROBE)
def probe(
    camera: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS|CAMERA",
            help="An IP address or host (:port), a stream's address, or an id.",
        ),
    ],
    config: _OptionalConfig = None,
    user: Annotated[str | None, typer.Option("--user", help="The camera account's name.")] = None,
    password_env: Annotated[
        str | None, typer.Option("--password-env", metavar="NAME", help="The environment variable with its password.")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help="The file with its password, of mode 600.")
    ] = None,
    https: Annotated[
        bool, typer.Option("--https", help="Speak ONVIF over HTTPS; its certificate must be trusted.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=2, max=60, help="How long each stream is watched.")] = 8.0,
) -> None:
    """Ask a camera for its streams over ONVIF, watch each, and say what is good and bad about it.

    Prints the lines for the site file. Without --password-env and --password-file the password is asked for; it stands
    in no shell history and is shown nowhere. Exit status: 0 if a stream can be read, else 1; 2 for a fault in what was
    asked.
    """
    from edge.cameras.advice import verdicts
    from edge.cameras.probing import choose

    if config is not None:
        target = _configured(camera, config)
    else:
        target = _given(camera, user, _password(user, password_env, password_file), https)
    answers = _asked(target)
    streams = _watched(target, answers, seconds)
    _print_streams(streams)
    best, main = choose(streams)
    if best is None or best.measured is None:
        fail("no stream can be read", 1)
    print(f"\nfor analysis: {best.url}")
    _print_verdicts(verdicts(best.measured))
    print(f"\nfor the site file:\n\n{_site_lines(target, answers, best, main)}")


@app.command(epilog=_SNAPSHOT)
def snapshot(
    camera: Annotated[str, typer.Argument(metavar="CAMERA", help="The camera's id in the site file.")],
    config: ConfigOption,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The JPEG that is written.")],
    zones: Annotated[bool, typer.Option("--zones", help="Draw the camera's zones on it.")] = False,
) -> None:
    """Write one picture of a camera, as the gateway sees it, to a file.

    Exit status: 0, or 1 if the camera gives no picture.
    """
    from edge.cameras.still import take_still
    from edge.video.errors import VideoError

    which = camera_of(read_site(config), camera, config)
    try:
        still = take_still(which, with_zones=zones)
    except VideoError as error:
        fail(f"camera {which.id} at {which.address}: {error}", 1)
    try:
        output.write_bytes(still.data)
    except OSError as error:
        fail(f"{output}: {error.strerror}", 1)
    tell(f"{output}: {still.width}x{still.height}")


@app.command(epilog=_MASKS)
def masks(
    camera: Annotated[str, typer.Argument(metavar="CAMERA", help="The camera's id in the site file.")],
    config: ConfigOption,
    write: Annotated[bool, typer.Option("--write", help="Set in the camera what is missing there.")] = False,
) -> None:
    """Compare a camera's own privacy masks with its privacy_mask in the site file, and set them there by choice.

    A mask in the camera hides its part in every stream, live and recorded; the gateway's own is painted over pictures
    alone. Masks that somebody else set stay. Exit status: 0 if the camera has every mask; 1 if not, or if it takes none
    over ONVIF; 2 for a fault in the site file.
    """
    from edge.cameras.address import address_of, password_of
    from edge.cameras.masks import compare
    from edge.cameras.masks import write as write_masks
    from edge.cameras.onvif_camera import OnvifCamera
    from edge.clock import SystemClock
    from edge.onvif.client import OnvifClient, Refused, Unauthorised, Unreachable, Untrusted
    from edge.video.errors import VideoError
    from protocols.base import ProtocolError

    which = camera_of(read_site(config), camera, config)
    address = address_of(which)
    if address is None or not which.privacy_mask:
        fail(f"{config}: camera {camera} has no privacy_mask" if address else f"camera {camera} is no camera", 2)
    try:
        with OnvifClient(address, password_of(which), SystemClock()) as client:
            client.connect()
            there = OnvifCamera(client, address.host)
            source = there.source()
            done = (write_masks if write else compare)(there, source, which.privacy_mask)
    except (Unreachable, Untrusted, Unauthorised, Refused, ProtocolError) as error:
        fail(str(error), 1)
    except VideoError as error:
        fail(str(error), 2)
    news = f"{done.written} set now" if write else f"{done.written} missing"
    count = len(which.privacy_mask)
    print(f"{camera}: {done.there} of {count} masks were in the camera; {news}; {done.others} of others left alone")
    if done.written and not write:
        tell("to set them: add --write")
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Target:
    """What is probed: an ONVIF service, single streams, or both."""

    name: str
    address: "CameraAddress | None"
    username: str | None
    password: str = field(repr=False)
    onvif_password: str = field(repr=False)
    urls: tuple[str, ...] = ()
    is_configured: bool = False
    over_udp: bool = False


def _configured(camera: str, config: Path) -> _Target:
    from edge.cameras.address import address_of, password_of
    from edge.video.address import Transport
    from edge.video.errors import VideoError

    which = camera_of(read_site(config), camera, config)
    try:
        stream, onvif = which.password() or "", password_of(which)
        return _Target(
            which.id, address_of(which), which.username, stream, onvif, (which.url,), is_configured=True,
            over_udp=which.transport is Transport.UDP,
        )  # fmt: skip
    except VideoError as error:
        fail(str(error), 2)


def _given(camera: str, user: str | None, password: str, https: bool) -> _Target:
    from edge.cameras.address import CameraAddress

    address = camera if "://" in camera else f"onvif://{camera}"
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host:
        fail(f'"{camera}" is no address; write 192.0.2.64, 192.0.2.64:8000 or rtsp://192.0.2.64:554/stream2', 2)
    if parts.username is not None:
        fail("an address with an account in it stands in the shell's history: use --user and --password-env", 2)
    is_page = parts.scheme in ("http", "https") and parts.path.strip("/") and not parts.path.startswith("/onvif/")
    if parts.scheme in ("rtsp", "rtsps") or is_page:
        return _Target(host, None, user, password, password, (camera,))
    secure = https or parts.scheme == "https"
    where = CameraAddress(host, port or (443 if secure else 80), user, secure)
    return _Target(host, where, user, password, password)


def _password(user: str | None, env: str | None, file: Path | None) -> str:
    from edge.access.secret_files import read_secret

    if user is None:
        return ""
    if env is not None:
        if env not in os.environ:
            fail(f"the environment variable {env} is not set", 2)
        return os.environ[env]
    if file is None:
        return str(typer.prompt("Password", hide_input=True))
    try:
        return read_secret(file)
    except (OSError, ValueError) as error:
        fail(f"{file}: {getattr(error, 'strerror', None) or error}", 2)


def _asked(target: _Target) -> "Answers | None":
    """What it says over ONVIF, printed; None where it says nothing, and why."""
    from edge.cameras.advice import clock_verdict
    from edge.cameras.probing import ask
    from edge.clock import SystemClock
    from edge.onvif.client import Refused, Unauthorised, Unreachable, Untrusted

    if target.address is None:
        return None
    try:
        answers = ask(target.address, target.onvif_password, SystemClock())
    except (Unreachable, Untrusted, Unauthorised, Refused) as error:
        tell(f"no ONVIF: {error}")
        if not target.urls:
            fail("switch ONVIF on at the camera, or give its stream: gatehouse edge cameras probe rtsp://...", 1)
        return None
    told = answers.information
    print(f"{target.address.host}: {told.manufacturer} {told.model}, firmware {told.firmware}")
    events = "it tells when something moves" if answers.has_events else "it tells no events: its motion cannot wake us"
    masks = f"it takes {answers.most_masks} privacy masks over ONVIF" if answers.most_masks else ""
    _print_verdicts([clock_verdict(answers.clock_offset_s)])
    print("\n".join(f"  -     {each}" for each in (events, masks) if each))
    return answers


def _watched(target: _Target, answers: "Answers | None", seconds: float) -> "list[StreamFound]":
    from edge.cameras.probing import StreamFound, watch
    from edge.video.address import Transport
    from protocols.onvif_media import MediaProfile

    offers = answers.offers if answers is not None else ()
    found = [StreamFound(each.profile.name, each.profile, None, each.why_not) for each in offers if not each.stream_uri]
    wanted: list[tuple[str, MediaProfile | None]] = [
        (each.stream_uri, each.profile) for each in offers if each.stream_uri
    ]
    offered = {_without_query(url) for url, _ in wanted}
    wanted += [(url, None) for url in target.urls if _without_query(url) not in offered]
    with progress_bar(seconds * len(wanted), "watching") as bar:
        for index, (url, profile) in enumerate(wanted):
            began_s = index * seconds
            progress = lambda at_s, began_s=began_s: bar.reach(began_s + at_s)  # noqa: E731
            over_udp = target.over_udp and url in target.urls
            transport = Transport.UDP if over_udp else Transport.TCP
            found.append(watch(url, target.username, target.password, seconds, profile, progress, transport))
    return found


def _print_streams(streams: "list[StreamFound]") -> None:
    rows: list[tuple[str, ...]] = [
        ("profile", "codec", "size", "frames/s", "keyframe every", "kbit/s", "opens in", "address")
    ]
    for each in streams:
        name, is_ = each.profile.name if each.profile else "-", each.measured
        if is_ is None:
            rows.append((name, "-", "-", "-", "-", "-", "-", f"{each.url}: {each.fault}"))
            continue
        every = f"{is_.keyframe_every_s:.2g} s" if is_.keyframe_every_s is not None else f"over {is_.seconds:.0f} s"
        numbers = f"{is_.fps:.3g}", every, f"{is_.bitrate_kbps:.0f}", f"{is_.opened_s:.1f} s"
        rows.append((name, is_.codec, f"{is_.width}x{is_.height}", *numbers, each.url))
    print_table(rows)


def _print_verdicts(found: "list[Verdict]") -> None:
    for each in found:
        print(f"  {'good' if each.good else 'BAD '}  {each.sentence}")


def _site_lines(target: _Target, answers: "Answers | None", best: "StreamFound", main: "StreamFound | None") -> str:
    from edge.cameras.advice import camera_id, site_lines

    main_url = main.url if main is not None else None
    model = answers.information.model if answers is not None else ""
    identity = target.name if target.is_configured else camera_id(model or target.name)
    if answers is None or target.address is None:
        return site_lines(identity, best.url, target.username, main_url=main_url)
    port, https = target.address.port, target.address.https
    return site_lines(identity, best.url, target.username, main_url=main_url, onvif_port=port, https=https)


def _known_hosts(site: "SiteConfig") -> dict[str, str]:
    return {each.parts.hostname or "": each.id for each in site.video.cameras}


def _by_address(match: "Match") -> tuple[int, int, int]:
    number = ip_address(match.host.partition("%")[0])
    return number.version, int(number), match.port


def _without_query(url: str) -> str:
    return url.partition("?")[0].rstrip("/")
