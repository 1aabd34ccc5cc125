"""Text messages by an operator's HTTP interface, as a template of the configuration says."""

import json
from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any
from urllib.parse import quote, urlsplit

from cloud.notify.channels.calling import Answer, Caller, check_status
from cloud.notify.channels.interface import read_secret
from cloud.notify.settings import SmsSettings, SuccessTest
from cloud.notify.states import DeliveryFailed, Failure
from cloud.notify.wording import Message

_NOT_THERE = object()


class SmsChannel:
    def __init__(self, settings: SmsSettings) -> None:
        self._settings = settings
        self._caller = Caller(settings.private, settings.timeout_s, settings.ca_file)

    def send(self, message: Message) -> str:
        """As `Channel.send`, to `message.address`."""
        settings = self._settings
        secret = read_secret(settings.secret_file) if settings.secret_file else ""
        text = message.short
        if len(text) > settings.max_characters:
            text = text[: settings.max_characters - 1] + "…"
        values = {"to": message.address, "text": text, "id": str(message.key), "secret": secret}
        kind = next((value for name, value in settings.headers.items() if name.lower() == "content-type"), "")
        url = fill(settings.url, values, _percent)
        if urlsplit(url).netloc != urlsplit(settings.url).netloc:
            raise DeliveryFailed(Failure.REFUSED, "the template leads to another host")
        headers = {name: fill(value, values, _header) for name, value in settings.headers.items()}
        body = b"" if settings.method == "GET" else fill(settings.body, values, _encoder(kind)).encode()
        answer = self._caller.call(settings.method, url, headers, body)
        return judge(answer, settings.success)


def judge(answer: Answer, success: SuccessTest) -> str:
    """What an answer means by the configured test.

    Raises:
        DeliveryFailed: if it does not pass.
    """
    check_status(answer)
    if answer.status not in success.status:
        raise DeliveryFailed(Failure.SERVER_FAILED, f"status {answer.status}")
    if success.field is None:
        return f"status {answer.status}"
    found = _field(answer.json(), success.field)
    if found is _NOT_THERE:
        raise DeliveryFailed(Failure.ANSWER_NOT_UNDERSTOOD, f"no {success.field} in the answer")
    if type(found) is not type(success.equals) or found != success.equals:
        shown = str(found)[:40] if isinstance(found, str | int) else "another value"
        raise DeliveryFailed(Failure.SERVER_FAILED, f"{success.field} is {shown}")
    return f"{success.field} {str(found)[:40]}"


def fill(template: str, values: Mapping[str, str], encode: Callable[[str], str]) -> str:
    """Put values in; only names are looked up, never attributes or indexes."""
    parts = []
    for literal, name, _, _ in Formatter().parse(template):
        parts.append(literal)
        if name is not None:
            parts.append(encode(values[name]))
    return "".join(parts)


def _percent(text: str) -> str:
    return quote(text, safe="")


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _header(text: str) -> str:
    return text if text.isascii() and text.isprintable() else _percent(text)


def _encoder(content_type: str) -> Callable[[str], str]:
    if "json" in content_type.lower():
        return _json
    return _percent if "form-urlencoded" in content_type.lower() else _plain


def _plain(text: str) -> str:
    return text.replace("<", "‹").replace("&", "＆")


def _field(found: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return _NOT_THERE
    return found
