"""Configuration of doors: what is refused, and that the message names the key."""

import copy
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edge.access.config import DEFAULT_OSDP_KEY, AccessConfig, KeyFileFault, read_keys

SITE: dict[str, Any] = {
    "reader_bus": [{"id": "bus1", "port": "/dev/ttyUSB0", "baud_rate": 115200}],
    "reader": [
        {"id": "r1", "bus": "bus1", "address": 0, "scbk_file": "r1.key"},
        {"id": "r2", "bus": "bus1", "address": 1, "scbk_file": "r2.key", "card_format": "w34"},
    ],
    "door": [
        {
            "id": "d1",
            "place": "gate-east",
            "readers": ["r1", "r2"],
            "strike": {"reader": "r1", "output": 0},
            "contact": {"reader": "r1", "input": 0},
            "request_to_exit": {"reader": "r1", "input": 1},
        }
    ],
}


def site(change: dict[str, Any] | None = None) -> dict[str, Any]:
    """The sound site with some keys changed, each named by its dotted path."""
    made = copy.deepcopy(SITE)
    for path, value in (change or {}).items():
        *steps, last = path.split(".")
        target: Any = made
        for step in steps:
            target = target[int(step)] if step.isdigit() else target[step]
        target[int(last) if last.isdigit() else last] = value
    return made


def test_a_sound_site_is_read_with_its_defaults() -> None:
    config = AccessConfig.model_validate(site())

    assert (config.door[0].release_s, config.door[0].held_after_s, config.door[0].relock) == (5.0, 30.0, "open")
    assert config.place_of("r2") == "gate-east"
    assert [reader.id for reader in config.readers_of("bus1")] == ["r1", "r2"]


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"reader.0.bus": "bus9"}, "reader.0.bus", 'there is no bus "bus9" (there are: bus1)'),
        ({"reader.1.address": 0}, "reader.1.address", '0 is that of reader "r1" on the same bus'),
        ({"reader.1.id": "r1"}, "reader.1.id", '"r1" is used twice'),
        ({"door.0.strike": {"reader": "r9", "output": 0}}, "door.0.strike.reader", 'there is no reader "r9"'),
        ({"door.0.contact": {"reader": "r9", "input": 0}}, "door.0.contact.reader", 'there is no reader "r9"'),
        ({"door.0.readers": ["r1", "r9"]}, "door.0.readers.1", 'there is no reader "r9"'),
        ({"door.0.readers": ["r1"]}, "reader.1.id", 'no door names reader "r2"'),
        ({"door.0.request_to_exit": {"reader": "r1", "input": 0}}, "door.0.request_to_exit.reader", "already serves"),
        ({"reader_bus.0.id": "bus2"}, "reader_bus.0.id", 'no reader is on bus "bus2"'),
    ],
)
def test_a_cross_reference_that_fails_names_the_key(change: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        AccessConfig.model_validate(site(change))

    (error,) = raised.value.errors()
    assert error["type"] == "reference"
    assert path in [fault[0] for fault in error["ctx"]["faults"]]
    assert words in error["msg"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"door.0.colour": "green"}, ("door", 0, "colour")),
        ({"reader.0.key": "00"}, ("reader", 0, "key")),
        ({"reader.0.address": 127}, ("reader", 0, "address")),
        ({"reader_bus.0.baud_rate": 1200}, ("reader_bus", 0, "baud_rate")),
        ({"door.0.release_s": 0}, ("door", 0, "release_s")),
        ({"door.0.readers": []}, ("door", 0, "readers")),
    ],
)
def test_an_unknown_key_or_a_value_out_of_bounds_is_refused_where_it_stands(
    change: dict[str, Any], where: tuple[str | int, ...]
) -> None:
    with pytest.raises(ValidationError) as raised:
        AccessConfig.model_validate(site(change))

    assert raised.value.errors()[0]["loc"] == where


def test_a_bus_has_32_readers_at_most() -> None:
    readers = [{"id": f"r{n}", "bus": "bus1", "address": n, "scbk_file": "k"} for n in range(33)]
    doors = [
        {"id": f"d{n}", "place": "p", "readers": [f"r{n}"], "strike": {"reader": f"r{n}", "output": 0}}
        for n in range(33)
    ]

    with pytest.raises(ValidationError, match="33 readers; a bus has 32 at most"):
        AccessConfig.model_validate({**site(), "reader": readers, "door": doors})


def key_file(folder: Path, name: str, text: str, mode: int = 0o600) -> str:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_keys_are_read_by_reader(tmp_path: Path) -> None:
    keys = [os.urandom(16), os.urandom(16)]
    files = [key_file(tmp_path, f"k{n}", key.hex() + "\n") for n, key in enumerate(keys)]
    config = AccessConfig.model_validate(site({"reader.0.scbk_file": files[0], "reader.1.scbk_file": files[1]}))

    assert read_keys(config) == {"r1": keys[0], "r2": keys[1]}


def test_every_bad_key_file_is_named_with_its_remedy(tmp_path: Path) -> None:
    good = key_file(tmp_path, "good", os.urandom(16).hex())
    cases = {
        str(tmp_path / "missing"): "No such file",
        key_file(tmp_path, "open", os.urandom(16).hex(), 0o644): "chmod 600",
        key_file(tmp_path, "short", "abcd"): "32 hex digits",
        key_file(tmp_path, "words", "no hex at all"): "32 hex digits",
        key_file(tmp_path, "default", DEFAULT_OSDP_KEY.hex()): "default key",
    }
    for path, words in cases.items():
        config = AccessConfig.model_validate(site({"reader.0.scbk_file": good, "reader.1.scbk_file": path}))

        with pytest.raises(KeyFileFault, match=words) as raised:
            read_keys(config)

        assert [fault.path for fault in raised.value.faults] == ["reader.1.scbk_file"]
        assert path in str(raised.value)
