"""Webhook, robots and SMS against real HTTP servers: what they are sent, and what each answer means."""

import hashlib
import hmac
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud.notify.states import DeliveryFailed, Failure
from tests.peers.http_receiver import Answers, DingtalkRobot, HttpReceiver, WecomRobot
from tests.support.certificates import make_certificates
from tests.support.notify import channel, fact, message, secret_file
from tests.support.ports import free_port

JSON = {"Content-Type": "application/json"}


def failure_of(sending: Any, what: Any) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as failed:
        sending.send(what)
    return failed.value


def webhook(receiver: HttpReceiver, folder: Path, **more: Any) -> Any:
    key = secret_file(folder, "webhook.key", "the webhook's key\n")
    return channel(kind="webhook", url=f"{receiver.url}/in?a=1", secret_file=key, **more)


# --- Webhook


def test_a_webhook_is_signed_and_names_its_key(tmp_path: Path) -> None:
    what = message(fact(), link="https://hub.example")
    with HttpReceiver() as receiver:
        assert webhook(receiver, tmp_path).send(what) == "status 200"
    (got,) = receiver.got
    timestamp = got.headers["X-Gatehouse-Timestamp"]
    signed = hmac.new(b"the webhook's key", timestamp.encode() + b"." + got.body, hashlib.sha256).hexdigest()
    assert got.headers["X-Gatehouse-Signature"] == f"sha256={signed}"
    assert abs(time.time() - int(timestamp)) < 60
    assert got.headers["Idempotency-Key"] == got.json()["key"] == str(what.key)
    (alarm,) = got.json()["alarms"]
    assert (alarm["rule"], alarm["level"], alarm["priority"]) == ("door_forced", "community", 2)
    assert alarm["link"] == f"https://hub.example/?alarm={what.facts[0].alarm}"
    assert got.path == "/in?a=1"


@pytest.mark.parametrize(
    ("answers", "failure"),
    [
        (Answers(400), Failure.REFUSED),
        (Answers(401), Failure.WRONG_CREDENTIALS),
        (Answers(408), Failure.SERVER_FAILED),
        (Answers(429, headers={"Retry-After": "7"}), Failure.RATE_LIMITED),
        (Answers(503), Failure.SERVER_FAILED),
        (Answers(302, headers={"Location": "http://127.0.0.1:1/"}), Failure.REDIRECTED),
        (Answers(200, b"x" * 70_000), Failure.ANSWER_TOO_LARGE),
        (Answers(200, b"", {"X-Long": "x" * 70_000}), Failure.ANSWER_NOT_UNDERSTOOD),
        (Answers(200, after_s=30), Failure.TIMED_OUT),
    ],
)
def test_what_an_answer_means(tmp_path: Path, answers: Answers, failure: Failure) -> None:
    with HttpReceiver(lambda _: answers) as receiver:
        timeout_s = 1 if failure is Failure.TIMED_OUT else 20
        failed = failure_of(webhook(receiver, tmp_path, timeout_s=timeout_s), message())
    assert failed.failure is failure
    assert failed.wait_s == (7 if failure is Failure.RATE_LIMITED else None)


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    with (
        HttpReceiver() as elsewhere,
        HttpReceiver(lambda _: Answers(307, headers={"Location": elsewhere.url})) as receiver,
    ):
        assert failure_of(webhook(receiver, tmp_path), message()).failure is Failure.REDIRECTED
        assert elsewhere.got == []


def test_an_answer_that_trickles_ends_at_the_limit(tmp_path: Path) -> None:
    """Each byte comes in time, the whole does not."""
    import socket
    import threading

    listener = socket.create_server(("127.0.0.1", 0))
    stopping = threading.Event()

    def trickle() -> None:
        line, _ = listener.accept()
        with line:
            for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000:
                if stopping.wait(0.1):
                    return
                try:
                    line.sendall(bytes([byte]))
                except OSError:
                    return

    thread = threading.Thread(target=trickle)
    thread.start()
    key = secret_file(tmp_path, "key", "k")
    began = time.monotonic()
    slow = channel(kind="webhook", url=f"http://127.0.0.1:{listener.getsockname()[1]}/", secret_file=key, timeout_s=1)
    assert failure_of(slow, message()).failure is Failure.TIMED_OUT
    assert time.monotonic() - began < 10
    stopping.set()
    thread.join(30)
    listener.close()


def test_nobody_listens(tmp_path: Path) -> None:
    key = secret_file(tmp_path, "key", "k")
    silent = channel(kind="webhook", url=f"http://127.0.0.1:{free_port()}/", secret_file=key)
    assert failure_of(silent, message()).failure is Failure.UNREACHABLE


def test_a_private_address_is_called_only_if_the_channel_says_so(tmp_path: Path) -> None:
    key = secret_file(tmp_path, "key", "k")
    with HttpReceiver(tls=make_certificates(tmp_path)) as receiver:
        public = channel(kind="webhook", url=receiver.url, secret_file=key, private=False)
        assert failure_of(public, message()).failure is Failure.ADDRESS_FORBIDDEN
        assert receiver.got == []


def test_the_certificate_is_checked(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    with HttpReceiver(tls=files) as receiver:
        assert failure_of(webhook(receiver, tmp_path), message()).failure is Failure.TLS_FAILED
        assert webhook(receiver, tmp_path, ca_file=files.ca).send(message()) == "status 200"


@pytest.mark.parametrize(("mode", "text"), [(0o640, "k"), (0o600, ""), (0o600, "two\nlines")])
def test_a_secret_that_others_may_read_or_that_is_none_is_not_used(tmp_path: Path, mode: int, text: str) -> None:
    with HttpReceiver() as receiver:
        key = secret_file(tmp_path, "bad.key", text)
        key.chmod(mode)
        bad = channel(kind="webhook", url=receiver.url, secret_file=key)
        assert failure_of(bad, message()).failure is Failure.SECRET_UNREADABLE
        assert receiver.got == []


# --- Robots


def wecom(receiver: HttpReceiver, folder: Path, key: str = "693a91f6-7xxx") -> Any:
    file = secret_file(folder, f"wecom-{key}.key", key)
    return channel(kind="wecom", url=f"{receiver.url}/cgi-bin/webhook/send", key_file=file)


def test_wecom_takes_a_message(tmp_path: Path) -> None:
    with HttpReceiver(WecomRobot("693a91f6-7xxx")) as receiver:
        assert wecom(receiver, tmp_path).send(message()) == "errcode 0"
    text = receiver.got[0].json()["text"]["content"]
    assert text.splitlines()[:4] == [
        "【告警 2级】强行开门",
        "地点: 安静社区 · 东门岗",
        "超时升级 → 村（社区）",
        "时间: 11-22 20:00:00",
    ]


def test_wecom_cuts_what_is_too_long_for_it(tmp_path: Path) -> None:
    with HttpReceiver(WecomRobot("693a91f6-7xxx")) as receiver:
        long = replace(message(), text="很长" * 2000)
        assert wecom(receiver, tmp_path).send(long) == "errcode 0"
        assert receiver.got[0].json()["text"]["content"].endswith("…")


def test_wecom_refuses_a_wrong_key_and_too_many(tmp_path: Path) -> None:
    with HttpReceiver(WecomRobot("693a91f6-7xxx")) as receiver:
        assert failure_of(wecom(receiver, tmp_path, "other"), message()).failure is Failure.WRONG_CREDENTIALS
        robot = wecom(receiver, tmp_path)
        for _ in range(20):
            robot.send(message())
        failed = failure_of(robot, message())
    assert (failed.failure, failed.wait_s, failed.detail) == (Failure.RATE_LIMITED, 60, "errcode 45009")


def dingtalk(receiver: HttpReceiver, folder: Path, secret: str = "SEC0123", now: datetime | None = None) -> Any:
    return channel(
        now,
        kind="dingtalk",
        url=f"{receiver.url}/robot/send",
        token_file=secret_file(folder, "token", "the token"),
        secret_file=secret_file(folder, f"{secret}.key", secret),
    )


def test_dingtalk_takes_a_signed_message(tmp_path: Path) -> None:
    with HttpReceiver(DingtalkRobot("the token", "SEC0123")) as receiver:
        assert dingtalk(receiver, tmp_path).send(message()) == "errcode 0"
    assert receiver.got[0].json()["msgtype"] == "text"


@pytest.mark.parametrize(("secret", "late"), [("SEC9999", timedelta()), ("SEC0123", timedelta(hours=2))])
def test_dingtalk_refuses_a_wrong_signature_and_a_wrong_clock(tmp_path: Path, secret: str, late: timedelta) -> None:
    with HttpReceiver(DingtalkRobot("the token", "SEC0123")) as receiver:
        robot = dingtalk(receiver, tmp_path, secret, datetime.now(UTC) - late)
        failed = failure_of(robot, message())
    assert (failed.failure, failed.detail) == (Failure.WRONG_CREDENTIALS, "errcode 310000")


def test_dingtalk_wants_ten_minutes_of_silence_after_too_many(tmp_path: Path) -> None:
    with HttpReceiver(DingtalkRobot("the token", "SEC0123")) as receiver:
        robot = dingtalk(receiver, tmp_path)
        for _ in range(20):
            robot.send(message())
        failed = failure_of(robot, message())
    assert (failed.failure, failed.wait_s) == (Failure.RATE_LIMITED, 600)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"errcode": "0"}', b'{"errcode": true}', b"[" * 60_000])
def test_a_robot_that_does_not_say_what_became_of_it_has_not_taken_it(tmp_path: Path, body: bytes) -> None:
    with HttpReceiver(lambda _: Answers(200, body)) as receiver:
        assert failure_of(wecom(receiver, tmp_path), message()).failure is Failure.ANSWER_NOT_UNDERSTOOD


# --- SMS


def sms(receiver: HttpReceiver, **more: Any) -> Any:
    return channel(**{"kind": "sms", "url": f"{receiver.url}/send", "to": {"wang": "13800000000"}, **more})


def test_an_sms_by_json(tmp_path: Path) -> None:
    key = secret_file(tmp_path, "sms.key", 'quo"te')
    settings = {
        "headers": {"content-type": "application/json", "Authorization": "Bearer {secret}"},
        "body": '{{"mobile": "{to}", "text": "{text}", "no": "{id}", "key": "{secret}"}}',
        "secret_file": key,
        "success": {"field": "result.0.code", "equals": "OK"},
    }
    what = message(fact(place='门"岗\\'), address="13800000000")
    with HttpReceiver(lambda _: Answers(200, b'{"result": [{"code": "OK"}]}', JSON)) as receiver:
        assert sms(receiver, **settings).send(what) == "result.0.code OK"
    (got,) = receiver.got
    told = got.json()
    assert (told["mobile"], told["no"], told["key"]) == ("13800000000", str(what.key), 'quo"te')
    assert '门"岗\\' in told["text"]
    assert len(told["text"]) <= 130
    assert got.headers["Authorization"] == 'Bearer quo"te'


def test_an_sms_by_form_and_by_address() -> None:
    form = {"headers": {"Content-Type": "application/x-www-form-urlencoded"}, "body": "m={to}&c={text}"}
    what = message(fact(place="a&c=b"), address="13800000000")
    with HttpReceiver() as receiver:
        sms(receiver, **form).send(what)
        sms(receiver, method="GET", url=f"{receiver.url}/send?m={{to}}&c={{text}}").send(what)
    by_form, by_address = receiver.got
    assert by_form.body.count(b"&") == 1
    assert by_address.query == {"m": "13800000000", "c": what.short}
    assert by_address.body == b""


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ({"code": 0}, None),
        ({"code": 5}, Failure.SERVER_FAILED),
        ({"code": False}, Failure.SERVER_FAILED),
        ({}, Failure.ANSWER_NOT_UNDERSTOOD),
    ],
)
def test_success_is_judged_by_a_field(body: dict[str, Any], failure: Failure | None) -> None:
    with HttpReceiver(lambda _: Answers(200, json.dumps(body).encode())) as receiver:
        sending = sms(receiver, success={"field": "code", "equals": 0})
        if failure is None:
            assert sending.send(message(address="13800000000")) == "code 0"
        else:
            assert failure_of(sending, message(address="13800000000")).failure is failure
