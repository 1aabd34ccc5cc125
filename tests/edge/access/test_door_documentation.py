"""The examples of `docs/doors` are configurations that the gateway takes."""

import re
import tomllib
from pathlib import Path

import pytest

from edge.access.config import AccessConfig

DOCS = Path(__file__).resolve().parents[3] / "docs" / "doors"


@pytest.mark.parametrize("make", ["modbus", "onvif"])
def test_the_example_is_sound(make: str) -> None:
    examples = re.findall(r"```toml\n(.*?)```", (DOCS / f"{make}.md").read_text(), re.DOTALL)

    config = AccessConfig.model_validate(tomllib.loads("\n".join(examples)))

    assert [device.kind for device in config.device] == [make]


@pytest.mark.parametrize("make", ["modbus", "onvif"])
def test_the_keys_that_are_commented_out_are_there(make: str) -> None:
    text = "\n".join(re.findall(r"```toml\n(.*?)```", (DOCS / f"{make}.md").read_text(), re.DOTALL))
    optional = "\n".join(re.findall(r"^# (\w+ = [^#\n]+)", text, re.MULTILINE))
    sound = tomllib.loads(text)["device"][0]

    row = {**sound, **tomllib.loads(optional)}

    assert len(row) > len(sound)
    AccessConfig.model_validate({**tomllib.loads(text), "device": [row]})
