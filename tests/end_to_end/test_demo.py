"""`gatehouse demo`, as `make demo DURATION=...` runs it."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cloud.alarms.states import Priority
from cloud.rules.book import shipped_rules
from edge.video.rules.config import KINDS
from gatehouse.demo.camera_rules import rule_lines
from gatehouse.demo.layout import CAMERAS


@pytest.mark.timeout(600)
def test_the_demo_counts_every_step_of_the_path_and_ends_by_itself(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "gatehouse.cli", "demo", "--duration", "30"]
    command += ["--folder", str(tmp_path / "demo"), "--port", "0", "--json", str(figures)]
    wide = {**os.environ, "COLUMNS": "160"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=560, check=False, env=wide)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "The whole path worked." in done.stdout
    counted = json.loads(figures.read_text())
    assert counted.pop("outbox") < 50
    assert counted.pop("kinds_missing") == []
    assert counted["kinds_at_district"] == sum(rule.priority != Priority.JOURNAL for rule in shipped_rules())
    [failing] = [line for line in done.stdout.splitlines() if "通知渠道故障" in line]
    assert [cell.strip() for cell in failing.split("│")[2:-1]] == ["2", "-", "-", "1", "district *"]
    assert re.search(r"mail \(email\): has sent nothing; failing since [0-9:]{8}: unreachable; [1-9]", done.stdout)
    assert re.search(r"desk \(webhook\): last sent at [0-9:]{8}; \d+ waiting", done.stdout)
    at_level = counted.pop("alarms_at_level")
    assert at_level[-1] > at_level[0]
    assert counted["alarms_district"] > counted["alarms_guard"]
    assert "An auditor's report" in done.stdout
    assert "community: person.reveal, phone" in done.stdout
    assert all(value > 0 for value in counted.values()), counted
    assert counted["card_reads"] < counted["decisions"]  # PINs and QR codes are decided, too
    codes = (tmp_path / "demo" / "passwords" / "admin-codes").read_text().split()
    assert len(codes) == 9  # the demo itself took one
    clips = list((tmp_path / "demo" / "gateway" / "video" / "clips").glob("*.mp4"))
    assert {path.name.split(".")[1] for path in clips} == {"c-east", "c-north", "c-lift"}


def test_every_kind_of_rule_is_in_the_demo() -> None:
    tables = tomllib.loads("\n".join(line for c in CAMERAS for line in ("[[camera]]", *rule_lines(c.id))))
    assert {rule["kind"] for camera in tables["camera"] for rule in camera["rule"]} == set(KINDS)


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    command = [sys.executable, "-m", "gatehouse.cli", "demo", "--duration", "1", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert "--folder" in done.stderr
    assert (tmp_path / "letter.txt").read_text() == "dear"
