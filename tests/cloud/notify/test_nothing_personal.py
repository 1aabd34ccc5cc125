"""Names and numbers of people are put wherever a person or an operator can write; no byte that leaves holds one."""

import json
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from sqlalchemy import insert, update

from cloud.database.engine import Database
from cloud.database.tables import Account, CareAgreement, Door, Grid, Person, Place
from cloud.notify.wording import clean
from tests.peers.http_receiver import DingtalkRobot, HttpReceiver, WecomRobot
from tests.peers.smtp_server import SmtpServer
from tests.support.events import new_id
from tests.support.notify import NotifyingCity, secret_file

NAME = "欧阳娜娜"
NUMBERS = {
    "ID number": "52040219800101123X",
    "phone": "13985301234",
    "landline": "0851-33221144",
    "spaced phone": "139 8530 1234",
    "plate": "贵G12345",
    "green plate": "贵GD12345",
    "card": "w26:12:34567",
    "long card": "6222021234567890123",
}


def words_of(raw: bytes) -> str:
    """A request as a person or program reads it: JSON and percent-encoding undone."""
    text = raw.decode()
    head, _, body = text.rpartition("\n")
    try:
        body = json.dumps(json.loads(body), ensure_ascii=False)
    except ValueError:
        body = unquote_plus(body)
    return unquote_plus(head) + "\n" + body


def test_no_name_and_no_number_leaves(database: Database, tmp_path: Path) -> None:
    everything = " ".join(NUMBERS.values())
    with (
        HttpReceiver() as hook,
        HttpReceiver(WecomRobot("k")) as wecom,
        HttpReceiver(DingtalkRobot("k", "SECk")) as dingtalk,
        HttpReceiver() as sms,
        SmtpServer() as smtp,
    ):
        key, secret = secret_file(tmp_path, "k", "k"), secret_file(tmp_path, "s", "SECk")
        own: dict[str, Any] = {"private": True}
        mail = {"kind": "email", "host": "127.0.0.1", "port": smtp.port, "security": "none", "sender": "hub@e.org"}
        channels: dict[str, dict[str, Any]] = {
            "hook": {"kind": "webhook", "url": hook.url, "secret_file": key},
            "wecom": {"kind": "wecom", "url": f"{wecom.url}/cgi-bin/webhook/send", "key_file": key},
            "dingtalk": {
                "kind": "dingtalk",
                "url": f"{dingtalk.url}/robot/send",
                "token_file": key,
                "secret_file": secret,
            },
            "mail": {**mail, "to": {"wang": "wang@e.org"}},
            "sms": {"kind": "sms", "url": sms.url, "to": {"wang": "10086"}},
        }
        channels |= {f"{name}-en": {**each, "language": "en"} for name, each in channels.items()}
        channels = {name: {**each, **own} for name, each in channels.items()}
        routes = {name: {"channel": name} for name in channels}
        city = NotifyingCity(database, {"channels": channels, "routes": routes, "link": "https://hub.example"})
        write_everywhere(city, everything)
        city.force("east")
        city.duress("west")
        actor = city.actor("guard-east")
        alarm = next(each for each in city.alarms() if each.rule == "door_forced").id
        city.desk.write_note(alarm, actor, f"{NAME} {everything}")
        city.desk.pass_up(alarm, actor, f"{NAME} {everything}"[:500])
        city.tick(600)
        sender = city.new_sender()
        for name in [*channels, None, *channels]:
            if name is None:
                city.many(30)
                continue
            city.clock.forward(61)
            dingtalk.answer = DingtalkRobot("k", "SECk", lambda: city.clock().timestamp())
            sender.run_once(name)
        assert {row.state for row in city.record(limit=200)} == {"sent"}
        sent = [words_of(got.raw) for each in (hook, wecom, dingtalk, sms) for got in each.got]
        sent += [str(mail.to) + str(message_from_bytes(mail.data, policy=policy.default)) for mail in smtp.mails]
        sent += [str(message_from_bytes(mail.data, policy=policy.default)["Subject"]) for mail in smtp.mails]
        sent += [message_from_bytes(mail.data, policy=policy.default).get_content() for mail in smtp.mails]  # type: ignore[attr-defined]
    assert len(sent) > 60
    assert any("gate-east" in each for each in sent), "the place is told"
    for text in sent:
        assert NAME not in text
        for what, number in NUMBERS.items():
            assert number not in text, what
            assert "".join(filter(str.isalnum, number)) not in text, what


def write_everywhere(city: NotifyingCity, numbers: str) -> None:
    """Into the register, where a person is; into names that an operator gives, numbers alone."""
    city.add_person()
    with city.database.write() as connection:
        connection.execute(update(Person).values(name=NAME))
        connection.execute(update(Place).where(Place.code == "east-501").values(name=f"{NAME}家"))
        connection.execute(update(Place).where(Place.code == "gate-east").values(name=f"gate-east {numbers}"))
        connection.execute(update(Place).where(Place.code == "west-village").values(name=numbers))
        connection.execute(update(Door).values(name=f"{NAME} {numbers}"[:100]))
        connection.execute(update(Grid).values(name=f"{NAME} {numbers}"[:100]))
        connection.execute(update(Account).where(Account.username == "guard-east").values(username="ouyang-nana"))


def test_a_dwelling_is_told_as_its_building(database: Database, tmp_path: Path) -> None:
    with HttpReceiver() as hook:
        key = secret_file(tmp_path, "k", "k")
        channels = {"hook": {"kind": "webhook", "url": hook.url, "secret_file": key, "private": True}}
        city = NotifyingCity(database, {"channels": channels, "routes": {"all": {"channel": "hook"}}})
        values = {"id": new_id(), "person_id": city.add_person(), "dwelling_id": city.places["east-501"], "hours": 12}
        since = city.clock() - timedelta(days=9)
        with database.write() as connection:
            connection.execute(insert(CareAgreement).values(**values, consent="form", since=since))
        city.tick()
        city.new_sender().run_once("hook")
    (got,) = hook.got
    assert got.json()["alarms"][0]["place"] == "east-garden"
    assert b"501" not in got.body.replace(str(city.alarm().id).encode(), b"").replace(got.json()["key"].encode(), b"")


def test_what_is_cleaned_and_what_is_not() -> None:
    for number in NUMBERS.values():
        cleaned = clean(f"东门 {number} 旁")
        assert cleaned is not None
        assert "".join(filter(str.isalnum, number)) not in "".join(filter(str.isalnum, cleaned))
        assert cleaned.startswith("东门")
    for harmless in ("3栋2单元", "东门岗", "A-12号楼", "2026年小区", "Gate 12"):
        assert clean(harmless) == harmless
    assert clean("东门\n@所有人\u202e\x00") == "东门 @所有人"
