"""A detector: an 8-bit BGR frame in, people, bicycles and vehicles out. Keeps no state and tracks nothing.

Runs with ONNX Runtime, by default on the CPU with one thread per call and without spinning, so that several cameras
share a machine with the doors. ``detect`` may be called from many threads at once.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import numpy as np

from models.detections import KIND_OF_CLASS, Detections, Frame, Kind
from models.errors import OutputError, ProviderError, WeightsError
from models.fitting import Placement, fit
from models.manifest import DEFAULT, Catalogue, ModelEntry
from models.outputs import RawBoxes
from models.runtime import Runtime, onnxruntime, open_session
from models.suppression import area, suppress

CANDIDATES: Final = 200
"""Boxes of one kind that enter suppression: more are never in one picture, and its cost grows with their square."""

_ELEMENT_TYPE = {"uint8": "tensor(uint8)", "float32": "tensor(float)"}


class Detector:
    """One loaded network with its manifest entry."""

    def __init__(self, entry: ModelEntry, session: onnxruntime.InferenceSession) -> None:
        self.entry = entry
        self._session = session
        self._input_name = session.get_inputs()[0].name
        self._output_names = list(entry.output.tensors)
        self._classes_of = {
            kind: np.array([i for i, name in enumerate(entry.classes) if KIND_OF_CLASS[name] is kind], np.intp)
            for kind in Kind
        }
        self._columns = np.array([column for _, column in entry.columns], np.intp)

    @classmethod
    def load(cls, entry: ModelEntry, runtime: Runtime | None = None) -> Detector:
        """Check the weights against the manifest and load them; on the CPU with one thread, if nothing else is said.

        Raises:
            ProviderError: what it is to be computed with is not available here.
            WeightsError: the file is missing, is not the one that the manifest names, is no ONNX model that this
                runtime understands, or has other inputs or outputs than the manifest says.
        """
        session = _open_session(entry, read_weights(entry), runtime or Runtime())
        _check_signature(entry, session)
        return cls(entry, session)

    def detect(self, frame: Frame, floor: float | None = None) -> Detections:
        """What is in a frame, uint8 BGR [height,width,3] of any size.

        Keeps what reaches its kind's threshold in the manifest, or what reaches ``floor`` (0..1) when one is given:
        a tracker wants the weak boxes too, from 0.25.

        Raises:
            FrameError: the frame is not such an array.
            OutputError: the network's outputs have not the shape of the manifest's output kind.
        """
        tensor, placement = fit(frame, self.entry.input)
        values = self._session.run(self._output_names, {self._input_name: tensor})
        raw = self.entry.output.decode(dict(zip(self._output_names, values, strict=True)))
        if len(raw.boxes) and raw.scores.shape[1] <= self._columns.max():
            raise OutputError(
                f"model {self.entry.name} puts out {raw.scores.shape[1]} classes, its manifest entry names column "
                f"{self._columns.max()}; correct `classes`"
            )
        parts = [self._of_kind(raw, placement, kind, floor) for kind in Kind if len(self._classes_of[kind])]
        return Detections(
            boxes=np.concatenate([part.boxes for part in parts]),
            scores=np.concatenate([part.scores for part in parts]),
            kinds=np.concatenate([part.kinds for part in parts]),
            classes=np.concatenate([part.classes for part in parts]),
            class_names=self.entry.classes,
        )

    def _of_kind(self, raw: RawBoxes, placement: Placement, kind: Kind, floor: float | None) -> Detections:
        """What is kept of one kind: threshold first, since few rows are left then; suppression last.

        A box that lies wholly outside the frame, in a letterbox's padding, or that is not finite is nothing seen.
        """
        classes = self._classes_of[kind]
        columns = self._columns[classes]
        best = raw.scores[:, columns].max(axis=1)
        rows = np.flatnonzero(best >= (self.entry.thresholds.of(kind) if floor is None else floor))
        boxes = placement.to_frame(raw.boxes[rows])
        real = area(boxes) > 0
        rows, boxes = rows[real], boxes[real]
        kept = suppress(boxes, best[rows], self.entry.thresholds.overlap, CANDIDATES)
        rows, boxes = rows[kept], boxes[kept]
        named = classes[raw.scores[rows][:, columns].argmax(axis=1)].astype(np.int16)
        return Detections(boxes, best[rows], np.full(len(rows), kind, np.int16), named, self.entry.classes)


def load_detector(name: str = DEFAULT, manifest: Path | None = None, runtime: Runtime | None = None) -> Detector:
    """The detector of that name, from the shipped manifest or from the given one beside it.

    Raises:
        ManifestError, UnknownModel, WeightsError, ProviderError: as their names say.
    """
    return Detector.load(Catalogue.open(manifest).entry(name), runtime)


def read_weights(entry: ModelEntry) -> bytes:
    """The bytes of an entry's weights, checked against its sha256.

    Raises:
        WeightsError: they cannot be read, or are not those.
    """
    try:
        weights = entry.weights.read_bytes()
    except OSError as error:
        raise WeightsError(f"model {entry.name}: weights {entry.weights} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(weights).hexdigest()
    if found != entry.sha256:
        raise WeightsError(
            f"model {entry.name}: weights {entry.weights} have sha256 {found} and not {entry.sha256} as the manifest "
            "says; they are damaged or another version: fetch them again, or correct the manifest"
        )
    return weights


def _open_session(entry: ModelEntry, weights: bytes, runtime: Runtime) -> onnxruntime.InferenceSession:
    try:
        return open_session(weights, runtime)
    except ProviderError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
        raise WeightsError(
            f"model {entry.name}: ONNX Runtime {onnxruntime.__version__} cannot load it: {error}"
        ) from error


def _check_signature(entry: ModelEntry, session: onnxruntime.InferenceSession) -> None:
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise WeightsError(f"model {entry.name}: has {len(inputs)} inputs; only detectors with one can be used")
    shape, wanted = inputs[0].shape, entry.input.shape
    free = all(not isinstance(found, int) or found == want for found, want in zip(shape, wanted, strict=False))
    if len(shape) != len(wanted) or not free:
        raise WeightsError(f"model {entry.name}: takes input {shape}, the manifest says {list(wanted)}; correct it")
    if inputs[0].type != _ELEMENT_TYPE[entry.input.dtype]:
        raise WeightsError(f"model {entry.name}: takes {inputs[0].type}, the manifest says {entry.input.dtype}")
    names = [output.name for output in session.get_outputs()]
    missing = [name for name in entry.output.tensors if name not in names]
    if missing:
        raise WeightsError(f"model {entry.name}: has no output {missing[0]}; it has {', '.join(names)}")
