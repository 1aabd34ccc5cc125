"""ONNX Runtime tells nobody anything, and computes with what it is told to or not at all."""

import os
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from models import Provider, ProviderError, Runtime, load_detector, runtime


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


def test_more_threads_find_the_same(street: list[NDArray[np.uint8]]) -> None:
    one, two = load_detector(), load_detector(runtime=Runtime(threads=2))
    np.testing.assert_allclose(one.detect(street[0]).boxes, two.detect(street[0]).boxes, atol=1e-5)


def test_a_provider_that_is_not_here_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(
        ProviderError, match=r'provider = "openvino" is not in .* install onnxruntime-openvino .* "cpu"'
    ):
        load_detector(runtime=Runtime(Provider.OPENVINO))


def test_a_provider_that_is_here_but_does_not_start_is_no_silent_fall_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime takes the CPU without a word where CUDA's libraries are missing."""
    offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(runtime.onnxruntime, "get_available_providers", lambda: offered)
    monkeypatch.setattr(
        runtime.onnxruntime,
        "InferenceSession",
        lambda weights, options, providers: real(weights, options, ["CPUExecutionProvider"]),
    )
    with pytest.raises(ProviderError, match=r"could not start it .* set provider = \"cpu\""):
        load_detector(runtime=Runtime(Provider.CUDA))
