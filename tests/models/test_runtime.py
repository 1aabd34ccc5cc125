"""ONNX Runtime tells nobody anything."""

import os
import subprocess
import sys


def test_telemetry_is_off_before_onnx_runtime_is_imported() -> None:
    program = (
        "import builtins, os\n"
        "real = builtins.__import__\n"
        "def spy(name, *rest):\n"
        "    if name == 'onnxruntime': print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = spy\n"
        "import models.detector\n"
    )
    clean = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", program], env=clean, capture_output=True, text=True, check=True)

    assert done.stdout.split()[0] == "1"
