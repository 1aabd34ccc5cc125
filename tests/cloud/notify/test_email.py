"""E-mail against a mail server that speaks SMTP over a socket."""

import email
import socket
import threading
import time
from email import policy
from pathlib import Path
from typing import Any

import pytest

from cloud.notify.states import DeliveryFailed, Failure
from tests.peers.smtp_server import SmtpServer
from tests.support.certificates import make_certificates
from tests.support.notify import channel, message, secret_file

USER = ("gatehouse", "a pass word")


def mail(server: SmtpServer, folder: Path, **more: Any) -> Any:
    trusted = {"ca_file": folder / "ca.crt"} if (folder / "ca.crt").exists() else {}
    log_in = (
        {"username": USER[0], "password_file": secret_file(folder, "mail.password", USER[1])} if server.user else {}
    )
    return channel(
        **{
            "kind": "email",
            "host": "127.0.0.1",
            "port": server.port,
            "sender": "gatehouse@example.org",
            "to": {"wang": "wang@example.org"},
            **trusted,
            **log_in,
            **more,
        }
    )


def failure_of(sending: Any) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as failed:
        sending.send(message(address="wang@example.org"))
    return failed.value


@pytest.mark.parametrize("implicit", [False, True])
def test_a_mail_goes_encrypted_after_log_in(tmp_path: Path, implicit: bool) -> None:
    what = message(address="wang@example.org")
    with SmtpServer(make_certificates(tmp_path), implicit, USER) as server:
        assert mail(server, tmp_path, security="tls" if implicit else "starttls").send(what) == "250"
    (taken,) = server.mails
    assert (taken.sender, taken.to, taken.user) == ("gatehouse@example.org", ["wang@example.org"], "gatehouse")
    assert taken.encrypted
    read = email.message_from_bytes(taken.data, policy=policy.default)
    assert read["Message-ID"] == f"<{what.key}@example.org>"
    assert read["Auto-Submitted"] == "auto-generated"
    assert "强行开门" in read["Subject"]
    body = read.get_body()
    assert body is not None
    assert body.get_content().split() == what.text.split()


def test_nothing_is_said_in_the_clear_when_the_server_offers_no_tls(tmp_path: Path) -> None:
    with SmtpServer() as server:
        assert failure_of(mail(server, tmp_path)).failure is Failure.TLS_FAILED
    assert server.mails == []
    assert not any(line.startswith(("AUTH", "MAIL")) for line in server.heard)


def test_a_certificate_of_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    with SmtpServer(make_certificates(tmp_path), user=USER) as server:
        assert failure_of(mail(server, tmp_path, ca_file=None)).failure is Failure.TLS_FAILED
    assert not any(line.startswith("AUTH") for line in server.heard)


def test_within_the_own_network_it_may_go_without_tls(tmp_path: Path) -> None:
    with SmtpServer() as server:
        assert mail(server, tmp_path, security="none").send(message(address="wang@example.org")) == "250"
    assert not server.mails[0].encrypted


@pytest.mark.parametrize(
    ("verb", "reply", "failure"),
    [
        ("RCPT", "550 5.1.1 no such user wang@example.org", Failure.RECIPIENT_REFUSED),
        ("RCPT", "451 4.7.1 greylisted, come back later", Failure.RECIPIENT_DEFERRED),
        ("MAIL", "452 4.3.1 too much", Failure.RATE_LIMITED),
        ("MAIL", "550 5.7.1 not from you", Failure.REFUSED),
        ("AFTER DATA", "554 5.6.0 looks like spam", Failure.REFUSED),
        ("AFTER DATA", "451 4.3.0 later", Failure.SERVER_FAILED),
        ("CONNECT", "421 too busy", Failure.SERVER_FAILED),
        ("CONNECT", "554 no", Failure.REFUSED),
        ("EHLO HELO", "nonsense", Failure.ANSWER_NOT_UNDERSTOOD),
    ],
)
def test_what_an_answer_means(tmp_path: Path, verb: str, reply: str, failure: Failure) -> None:
    verbs = [verb] if verb == "AFTER DATA" else verb.split()
    with SmtpServer(replies={each: lambda _: reply for each in verbs}) as server:
        failed = failure_of(mail(server, tmp_path, security="none"))
    assert failed.failure is failure
    assert "wang" not in failed.detail


def test_a_wrong_password_is_told(tmp_path: Path) -> None:
    with SmtpServer(make_certificates(tmp_path), user=USER) as server:
        wrong = secret_file(tmp_path, "wrong", "wrong")
        failed = failure_of(mail(server, tmp_path, password_file=wrong))
    assert failed.failure is Failure.WRONG_CREDENTIALS


def test_a_server_that_says_nothing_is_left_after_the_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = {"host": "127.0.0.1", "port": listener.getsockname()[1], "sender": "a@b.c", "security": "none"}
        silent = channel(kind="email", to={"wang": "w@b.c"}, timeout_s=0.5, **settings)
        assert failure_of(silent).failure is Failure.TIMED_OUT


@pytest.mark.parametrize(
    ("endless", "failure"), [(b"2", Failure.TIMED_OUT), (b"220-more\r\n" * 1000, Failure.ANSWER_TOO_LARGE)]
)
def test_a_server_that_never_ends_its_answer_is_left(endless: bytes, failure: Failure) -> None:
    listener, stopping = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def talk() -> None:
        line, _ = listener.accept()
        with line:
            while not stopping.wait(0.05):
                try:
                    line.sendall(endless)
                except OSError:
                    return

    thread = threading.Thread(target=talk)
    thread.start()
    settings = {"host": "127.0.0.1", "port": listener.getsockname()[1], "sender": "a@b.c", "security": "none"}
    timeout_s = 1 if failure is Failure.TIMED_OUT else 20
    began = time.monotonic()
    assert failure_of(channel(kind="email", to={"w": "w@b.c"}, timeout_s=timeout_s, **settings)).failure is failure
    assert time.monotonic() - began < 15
    stopping.set()
    thread.join(30)
    listener.close()
