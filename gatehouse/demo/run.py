"""Puts the demo up as a site is put up: hub, register, gateway, readers and cameras; then watches it."""

import contextlib
import io
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO

import httpx
from rich.console import Console
from rich.live import Live

from edge.access.drivers.virtual.driver import ALLOW_VARIABLE
from gatehouse.demo import city, site
from gatehouse.demo.administrator import recovery_codes
from gatehouse.demo.channels import Channels
from gatehouse.demo.ladder import Standing, auditors_report, channels_report, standing, views
from gatehouse.demo.layout import BOARD_DOOR, DOORS, GATEWAY, LOBBY_DOOR, MARKER, PLAYED_GATES, Folder
from gatehouse.demo.people import ALONE_BY_CONSENT, RESIDENT_COUNT, Resident, lease_has_ended, residents
from gatehouse.demo.played_board import FakeBoard
from gatehouse.demo.played_gateway import PlayedGateway
from gatehouse.demo.processes import Child, Children, DemoError, free_port, gatehouse, python
from gatehouse.demo.register import write_rosters, write_workbook
from gatehouse.demo.side_doors import Cast, SideDoors, board_table, new_board
from gatehouse.demo.staff import Colleague
from gatehouse.demo.summary import Figures, figures, live_view
from gatehouse.demo.watch import ClipWatch, ConsoleWatch, ReaderWatch, Tally, read_metrics
from protocols.events import ClockState

GUARD = city.GUARD
_WATCHER = "demo-watch"
_START_S = 60.0
_COMMAND_S = 120.0
_REFRESH_S = 0.5
_AT_ONCE = 3


@dataclass(frozen=True)
class _Addresses:
    console: str
    health: str
    rtsp_port: int
    health_port: int


@dataclass(frozen=True)
class _Played:
    """What is played in this process, and what is counted."""

    board: FakeBoard
    channels: Channels
    tally: Tally


@dataclass(frozen=True)
class _Up:
    """What runs: where, who comes to the doors, and where the cameras' clips are."""

    addresses: _Addresses
    cast: Cast
    clips: ClipWatch


def run_demo(root: Path, duration_s: float, port: int, json_file: Path | None) -> bool:
    """Run the demo for `duration_s` (0: until Ctrl-C); whether the whole path worked.

    Raises:
        DemoError: if a part does not come up, or ends early.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a log file shows each step as it happens
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: leave no process behind
    console = Console()
    folder = _fresh_folder(root)
    children = Children(folder.logs)
    try:
        with contextlib.ExitStack() as stack:
            stack.callback(children.stop)
            played = _Played(stack.enter_context(new_board()), stack.enter_context(Channels()), Tally())
            up = _put_up(console, folder, children, port, played)
            side_doors = SideDoors(played.board, up.clips, folder.lobby_socket, up.cast)
            stack.callback(side_doors.stop)
            side_doors.start()
            staff = _staff(up.addresses, folder)
            stack.callback(staff.close)
            holders = _let_it_happen(console, folder, staff, stack)
            watch = stack.enter_context(_watching(up.addresses, folder, played.tally))
            last = _watch(console, children, _Watched(up.addresses, played, side_doors, staff), duration_s)
            if watch.failure:
                raise DemoError(f"the console's live stream broke: {watch.failure}")
            if side_doors.failure:
                raise DemoError(side_doors.failure)
            _show_alarms(console, folder, staff, holders)
    except KeyboardInterrupt:
        console.print("stopped before it was up")
        return False
    return _conclude(console, last, json_file)


def _put_up(console: Console, folder: Folder, children: Children, port: int, played: _Played) -> _Up:
    health_port = free_port()
    addresses = _Addresses(
        f"http://127.0.0.1:{free_port(port)}", f"http://127.0.0.1:{health_port}", free_port(), health_port
    )
    people = residents(date.today())  # noqa: DTZ011 (leases end by the calendar of whoever looks on)
    _step(console, "a village of Anshun is made up: its places, grids, joint-household units, their heads and members")
    _write_hub_configuration(folder, addresses, played.channels)
    _hub(folder, "seed", "--scale", "village")
    _step(console, f"a made-up register of {RESIDENT_COUNT:,} residents of a compound in it is written and imported")
    codes = {gateway: _hub(folder, "gateways", "add", gateway).strip() for gateway in _gateways()}
    write_workbook(folder.register, people)
    _hub(folder, "import", str(folder.register))
    _step(console, "staff of four levels, an auditor and an administrator get accounts; four are on duty by a roster")
    _make_accounts(folder)
    write_rosters(folder.rosters, ((name, role, place) for name, role, place in city.ACCOUNTS if place))
    _hub(folder, "duty", "import", str(folder.rosters))
    _agree_on_care(folder)
    _step(console, "the hub starts, with its own broker and SQLite; a program takes its webhooks, its mail is refused")
    children.start("hub", gatehouse("hub", "--config", str(folder.hub_configuration)))
    children.wait_until("the hub", lambda: _answers(f"{addresses.console}/healthz"), _START_S)
    _step(console, "the gateways are enrolled with their one-time codes")
    for gateway, code in codes.items():
        _enrol(folder, addresses, gateway, code)
    _step(console, "a guest gets a pass, a resident a PIN and a duress PIN")
    cast = _cast(folder, people)
    _step(console, "three cameras (RTSP), three OSDP readers, a UHPPOTE board and a QR reader with keys are played")
    keys = site.make_keys(folder)
    site.write_site(folder, addresses.rtsp_port, addresses.health_port, board_table(played.board, free_port()))
    site.write_plan(folder, keys, people)
    clips = ClipWatch(_output_of(children.start("cameras", _rtsp_server(addresses.rtsp_port), gives_output=True)))
    readers = _play_readers(folder, children, played.tally)
    _step(console, "the gateway starts")
    os.environ[ALLOW_VARIABLE] = "1"  # a made-up device, for this demo alone
    children.start("gateway", gatehouse("edge", "--config", str(folder.site_configuration)))
    children.wait_until("the gateway", lambda: _answers(f"{addresses.health}/healthz"), _START_S)
    children.wait_until("the readers' secure channels", lambda: len(readers.secure) == len(DOORS), _START_S)
    guard_password = (folder.passwords / GUARD).read_text().strip()
    console.print(
        f"\n  Console:  [bold]{addresses.console}[/bold]    log in as [bold]{GUARD}[/bold] / {guard_password}\n"
        f"  The administrator's password and codes for nine log-ins: {folder.passwords}/{city.ADMINISTRATOR}, -codes\n"
    )
    return _Up(addresses, cast, clips)


def _cast(folder: Folder, people: Sequence[Resident]) -> Cast:
    """Make a guest's pass and two PINs for the lobby, and say that the board keeps a list of its own."""
    today = date.today()  # noqa: DTZ011 (as the register)
    host = next(person for person in people if person.until is None)
    found = json.loads(_hub(folder, "doors", "residents", host.dwelling.code, "--json"))
    person, door = str(found[0]["id"]), f"{GATEWAY}/{LOBBY_DOOR.id}"
    guest = ("--kind", "guest", "--host", person, "--label", "亲友来访", "--hours-long", "12", "--door", door)
    folder.passes.mkdir(mode=0o700)
    made = json.loads(_hub(folder, "doors", "pass", "make", *guest, "--folder", str(folder.passes), "--json"))
    pins = [f"{secrets.randbelow(10**6):06d}" for _ in range(2)]
    for pin, more in zip(pins, ((), ("--duress",)), strict=True):
        given = ("--person", person, "--kind", "pin", "--group", LOBBY_DOOR.group, *more)
        _hub(folder, "doors", "credential", "add", *given, pin)
    _hub(folder, "doors", "rule", "set", f"{GATEWAY}/{BOARD_DOOR.id}", "--method", "card", "--keeps-list")
    return Cast(
        residents=[each.card for each in people if not lease_has_ended(each, today)],
        former_tenants=[each.card for each in people if lease_has_ended(each, today)],
        guest_code=made["qr_codes"][0]["token"],
        pin=pins[0],
        duress_pin=pins[1],
    )


def _step(console: Console, text: str) -> None:
    console.print(f"[cyan]==>[/cyan] {text}")


def _fresh_folder(root: Path) -> Folder:
    """Remove what an earlier demo left, and nothing else.

    Raises:
        DemoError: if the folder is not one of ours.
    """
    marker = root / "README"
    if root.exists() and any(root.iterdir()) and not (marker.exists() and marker.read_text().startswith(MARKER)):
        raise DemoError(f"{root} holds files that are not the demo's; name another folder with --folder")
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True, mode=0o700)
    marker.write_text(MARKER + "\n")
    return Folder(root)


def _write_hub_configuration(folder: Folder, addresses: _Addresses, channels: Channels) -> None:
    site.write_secret(folder.webhook_key, channels.key)
    folder.hub_configuration.write_text(
        f'state_dir = "{folder.hub_state}"\n[http]\nport = {addresses.console.rpartition(":")[2]}\n[broker]\nport = 0\n'
        + city.LIMITS
        + channels.configuration(folder.webhook_key)
    )


def _make_accounts(folder: Folder) -> None:
    folder.passwords.mkdir(mode=0o700)

    def make(name: str, role: str, place: str | None) -> None:
        path = folder.passwords / name
        site.write_secret(path, secrets.token_urlsafe(12))
        bound = ("--place", place) if place else ()
        _hub(folder, "accounts", "add", name, "--role", role, *bound, "--password-file", str(path))

    accounts = (*city.ACCOUNTS, (_WATCHER, "guard", None))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(make, *zip(*accounts, strict=True)))
    codes = recovery_codes(folder.hub_configuration, city.ADMINISTRATOR)
    site.write_secret(folder.passwords / f"{city.ADMINISTRATOR}-codes", "\n".join(codes))


def _hub(folder: Folder, *arguments: str) -> str:
    return _command("hub", "--config", str(folder.hub_configuration), *arguments)


def _command(*arguments: str, given: str | None = None) -> str:
    """Run a `gatehouse` command to its end; its output.

    Raises:
        DemoError: with what it said, if it failed.
    """
    done = subprocess.run(  # noqa: S603 (every argument is made by the demo)
        gatehouse(*arguments), capture_output=True, text=True, input=given, timeout=_COMMAND_S, check=False
    )
    if done.returncode:
        raise DemoError(f"'gatehouse {' '.join(arguments)}' failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _enrol(folder: Folder, addresses: _Addresses, gateway: str, code: str) -> None:
    target = ("--hub", addresses.console, "--state-dir", str(folder.state_of(gateway)))
    _command("edge", "enroll", *target, given=code + "\n")


def _gateways() -> list[str]:
    return [GATEWAY, *(gate.gateway for gate in PLAYED_GATES)]


def _agree_on_care(folder: Folder) -> None:
    """Somebody who lives alone agreed, two days ago, to be looked after."""
    [person] = json.loads(_hub(folder, "doors", "residents", ALONE_BY_CONSENT, "--json"))
    since = city.care_began(datetime.now(UTC))
    agreed = ("--hours", str(city.CARE_HOURS), "--consent", "演示：已签同意书", "--since", since)
    _hub(folder, "care", "add", str(person["id"]), *agreed)


def _staff(addresses: _Addresses, folder: Folder) -> city.Staff:
    def log_in(name: str, code: str = "") -> Colleague:
        return Colleague(addresses.console, name, (folder.passwords / name).read_text().strip(), code)

    codes = folder.passwords / f"{city.ADMINISTRATOR}-codes"
    first, *rest = codes.read_text().splitlines()
    administrator = log_in(city.ADMINISTRATOR, first)
    codes.write_text("\n".join(rest) + "\n")
    guard, community = log_in(city.GUARD), log_in(city.COMMUNITY)
    return city.Staff(guard, community, log_in(city.DISTRICT_OFFICER), log_in(city.AUDITOR), administrator)


def _let_it_happen(console: Console, folder: Folder, staff: city.Staff, stack: contextlib.ExitStack) -> city.Holders:
    _step(console, "two more communities are played: everything happens there, and nobody takes it on")
    city.hurry(staff.administrator)
    holders = city.give_cards(staff.administrator)
    city.reveal_one(staff.community, holders.person)
    near, far = (
        PlayedGateway(folder.state_of(gate.gateway), gate.place, clock)
        for gate, clock in zip(PLAYED_GATES, (ClockState.UNSYNCED, ClockState.SYNCED), strict=True)
    )
    stack.callback(near.leave)
    city.befall(near, far, holders, staff)
    return holders


def _show_alarms(console: Console, folder: Folder, staff: city.Staff, holders: city.Holders) -> None:
    console.print()
    console.print(views(_standing(staff)))
    console.print("\nNotification channels, as an administrator sees them")
    for line in channels_report(staff.administrator.get("/notify/channels")["items"]):
        console.print(f"  {line}", highlight=False)
    verified = _hub(folder, "audit", "verify").strip()
    looks = staff.auditor.get(f"/audit/subjects/{holders.person}")["items"]
    console.print("\nAn auditor's report")
    for line in auditors_report(verified, looks):
        console.print(f"  {line}", highlight=False)


def _standing(staff: city.Staff) -> Standing:
    return standing(staff.guard, staff.district, staff.administrator)


def _rtsp_server(port: int) -> list[str]:
    clips = Path(__file__).parent / "clips"
    return python("-m", "gatehouse.demo.rtsp_server", "--dir", str(clips), "--port", str(port))


def _play_readers(folder: Folder, children: Children, tally: Tally) -> ReaderWatch:
    command = python("-m", "gatehouse.demo.osdp_readers", "--plan", str(folder.readers_plan))
    watch = ReaderWatch(_output_of(children.start("readers", command, gives_output=True)), tally)
    children.wait_until("the played readers", watch.ready.is_set, _START_S)
    return watch


def _output_of(child: Child) -> IO[str]:
    if child.process.stdout is None:
        raise DemoError(f"the {child.name} have no standard output")
    return child.process.stdout


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


@contextlib.contextmanager
def _watching(addresses: _Addresses, folder: Folder, tally: Tally) -> Iterator[ConsoleWatch]:
    password = (folder.passwords / _WATCHER).read_text().strip()
    watch = ConsoleWatch(addresses.console, _WATCHER, password, tally, {door.name: door.reader for door in DOORS})
    try:
        yield watch
    finally:
        watch.close()


@dataclass
class _Watched:
    """What the figures are read from."""

    addresses: _Addresses
    played: _Played
    side_doors: SideDoors
    staff: city.Staff
    is_settled: bool = False

    def measure(self) -> Figures:
        self.is_settled = self.is_settled or city.settle_one(self.staff.guard)
        edge, hub = (read_metrics(f"{url}/metrics") for url in (self.addresses.health, self.addresses.console))
        told = self.played.channels.told
        return figures(edge, hub, self.played.tally, dict(self.side_doors.played), told, _standing(self.staff))


def _watch(console: Console, children: Children, watched: _Watched, duration_s: float) -> Figures:
    begun_s = time.monotonic()
    now = watched.measure()
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        while not duration_s or time.monotonic() - begun_s < duration_s:
            children.check()
            now = watched.measure()
            elapsed_s = time.monotonic() - begun_s
            if console.is_terminal:
                live.update(live_view(now, watched.played.tally, elapsed_s, duration_s), refresh=True)
            time.sleep(_REFRESH_S)
    children.check()
    return now


def _conclude(console: Console, last: Figures, json_file: Path | None) -> bool:
    """Tell the figures; whether each of them shows that its part of the path worked."""
    console.print("\nSummary")
    for label, value in last.lines():
        console.print(
            f"  {label:<40} {value:,}" if isinstance(value, int) else f"  {label:<40} {value}", highlight=False
        )
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(last), indent=1) + "\n")
    zeros = last.zeros()
    if zeros:
        print(f"demo: the path did not work: nothing counted for {', '.join(zeros)}", file=sys.stderr)
        return False
    console.print("The whole path worked.")
    return True
