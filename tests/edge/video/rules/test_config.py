"""What a site may and may not say about lines and rules, and that faults name camera, rule and key."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edge.config import load_config
from edge.errors import ConfigurationError
from edge.video.config import CameraConfig, VideoConfig
from edge.video.rules.config import KINDS, RULES, LineConfig
from tests.edge.video.rules.scenes import LEFT_HALF, UPRIGHT

DOCS = (Path(__file__).parents[4] / "docs" / "video.md").read_text(encoding="utf-8")
BASE = {"id": "c-east", "place": "gate-east", "url": "rtsp://10.0.0.5/x", "zone": [LEFT_HALF], "line": [UPRIGHT]}


def made(*rules: dict[str, Any], **more: Any) -> CameraConfig:
    return CameraConfig.model_validate(BASE | {"rule": list(rules)} | more)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"id": "r", "kind": "loitering", "zone": "z-right"}, 'rule "r": there is no zone "z-right" .*z-left'),
        ({"id": "r", "kind": "line_crossing", "line": "l-x"}, 'rule "r": there is no line "l-x" .*l-door'),
        (
            {"id": "r", "kind": "line_crossing", "line": "l-door", "directions": ["up"]},
            'no direction .* "up" .*out, in',
        ),
        ({"id": "r", "kind": "forbidden", "line": "l-door", "zone": "z-left"}, 'rule "r": give zone or line'),
        ({"id": "r", "kind": "forbidden", "directions": ["in"]}, 'rule "r": directions needs a line'),
        ({"id": "r", "kind": "tailgating", "door": "d"}, 'rule "r": needs a line, or else a zone'),
        ({"id": "r", "kind": "tailgating", "door": "d", "line": "l-door"}, "line and direction go together"),
        ({"id": "r", "kind": "tailgating", "door": "d", "line": "l-door", "direction": "up"}, 'no direction .* "up"'),
        ({"id": "r", "kind": "tailgating", "door": "d", "zone": "z-left", "strict_exit": True}, "needs a line"),
        ({"id": "r", "kind": "crowd", "persons": 1}, "greater than or equal to 2"),
        ({"id": "r", "kind": "crowd", "line": "l-door"}, "Extra inputs"),
        ({"id": "r", "kind": "loitering", "hours": ["always"]}, "are no hours; write"),
        ({"id": "r", "kind": "gossip"}, "'forbidden', 'loitering'"),
        ({"id": "r"}, "Unable to extract tag"),
    ],
)
def test_faults_are_named(rule: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        made(rule)


def test_two_rules_or_lines_with_one_id_are_refused() -> None:
    one = {"id": "r", "kind": "crowd"}
    with pytest.raises(ValidationError, match='"r" is used twice'):
        made(one, one)
    with pytest.raises(ValidationError, match="two lines"):
        made(line=[UPRIGHT, UPRIGHT])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"points": [[0.5, 0.5], [0.5, 0.5]]}, "one point"),
        ({"to_left": "in"}, "different names"),
        ({"points": [[0, 0]]}, "line.0.points"),
    ],
)
def test_a_line_needs_two_ends_and_two_directions(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        made(line=[UPRIGHT | change])


SITE = """
[[reader_bus]]
id = "bus"
port = "/dev/ttyS0"
[[reader]]
id = "r-in"
bus = "bus"
address = 0
scbk_file = "/keys/r.key"
[[door]]
id = "d-east"
place = "gate-east"
readers = ["r-in"]
strike = { reader = "r-in", output = 0 }
[[camera]]
id = "c-east"
place = "gate-east"
url = "rtsp://10.0.0.5/x"
[[camera.zone]]
id = "z-door"
polygon = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]
[[camera.rule]]
id = "r-tail"
kind = "tailgating"
door = "d-east"
zone = "z-door"
"""


def faults_of(text: str, tmp_path: Path) -> list[str]:
    path = tmp_path / "site.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_config(path, with_keys=False)
    return [str(fault).removeprefix(f"{path}:") for fault in caught.value.faults]


def test_a_sound_site_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(SITE)
    [rule] = load_config(path, with_keys=False).video.cameras[0].rules
    assert (rule.id, rule.kind) == ("r-tail", "tailgating")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('door = "d-east"', 'door = "d-west"', '25: camera[0].rule[0].door: rule "r-tail": there is no door "d-west"'),
        ('door = "d-east"', 'door = "d-east"\nreaders = ["r-x"]', "26: camera[0].rule[0].readers: rule"),
        ('zone = "z-door"', 'zone = "z-x"', '26: camera[0].rule[0].zone: rule "r-tail": there is no zone "z-x"'),
        ('zone = "z-door"', 'zone = "z-door"\nwindow_s = 0', "27: camera[0].rule[0].window_s: Input should be greater"),
        ('kind = "tailgating"', 'kind = "tailgate"', "22: camera[0].rule[0]: Input tag 'tailgate'"),
    ],
)
def test_faults_name_line_camera_rule_and_key(old: str, new: str, says: str, tmp_path: Path) -> None:
    assert [fault[: len(says)] for fault in faults_of(SITE.replace(old, new), tmp_path)] == [says]


@pytest.mark.parametrize("model", [LineConfig, *RULES])
def test_every_key_has_a_title_and_a_sentence_and_stands_in_the_documentation(model: type[LineConfig]) -> None:
    for name, field in model.model_fields.items():
        assert f"`{name}`" in DOCS, name
        if name != "kind":
            assert field.title, name
            assert field.description, name
            assert field.description.endswith("."), name


def test_every_kind_of_rule_stands_in_the_documentation_with_an_example_that_is_valid() -> None:
    example = DOCS.split("### An example of each")[1].split("```toml")[1].split("```")[0]
    config = VideoConfig.model_validate(tomllib.loads(example))
    assert {rule.kind for rule in config.cameras[0].rules} == KINDS
    for kind in KINDS:
        assert f"`{kind}`" in DOCS, kind
