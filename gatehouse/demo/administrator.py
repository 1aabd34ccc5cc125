"""Gives the demo's administrator the second factor without which the hub lets none in, as a person would set it up."""

import base64
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cloud.accounts import totp
from gatehouse.demo.processes import DemoError, gatehouse

_URI = "otpauth:"
_CODE = re.compile(r"^[A-Z2-7]{4}(?:-[A-Z2-7]{4}){3}$", re.MULTILINE)
_COMMAND_S = 120.0


def recovery_codes(hub_configuration: Path, name: str) -> list[str]:
    """Set up a second factor: read the secret that is shown, type its code; the codes that are told for log-ins.

    Raises:
        DemoError: if the command failed.
    """
    command = gatehouse("hub", "--config", str(hub_configuration), "accounts", "second-factor", name)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8") as process:  # noqa: S603 (ours)
        if process.stdout is None:
            raise DemoError("the second factor's command has no standard output")
        uri = next((line for line in process.stdout if line.startswith(_URI)), None)
        told, _ = process.communicate(f"{_code_of(uri)}\n" if uri else "", timeout=_COMMAND_S)
    if uri is None or process.returncode:
        raise DemoError(f"a second factor for {name} could not be set up: see above")
    return _CODE.findall(told)


def _code_of(uri: str) -> str:
    [secret] = parse_qs(urlsplit(uri.strip()).query)["secret"]
    padded = secret + "=" * (-len(secret) % 8)
    return totp.code_at(base64.b32decode(padded), totp.step_at(datetime.now(UTC)))
