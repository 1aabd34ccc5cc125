"""`docker/prepare` makes each secret once, for its reader alone, and leaves what is there as it is."""

import base64
import hashlib
import importlib.machinery
import importlib.util
import json
import os
import stat
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docker"


def load() -> ModuleType:
    """The script as a module: it has no `.py` in its name."""
    path = str(FOLDER / "prepare")
    spec = importlib.util.spec_from_loader("prepare", importlib.machinery.SourceFileLoader("prepare", path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = load()


def prepare(folder: Path, *broker_names: str) -> dict[str, int]:
    """Fill a folder; file name -> the user that it was given to. Giving a file away takes root, so it is noted only."""
    owners: dict[int, int] = {}

    def note(descriptor: int, user: int, group: int) -> None:
        assert user == group
        owners[os.fstat(descriptor).st_ino] = user

    SCRIPT.fill(SCRIPT.Site(folder, note), list(broker_names))
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): owners[path.stat().st_ino] for path in files if path.stat().st_ino in owners}


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_secret_has_mode_600_and_its_reader_as_owner(tmp_path: Path) -> None:
    given = prepare(tmp_path)
    for name in (path for path in contents(tmp_path) if path.suffix not in (".crt", ".toml")):
        assert stat.S_IMODE(name.stat().st_mode) == 0o600, name
    assert given == {
        "authority/ca.crt": 0,
        "authority/ca.key": 0,
        "broker/dynamic-security.json": 1883,
        "broker/server.crt": 1883,
        "broker/server.key": 1883,
        "database/hub_password": 999,
        "database/superuser_password": 999,
        "gateway/site.toml": 10001,
        "hub/broker_password": 10001,
        "hub/pgpass": 10001,
    }


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    prepare(tmp_path)
    before = contents(tmp_path)
    assert prepare(tmp_path) == {}
    assert contents(tmp_path) == before


def test_two_sites_share_no_secret(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    prepare(one)
    prepare(other)
    for name in ("database/superuser_password", "database/hub_password", "hub/broker_password", "broker/server.key"):
        assert (one / name).read_bytes() != (other / name).read_bytes()


def test_a_lost_half_is_made_again_from_the_other(tmp_path: Path) -> None:
    prepare(tmp_path)
    before = (tmp_path / "hub/pgpass").read_bytes()
    (tmp_path / "hub/pgpass").unlink()
    prepare(tmp_path)
    assert (tmp_path / "hub/pgpass").read_bytes() == before


def test_the_broker_knows_the_hubs_password_and_nobody_elses(tmp_path: Path) -> None:
    prepare(tmp_path)
    state = json.loads((tmp_path / "broker/dynamic-security.json").read_text())
    (hub,) = state["clients"]
    password = (tmp_path / "hub/broker_password").read_bytes().strip()
    digest = hashlib.pbkdf2_hmac("sha512", password, base64.b64decode(hub["salt"]), hub["iterations"])
    assert hub["username"] == "hub"
    assert base64.b64decode(hub["password"]) == digest
    assert not any(state["defaultACLAccess"][kind] for kind in ("publishClientSend", "subscribe"))


def test_the_certificate_is_renewed_under_the_same_authority(tmp_path: Path) -> None:
    prepare(tmp_path)
    authority, old = (tmp_path / "authority/ca.crt").read_bytes(), (tmp_path / "broker/server.crt").read_bytes()
    (tmp_path / "broker/server.crt").unlink()
    prepare(tmp_path, "hub.example", "192.0.2.7")
    assert (tmp_path / "authority/ca.crt").read_bytes() == authority
    assert (tmp_path / "broker/server.crt").read_bytes() != old
    for check in (["-verify_hostname", "broker"], ["-verify_hostname", "hub.example"], ["-verify_ip", "192.0.2.7"]):
        certificate = str(tmp_path / "broker/server.crt")
        subprocess.run(
            ["openssl", "verify", "-CAfile", str(tmp_path / "authority/ca.crt"), *check, certificate],
            check=True,
            capture_output=True,
        )


def test_who_is_not_root_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert SCRIPT.main(["--folder", str(tmp_path / "site")]) == 2
    said = capsys.readouterr().err
    assert "sudo" in said
    assert "podman unshare" in said
    assert not (tmp_path / "site").exists()


def test_without_openssl_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(SCRIPT.Site.__init__, "__defaults__", (lambda *_: None,))
    assert SCRIPT.main(["--folder", str(tmp_path / "site")]) == 1
    assert "openssl" in capsys.readouterr().err


@pytest.mark.parametrize("script", ["verify", "stand-in/postgres-entrypoint.sh"])
def test_the_shell_scripts_parse(script: str) -> None:
    subprocess.run(["bash", "-n", str(FOLDER / script)], check=True)
