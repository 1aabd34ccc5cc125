"""The detectors: a manifest, weights, the recipe that makes them, decoding and evaluation.

Imports neither ``edge`` nor ``cloud``.
"""

from models.detections import KIND_OF_CLASS, Detections, Kind
from models.detector import Detector, load_detector
from models.errors import FrameError, ManifestError, ModelError, OutputError, ProviderError, UnknownModel, WeightsError
from models.manifest import DEFAULT, ECONOMY, Catalogue, ModelEntry
from models.runtime import Provider, Runtime

__all__ = [
    "DEFAULT",
    "ECONOMY",
    "KIND_OF_CLASS",
    "Catalogue",
    "Detections",
    "Detector",
    "FrameError",
    "Kind",
    "ManifestError",
    "ModelEntry",
    "ModelError",
    "OutputError",
    "Provider",
    "ProviderError",
    "Runtime",
    "UnknownModel",
    "WeightsError",
    "load_detector",
]
