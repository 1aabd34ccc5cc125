"""The site file: every fault is named with its key and line, all of them at once."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge.config import load_config
from edge.errors import ConfigurationError
from edge.toml_positions import Positions, dotted
from gatehouse.edge_command import app

SOUND = """\
[gateway]
state_dir = "{state}"
time_zone = "Asia/Shanghai"

[[reader_bus]]
id = "bus1"
port = "/dev/ttyUSB0"

[[reader]]
id = "r-east-in"
bus = "bus1"
address = 0
scbk_file = "{key}"

[[door]]
id = "d-east"
place = "gate-east"
readers = ["r-east-in"]
strike = {{ reader = "r-east-in", output = 0 }}

[[camera]]
id = "c-east"
place = "gate-east"
url = "rtsp://127.0.0.1:8554/east"
[[camera.zone]]
id = "z-door"
polygon = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    key = tmp_path / "reader.key"
    key.write_text("00112233445566778899aabbccddeeff\n")
    key.chmod(0o600)
    path = tmp_path / "site.toml"
    path.write_text(SOUND.format(state=tmp_path, key=key))
    return path


def faults_of(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        load_config(path)
    return [fault.removeprefix(f"{path}:") for fault in raised.value.faults]


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_sound_file_is_read_whole(site: Path, tmp_path: Path) -> None:
    config = load_config(site)
    assert config.gateway.state_dir == tmp_path
    assert [door.id for door in config.access.door] == ["d-east"]
    assert config.video.cameras[0].zones[0].id == "z-door"
    assert (config.http.host, config.http.port) == ("127.0.0.1", 9470)
    assert str(config.zone) == "Asia/Shanghai"


def test_an_empty_file_is_a_gateway_without_doors_and_cameras(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text("")
    config = load_config(path)
    assert config.access.door == ()
    assert config.video.cameras == ()


def test_all_faults_are_named_with_key_and_line(site: Path) -> None:
    change(site, '"Asia/Shanghai"', '"Mars/Base"')
    change(site, "address = 0", "address = 200")
    change(site, 'url = "rtsp://127.0.0.1:8554/east"', 'url = "gopher://x"\nname = "East"')
    change(site, "[0.9, 0.1],", "[0.9, 1.1],")
    site.write_text(site.read_text() + "[outbx]\nquota_mib = 1\n")
    assert [":".join(fault.split(":")[:2]) for fault in faults_of(site)] == [
        "3: gateway.time_zone",
        "12: reader[0].address",
        "24: camera[0].url",
        "25: camera[0].name",
        "28: camera[0].zone[0].polygon[1][1]",
        "29: outbx",
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('bus = "bus1"', 'bus = "bus2"', '11: reader[0].bus: there is no bus "bus2" (there are: bus1)'),
        ('readers = ["r-east-in"]', 'readers = ["r-x"]', '18: door[0].readers[0]: there is no reader "r-x"'),
        ('id = "c-east"', 'id = "d-east"', '22: camera[0].id: "d-east" is already the id of a door'),
        ('place = "gate-east"\nurl', "url", "21: camera[0].place: is missing"),
        ("[gateway]", "[gateway]\ncolour = 1", "2: gateway.colour: there is no such key"),
        ("[gateway]", '[http]\nhost = "0.0.0.0"\n[gateway]', "2: http.host: must be a loopback address"),
        ("address = 0", "address = 0\naddress = 1", "13: column 12: Cannot overwrite a value"),
    ],
)
def test_a_fault_is_told_plainly(site: Path, old: str, new: str, fault: str) -> None:
    change(site, old, new)
    assert any(told.startswith(fault) for told in faults_of(site)), faults_of(site)


def test_a_camera_s_password_that_cannot_be_read_is_noted_and_no_fault(site: Path, tmp_path: Path) -> None:
    """The doors go on without it."""
    password = tmp_path / "camera.password"
    account = f'username = "viewer"\npassword_file = "{password}"\n'
    change(site, 'url = "rtsp://127.0.0.1:8554/east"\n', f'url = "rtsp://127.0.0.1:8554/east"\n{account}')

    def told() -> str:
        result = CliRunner().invoke(app, ["check", "--config", str(site)])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert f"note: camera c-east: password file {password}: No such file" in told()
    password.write_text("secret words\n")
    password.chmod(0o644)
    assert "chmod 600" in told()
    password.chmod(0o600)
    assert "note:" not in told()


def test_key_files_are_checked(site: Path, tmp_path: Path) -> None:
    (tmp_path / "reader.key").chmod(0o644)
    assert "13: reader[0].scbk_file" in faults_of(site)[0]
    assert "chmod 600" in faults_of(site)[0]
    (tmp_path / "reader.key").unlink()
    assert "No such file" in faults_of(site)[0]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * (5 * 1024 * 1024)])
def test_what_is_no_site_file_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes(content)
    assert len(faults_of(path)) == 1


def test_the_command_prints_the_faults_and_ends_with_2(site: Path, tmp_path: Path) -> None:
    sound = CliRunner().invoke(app, ["check", "--config", str(site)])
    assert sound.exit_code == 0
    assert "1 doors, 1 readers, 1 cameras" in sound.output
    change(site, "address = 0", "address = -1")
    faulty = CliRunner().invoke(app, ["check", "--config", str(site)])
    assert faulty.exit_code == 2
    assert f"{site}:12: reader[0].address" in faulty.output
    missing = CliRunner().invoke(app, ["--config", str(tmp_path / "nothing.toml")])
    assert missing.exit_code == 2
    assert "No such file" in missing.output


def test_positions_in_every_form_of_toml() -> None:
    text = (
        """\
# a [comment] = "here"
title = 'it''s'  # }
a.b."c d" = 1
[table]
text = \"\"\"one
# two = 2 ]
"""
        + '"""'
        + """
list = [ 1,
  [2, 3], # x
  { k = 4, m = "}" } ]
[[row]]
id = 1
[[row.sub]]
id = 2
[[row]]
id = 3
  [row.part]
  deep = { x = { y = 1979-05-27T07:32:00Z } }
"""
    )
    text = text.replace("'it''s'", "'its'")
    tomllib.loads(text)
    lines = Positions(text)
    expected = {
        ("title",): 2,
        ("a", "b", "c d"): 3,
        ("table",): 4,
        ("table", "text"): 5,
        ("table", "list"): 8,
        ("table", "list", 1, 1): 9,
        ("table", "list", 2, "m"): 10,
        ("row", 0): 11,
        ("row", 0, "sub", 0, "id"): 14,
        ("row", 1, "id"): 16,
        ("row", 1, "part"): 17,
        ("row", 1, "part", "deep", "x", "y"): 18,
        ("row", 1, "nothing"): 15,
        ("nothing",): 1,
    }
    assert {path: lines.line(path) for path in expected} == expected
    assert dotted(("camera", 0, "zone", 1, "id")) == "camera[0].zone[1].id"


_NAMES = st.text("abc-_ é\"'#=]", min_size=1, max_size=5)
_VALUES = st.one_of(st.integers(), st.booleans(), st.text("ab\"'\\#\n[]{},=", max_size=8))


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def written(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    return str(value).lower()


@given(st.lists(st.tuples(_NAMES, st.dictionaries(_NAMES, _VALUES, max_size=4)), max_size=5))
def test_every_key_is_found_where_it_was_written(tables: list[tuple[str, dict[str, object]]]) -> None:
    lines: list[str] = []
    where: dict[tuple[str | int, ...], int] = {}
    counts: dict[str, int] = {}
    for name, pairs in tables:
        index = counts.get(name, 0)
        counts[name] = index + 1
        lines.append(f"[[{quoted(name)}]] # note")
        where[(name, index)] = len(lines)
        for key, value in pairs.items():
            lines.append(f"  {quoted(key)} = {written(value)}")
            where[(name, index, key)] = len(lines)
    text = "\n".join(lines)
    tomllib.loads(text)
    positions = Positions(text)
    assert {path: positions.line(path) for path in where} == where
