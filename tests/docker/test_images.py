"""What the Dockerfiles promise: pinned bases, nothing foreign inside, no root, no index host.

`docker/verify` builds and runs them; these tests read them.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = sorted((ROOT / "docker").glob("Dockerfile.*"))
STAND_INS = sorted((ROOT / "docker" / "stand-in").glob("Dockerfile.*"))
HUB_ONLY = {"sqlalchemy", "alembic", "fastapi", "starlette", "uvicorn", "psycopg"}
EDGE_ONLY = {"opencv-python-headless", "onnxruntime", "av", "libosdp", "numpy", "lap"}


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """(instruction, rest) with continuation lines joined and comments dropped."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def final_stage(dockerfile: Path) -> list[tuple[str, str]]:
    found = instructions(dockerfile)
    last = max(index for index, (name, _) in enumerate(found) if name == "FROM")
    return found[last:]


def pins(name: str) -> dict[str, str]:
    """Package -> version of one pinned list."""
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return {match[1]: match[2] for line in lines if (match := re.match(r"^([a-z0-9._-]+)==([^ ;]+)", line))}


def test_there_is_an_image_for_each_program() -> None:
    assert [path.name for path in DOCKERFILES] == ["Dockerfile.edge", "Dockerfile.hub"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES + STAND_INS, ids=lambda path: path.name)
def test_bases_are_named_in_full(dockerfile: Path) -> None:
    bases = [rest.split()[0] for name, rest in instructions(dockerfile) if name == "FROM"]
    assert set(bases) == {"docker.io/library/python:3.11-slim-bookworm"}


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_the_final_image_runs_as_a_numbered_user_and_says_when_it_is_well(dockerfile: Path) -> None:
    stage = dict(final_stage(dockerfile))
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", stage["USER"])
    assert "/healthz" in stage["HEALTHCHECK"]
    assert stage["ENTRYPOINT"] == '["gatehouse"]'


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_packages_come_pinned_with_hashes_and_from_the_builders_index(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    for install in re.findall(r"pip .*?install ([^\\&]*)", text):
        assert "--no-deps" in install
        assert "--require-hashes" in install or "--no-index" in install
    assert not re.search(r"https?://(?!127\.0\.0\.1)", text)
    assert not re.search(r"^(ENV|ARG).*(INDEX|FIND_LINKS)", text, re.MULTILINE)


def test_the_hub_image_copies_no_gateway_code_and_installs_none_of_its_packages() -> None:
    copied = {rest.split()[0] for name, rest in instructions(ROOT / "docker" / "Dockerfile.hub") if name == "COPY"}
    assert {"protocols", "cloud", "gatehouse"} <= copied
    assert not {"edge", "models", "."} & copied
    assert not EDGE_ONLY & pins("hub.txt").keys()


def test_the_gateway_image_copies_no_hub_code_and_installs_none_of_its_packages() -> None:
    copied = {rest.split()[0] for name, rest in instructions(ROOT / "docker" / "Dockerfile.edge") if name == "COPY"}
    assert {"protocols", "models", "edge", "gatehouse"} <= copied
    assert not {"cloud", "."} & copied
    assert not HUB_ONLY & pins("edge.txt").keys()


@pytest.mark.parametrize("name", ["hub.txt", "edge.txt", "build.txt", "runtime.txt"])
def test_every_list_holds_the_versions_that_the_tests_ran_with(name: str) -> None:
    assert pins(name)
    assert pins(name).items() <= pins("lock.txt").items()


def test_the_gateways_image_reports_to_nobody() -> None:
    """onnxruntime 1.32 sends usage data unless this stands in the environment before it is loaded."""
    assert "ORT_DISABLE_TELEMETRY=1" in dict(final_stage(ROOT / "docker" / "Dockerfile.edge"))["ENV"].split()


def test_the_build_context_is_a_list_of_what_is_wanted() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert not any("site" in rule or ".git" in rule for rule in rules)
