"""Group robots of WeCom and DingTalk: plain webhooks that answer 200 with an error code in the body.

Sources: 企业微信开发者中心 "群机器人配置说明" (path/91770) and "全局错误码"; 钉钉开放平台 "自定义机器人接入" and its
table of error codes. Messages are of type `text`, in which nothing is marked up and nobody is mentioned by a place's
name.
Neither service knows an idempotency key: a message that was taken while the hub was killed comes a second
time, with the same number.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from cloud.notify.channels.calling import Answer, Caller, check_status
from cloud.notify.channels.interface import read_secret
from cloud.notify.settings import DingtalkSettings, WecomSettings
from cloud.notify.states import DeliveryFailed, Failure
from cloud.notify.wording import Message, cut

MAX_TEXT_BYTES = 2048
"""Of WeCom's `text.content`; DingTalk's whole body may have 20,000."""
_WECOM: Mapping[int, Failure] = {
    -1: Failure.SERVER_FAILED,
    40058: Failure.REFUSED,  # a parameter is invalid, such as a text that is too long
    44004: Failure.REFUSED,  # an empty text
    45009: Failure.RATE_LIMITED,
    93000: Failure.WRONG_CREDENTIALS,  # the webhook is not valid, or the robot was taken out of the group
    93004: Failure.WRONG_CREDENTIALS,  # the robot is stopped
}
_DINGTALK: Mapping[int, Failure] = {
    -1: Failure.SERVER_FAILED,
    40035: Failure.REFUSED,
    43004: Failure.REFUSED,
    90030: Failure.RATE_LIMITED,
    130101: Failure.RATE_LIMITED,
    300001: Failure.WRONG_CREDENTIALS,
    300005: Failure.WRONG_CREDENTIALS,
    310000: Failure.WRONG_CREDENTIALS,  # signature, key word or address does not fit the robot's settings
    400013: Failure.WRONG_CREDENTIALS,  # the group is dissolved
    400101: Failure.WRONG_CREDENTIALS,
    400102: Failure.WRONG_CREDENTIALS,
    400105: Failure.REFUSED,
    400106: Failure.WRONG_CREDENTIALS,
    410100: Failure.RATE_LIMITED,
    430101: Failure.REFUSED,
    430102: Failure.REFUSED,
    430103: Failure.REFUSED,
    430104: Failure.REFUSED,
}
_WECOM_WAIT_S, _DINGTALK_WAIT_S = 60.0, 600.0
"""How long each takes nothing after more than 20 messages in a minute."""


class WecomChannel:
    def __init__(self, settings: WecomSettings) -> None:
        self._settings = settings
        self._caller = Caller(settings.private, settings.timeout_s, settings.ca_file)

    def send(self, message: Message) -> str:
        """As `Channel.send`."""
        url = _with_query(self._settings.url, {"key": read_secret(self._settings.key_file)})
        return _told(_post(self._caller, url, message), _WECOM, _WECOM_WAIT_S)


class DingtalkChannel:
    def __init__(self, settings: DingtalkSettings, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._now = now
        self._caller = Caller(settings.private, settings.timeout_s, settings.ca_file)

    def send(self, message: Message) -> str:
        """As `Channel.send`."""
        token, secret = read_secret(self._settings.token_file), read_secret(self._settings.secret_file)
        timestamp = int(self._now().timestamp() * 1000)
        query = {"access_token": token, "timestamp": str(timestamp), "sign": dingtalk_sign(secret, timestamp)}
        answer = _post(self._caller, _with_query(self._settings.url, query), message)
        return _told(answer, _DINGTALK, _DINGTALK_WAIT_S)


def dingtalk_sign(secret: str, timestamp_ms: int) -> str:
    """The `sign` of 加签, not yet percent-encoded: Base64 of HMAC-SHA256 under the secret of timestamp, LF, secret."""
    digest = hmac.new(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def _post(caller: Caller, url: str, message: Message) -> Answer:
    body = {"msgtype": "text", "text": {"content": cut(message.text, MAX_TEXT_BYTES)}}
    answer = caller.call("POST", url, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(body).encode())
    check_status(answer)
    return answer


def _told(answer: Answer, failures: Mapping[int, Failure], wait_s: float) -> str:
    """What a robot's answer means. Its words are not repeated: they may hold what was sent."""
    told = answer.json()
    code = told.get("errcode") if isinstance(told, dict) else None
    if not isinstance(code, int) or isinstance(code, bool):
        raise DeliveryFailed(Failure.ANSWER_NOT_UNDERSTOOD, "no errcode in the answer")
    if code == 0:
        return "errcode 0"
    failure = failures.get(code, Failure.SERVER_FAILED)
    raise DeliveryFailed(failure, f"errcode {code}", wait_s if failure is Failure.RATE_LIMITED else None)


def _with_query(url: str, more: Mapping[str, str]) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), *more.items()])))
