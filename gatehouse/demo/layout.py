"""Where the demo's files lie, what stands in the compound (five doors of three makes, three cameras) and around it."""

from dataclasses import dataclass
from pathlib import Path

GATEWAY = "anning"
VILLAGE, TOWNSHIP, DISTRICT = "520402-01-01", "520402-01", "520402"
"""Places of the seed (`gatehouse hub seed --scale village`) in which the demo's compounds lie."""
GRID = f"{VILLAGE}-0101"
"""The grid of the seed to which the demo's compounds belong."""
MARKER = "this folder is made by 'gatehouse demo' and may be deleted"


@dataclass(frozen=True)
class DemoDoor:
    """A door with its reader and the place where it stands."""

    id: str
    reader: str
    name: str
    place: str
    place_name: str
    group: str


@dataclass(frozen=True)
class DemoCamera:
    """A camera and the clip that its RTSP server plays."""

    id: str
    place: str
    place_name: str
    clip: str


@dataclass(frozen=True)
class PlayedGate:
    """A gateway that is played, and the place of its one door."""

    gateway: str
    place: str
    name: str


DOORS = (
    DemoDoor("d-east", "r-east", "东门人行门", "gate-east", "东门", "residents"),
    DemoDoor("d-north", "r-north", "北门人行门", "gate-north", "北门", "residents"),
    DemoDoor("d-b1u1", "r-b1u1", "1栋1单元门", "lobby-b1u1", "1栋1单元门厅", "b1u1"),
)
"""Doors with OSDP readers, each on a line of its own."""
BOARD_DOOR = DemoDoor("d-west", "r-west", "西门人行门", "gate-west", "西门", "west")
"""A door of a UHPPOTE board."""
LOBBY_DOOR = DemoDoor("d-lobby", "r-lobby", "物业大厅门", "lobby-office", "物业大厅", "lobby")
"""A door with a QR reader and a keypad of no make (`edge/access/drivers/virtual`)."""
PLAYED_GATES = (
    PlayedGate("cunkou", f"{VILLAGE}-gate", "村口"),
    PlayedGate("shanjing", "shanjing-gate", "山景小区大门"),
)
"""Gateways of two other communities, which say what the demo tells them (`gatehouse/demo/played_gateway.py`)."""
ALL_DOORS = (*DOORS, BOARD_DOOR, LOBBY_DOOR)
CAMERAS = (
    DemoCamera("c-east", "gate-east", "东门", "gate-east.mp4"),
    DemoCamera("c-north", "lane-north", "北侧车道", "lane-covered.mp4"),
    DemoCamera("c-lift", "lift-b1", "1栋电梯厅", "lobby-two-wheelers.mp4"),
)


@dataclass(frozen=True)
class Folder:
    """The demo's files, all under one folder that a new start makes afresh."""

    root: Path

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def hub_state(self) -> Path:
        return self.root / "hub"

    @property
    def hub_configuration(self) -> Path:
        return self.root / "hub.toml"

    @property
    def webhook_key(self) -> Path:
        return self.root / "webhook.key"

    @property
    def gateway_state(self) -> Path:
        return self.state_of(GATEWAY)

    def state_of(self, gateway: str) -> Path:
        return self.root / ("gateway" if gateway == GATEWAY else f"gateway-{gateway}")

    @property
    def site_configuration(self) -> Path:
        return self.root / "site.toml"

    @property
    def rosters(self) -> Path:
        return self.root / "rosters.xlsx"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def register(self) -> Path:
        return self.root / "register.xlsx"

    @property
    def readers_plan(self) -> Path:
        return self.root / "readers.json"

    @property
    def lobby_socket(self) -> Path:
        return self.root / "lobby.sock"

    @property
    def passes(self) -> Path:
        return self.root / "passes"

    @property
    def passwords(self) -> Path:
        return self.root / "passwords"
