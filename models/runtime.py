"""ONNX Runtime with its telemetry off, and what it computes with: the CPU, OpenVINO or CUDA, as the site says.

Imported with the package, before any other module of it needs ONNX Runtime: its Linux wheels (1.32) start a telemetry
client when they are imported, unless `ORT_DISABLE_TELEMETRY` is set before.
A gateway tells nobody anything but its hub.
"""

import os
from dataclasses import dataclass
from enum import StrEnum

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

from models.errors import ProviderError

__all__ = ["Provider", "Runtime", "onnxruntime", "open_session"]


class Provider(StrEnum):
    """What a network is computed with."""

    CPU = "cpu"
    OPENVINO = "openvino"
    CUDA = "cuda"

    @property
    def in_onnx_runtime(self) -> str:
        """Its name in ONNX Runtime."""
        return {
            Provider.CPU: "CPUExecutionProvider",
            Provider.OPENVINO: "OpenVINOExecutionProvider",
            Provider.CUDA: "CUDAExecutionProvider",
        }[self]

    @property
    def package(self) -> str:
        """The Python package of ONNX Runtime that brings it; only one of them can be installed."""
        return {
            Provider.CPU: "onnxruntime",
            Provider.OPENVINO: "onnxruntime-openvino",
            Provider.CUDA: "onnxruntime-gpu",
        }[self]


@dataclass(frozen=True, slots=True)
class Runtime:
    """What to compute with, and on how many threads a frame: more make one frame sooner ready, not more frames."""

    provider: Provider = Provider.CPU
    threads: int = 1


def open_session(weights: bytes, runtime: Runtime) -> onnxruntime.InferenceSession:
    """A session that computes with what is asked for, and with nothing else in its stead.

    Raises:
        ProviderError: that is not available here.
        Exception: of ONNX Runtime's own, if the weights are no model that it understands; they have no common base.
    """
    _check_offered(runtime.provider)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(weights, options, providers=_wanted(runtime))
    if session.get_providers()[0] != runtime.provider.in_onnx_runtime:  # it falls back to the CPU without a word
        raise ProviderError(
            f'provider = "{runtime.provider}": ONNX Runtime offers it but could not start it on this machine: a driver '
            f"or a library is missing or of another version; install it, or {_instead(runtime.provider)}"
        )
    return session


def _wanted(runtime: Runtime) -> list[str | tuple[str, dict[str, str]]]:
    cpu = Provider.CPU.in_onnx_runtime
    if runtime.provider is Provider.CPU:
        return [cpu]
    if runtime.provider is Provider.OPENVINO:
        return [(runtime.provider.in_onnx_runtime, {"device_type": "CPU", "num_of_threads": str(runtime.threads)}), cpu]
    return [runtime.provider.in_onnx_runtime, cpu]


def _check_offered(provider: Provider) -> None:
    offered = onnxruntime.get_available_providers()
    if provider.in_onnx_runtime not in offered:
        raise ProviderError(
            f'provider = "{provider}" is not in this ONNX Runtime {onnxruntime.__version__}: '
            f"install {provider.package} in place of the onnxruntime package that is there, or {_instead(provider)}"
        )


def _instead(provider: Provider) -> str:
    offered = onnxruntime.get_available_providers()
    others = [f'"{other}"' for other in Provider if other is not provider and other.in_onnx_runtime in offered]
    return f"set provider = {' or '.join(others)}, which is here" if others else "reinstall onnxruntime"
