"""`gatehouse hub notify` on a hub's database that nobody serves."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud.database.engine import open_database
from gatehouse.hub_command import app
from tests.peers.http_receiver import Answers, HttpReceiver
from tests.support.notify import NotifyingCity, secret_file


def test_channels_are_listed_tried_and_their_record_is_shown(tmp_path: Path) -> None:
    key = secret_file(tmp_path, "hook.key", "the secret itself")
    config = tmp_path / "hub.toml"
    with HttpReceiver() as receiver:
        config.write_text(
            f'state_dir = "{tmp_path / "hub"}"\n'
            "[web.notify.channels.hook]\n"
            f'kind = "webhook"\nurl = "{receiver.url}/"\nsecret_file = "{key}"\nprivate = true\n'
            '[web.notify.routes.all]\nchannel = "hook"\n'
        )

        def run(*words: str, status: int = 0) -> str:
            done = CliRunner().invoke(app, ["--config", str(config), *words])
            assert "Traceback" not in done.output
            assert done.exit_code == status, done.output
            return done.output

        run("migrate")
        listed = run("notify", "list")
        assert "hook" in listed
        assert "webhook" in listed
        assert "sent: status 200" in run("notify", "test", "hook")
        receiver.answer = lambda _: Answers(302)
        assert "not sent: redirected: status 302" in run("notify", "test", "hook", status=1)
        assert "redirected" not in run("notify", "list"), "a test does not make it a failing channel"
        assert "there is no channel 'x'; there are: hook" in run("notify", "test", "x", status=2)
        assert "has no recipient" in run("notify", "test", "hook", "--to", "wang", status=2)
        database = open_database(f"sqlite:///{tmp_path / 'hub' / 'hub.db'}")
        hook = {"kind": "webhook", "url": receiver.url, "secret_file": key, "private": True}
        city = NotifyingCity(database, {"channels": {"hook": hook}, "routes": {"all": {"channel": "hook"}}})
        city.force()
        alarm = str(city.alarm().id)
        database.close()
        shown = run("notify", "log", "--alarm", alarm)
        assert "door_forced" in shown
        assert "waiting" in shown
        assert "door_forced" not in run("notify", "log", "--channel", "other")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('kind = "webhook"\nurl = "http://example.org/"\nsecret_file = "x"', "set private = true"),
        ('kind = "webhook"\nurl = "https://u:p@example.org/"\nsecret_file = "x"', "without a user"),
        ('kind = "wecom"\nkey_file = "x"\nper_minute = 30', "less than or equal to 20"),
        ('kind = "sms"\nurl = "https://e.org/{name}"\nto = { a = "10086" }', "placeholders are {to}"),
        ('kind = "sms"\nurl = "https://{to}/"\nto = { a = "10086" }', "the host is written as it is"),
        ('kind = "sms"\nurl = "https://e.org/{to.x}"\nto = { a = "10086" }', "placeholders are {to}"),
        ('kind = "sms"\nurl = "https://e.org/{secret}"\nto = { a = "10086" }', "{secret} needs secret_file"),
        ('kind = "email"\nhost = "e.org"\nsender = "a@b.c"\nto = { a = "a@b.c" }\nsecurity = "none"', "private host"),
        ('kind = "email"\nhost = "e.org"\nsender = "a@b.c"\nto = { a = "a@b.c\\nBcc: x@y.z" }', "pattern"),
    ],
)
def test_what_is_wrong_with_a_channel_is_said(tmp_path: Path, lines: str, said: str) -> None:
    config = tmp_path / "hub.toml"
    config.write_text(f"[web.notify.channels.own]\n{lines}\n")
    done = CliRunner().invoke(app, ["--config", str(config), "notify", "list"])
    assert done.exit_code == 2
    assert said in done.output


def test_a_route_leads_to_a_channel_that_is_there(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    config.write_text('[web.notify.routes.r]\nchannel = "none"\n')
    done = CliRunner().invoke(app, ["--config", str(config), "notify", "list"])
    assert "there is no channel 'none'" in done.output
