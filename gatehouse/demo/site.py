"""Writes what stands in the community: reader keys, the gateway's `site.toml`, the plan of the played readers."""

import os
from collections.abc import Sequence
from pathlib import Path

from gatehouse.demo.camera_rules import rule_lines
from gatehouse.demo.layout import BOARD_DOOR, CAMERAS, DOORS, LOBBY_DOOR, DemoDoor, Folder
from gatehouse.demo.people import Resident
from gatehouse.demo.played_plan import Pacing, Plan, PlayedReader

PACING = Pacing(card_every_s=3.0, unknown_share=0.06, exit_share=0.1, walk_s=0.6, open_s=1.2)
CONTACT_INPUT, EXIT_INPUT, STRIKE_OUTPUT = 0, 1, 0
_STRANGERS = tuple(f"w26:99:{number}" for number in range(50, 60))


def bus_path(folder: Folder, door: DemoDoor) -> Path:
    """The link to the pseudo-terminal that stands for a door's serial line."""
    return folder.root / "lines" / door.reader


def make_keys(folder: Folder) -> dict[str, str]:
    """A random OSDP base key (SCBK, 16 bytes as hex) for each reader, in files of mode 600."""
    folder.keys.mkdir(mode=0o700)
    keys = {door.reader: os.urandom(16).hex() for door in DOORS}
    for reader, key in keys.items():
        write_secret(folder.keys / f"{reader}.key", key)
    return keys


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")


def write_site(folder: Folder, rtsp_port: int, http_port: int, board: Sequence[str]) -> None:
    """The gateway's configuration, as a site's installer would write it; `board` are the lines of the UHPPOTE board."""
    parts = [
        "[gateway]",
        f'state_dir = "{folder.gateway_state}"',
        'time_zone = "Asia/Shanghai"',
        'place = "anning"',
        "",
        "[http]",
        f"port = {http_port}",
        "",
        "[keeping]",
        "longest_s = 20",  # a clip is seen while the demo runs, though something happens all the time
    ]
    for door in DOORS:
        parts += _door_lines(folder, door)
    parts += ["", "[[device]]", *board, *_device_door_lines(BOARD_DOOR, "board-west")]
    parts += ["", "[[device]]", 'id = "kiosk"', 'kind = "virtual"', f'socket = "{folder.lobby_socket}"']
    parts += _device_door_lines(LOBBY_DOOR, "kiosk")
    for camera in CAMERAS:
        parts += [
            "",
            "[[camera]]",
            f'id = "{camera.id}"',
            f'place = "{camera.place}"',
            f'url = "rtsp://127.0.0.1:{rtsp_port}/{camera.clip}"',
            "[[camera.zone]]",
            f'id = "z-{camera.id}"',
            "polygon = [[0.05, 0.15], [0.95, 0.15], [0.95, 0.98], [0.05, 0.98]]",
            'classes = ["person", "vehicle"]',
            *rule_lines(camera.id),
        ]
    folder.site_configuration.write_text("\n".join(parts) + "\n")


def write_plan(folder: Folder, keys: dict[str, str], residents: Sequence[Resident]) -> None:
    """Who comes to which door: any resident to the gates, a building's own and a few others to its door."""
    readers = [
        PlayedReader(
            id=door.reader,
            link=bus_path(folder, door),
            address=0,
            scbk_hex=keys[door.reader],
            strike_output=STRIKE_OUTPUT,
            contact_input=CONTACT_INPUT,
            exit_input=EXIT_INPUT,
            cards=tuple(resident.card for resident in _visitors(door, residents)),
            unknown_cards=_STRANGERS,
        )
        for door in DOORS
    ]
    folder.readers_plan.write_text(Plan(readers=tuple(readers), pacing=PACING).model_dump_json(indent=1))


def _visitors(door: DemoDoor, residents: Sequence[Resident]) -> list[Resident]:
    if door.group != "b1u1":
        return list(residents)
    own = [resident for resident in residents if resident.dwelling.unit == door.group]
    others = [resident for resident in residents if resident.dwelling.unit != door.group]
    return own + others[:: len(others) // (len(own) // 8 + 1)]


def _door_lines(folder: Folder, door: DemoDoor) -> list[str]:
    bus = f"bus-{door.reader}"
    return [
        "",
        "[[reader_bus]]",
        f'id = "{bus}"',
        f'port = "{bus_path(folder, door)}"',
        "[[reader]]",
        f'id = "{door.reader}"',
        f'bus = "{bus}"',
        "address = 0",
        f'scbk_file = "{folder.keys / f"{door.reader}.key"}"',
        'card_format = "w26"',
        *_door_table(door),
    ]


def _device_door_lines(door: DemoDoor, device: str) -> list[str]:
    return ["[[reader]]", f'id = "{door.reader}"', f'device = "{device}"', "channel = 1", *_door_table(door)]


def _door_table(door: DemoDoor) -> list[str]:
    return [
        "[[door]]",
        f'id = "{door.id}"',
        f'place = "{door.place}"',
        f'readers = ["{door.reader}"]',
        f'strike = {{ reader = "{door.reader}", output = {STRIKE_OUTPUT} }}',
        f'contact = {{ reader = "{door.reader}", input = {CONTACT_INPUT} }}',
        f'request_to_exit = {{ reader = "{door.reader}", input = {EXIT_INPUT} }}',
        "release_s = 3.0",
        "held_after_s = 20.0",
    ]
