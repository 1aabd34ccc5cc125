"""ONNX Runtime with its telemetry off: imported with the package, before any other module of it needs ONNX Runtime.

Its Linux wheels (1.32) start a telemetry client when they are imported, unless `ORT_DISABLE_TELEMETRY` is set before.
A gateway tells nobody anything but its hub.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

__all__ = ["onnxruntime"]
