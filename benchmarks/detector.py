"""What a frame costs the detector, and how much of that is our own code: ratios of routines timed in turns.

    python -m benchmarks.detector [--clip vtest.avi] [--rounds 60]

The frame is one of 768x576 from Debian opencv-doc's vtest.avi, one thread throughout. Baselines of the same run: the
bare network (``session.run`` on a finished tensor), OpenCV's own suppression, and a plain resize.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models import ECONOMY, Detector, load_detector
from models.detector import read_weights
from models.evaluation import time_side_by_side
from models.runtime import onnxruntime
from models.suppression import suppress

VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")
CROWD = 200
OVERLAP = 0.5


def read_frame(clip: Path) -> NDArray[np.uint8]:
    """The clip's first frame."""
    there, frame = cv2.VideoCapture(str(clip)).read()
    if not there:
        raise SystemExit(f"{clip} cannot be read; install Debian's opencv-doc or give --clip")
    return frame.astype(np.uint8, copy=False)


def bare_network(detector: Detector, frame: NDArray[np.uint8]) -> Callable[[], object]:
    """The network alone, as the product sets it up, on a tensor that is ready."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    weights = read_weights(detector.entry)
    session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    tensor = cv2.resize(frame, (detector.entry.input.width, detector.entry.input.height))[None]
    return lambda: session.run(["boxes", "scores"], {"image": tensor})


def crowd() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """200 boxes in clusters: the most that ever enter suppression."""
    random = np.random.default_rng(1)
    corner = np.repeat(random.uniform(0, 0.8, (CROWD // 5, 2)), 5, axis=0) + random.normal(0, 0.01, (CROWD, 2))
    boxes = np.concatenate([corner, corner + random.uniform(0.08, 0.12, (CROWD, 2))], axis=1)
    return boxes.astype(np.float32), random.uniform(0, 1, CROWD).astype(np.float32)


def show(title: str, routines: Mapping[str, Callable[[], object]], rounds: int) -> None:
    """Time routines in turns and print them beside the first."""
    print(f"\n{title}")
    for timing in time_side_by_side(routines, rounds, time.perf_counter):
        print(f"  {timing.name:44s} median {timing.median_ms:8.3f} ms   ratio {timing.ratio:6.3f}")


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, default=VTEST)
    parser.add_argument("--rounds", type=int, default=60)
    wanted = parser.parse_args()
    cv2.setNumThreads(1)
    frame = read_frame(wanted.clip)
    default, economy = load_detector(), load_detector(ECONOMY)
    size = (default.entry.input.width, default.entry.input.height)
    show(
        "One frame of 768x576, against the bare network",
        {
            f"bare network of {default.entry.name}": bare_network(default, frame),
            f"whole detect of {default.entry.name}": lambda: default.detect(frame, floor=0.25),
            f"whole detect of {economy.entry.name}": lambda: economy.detect(frame, floor=0.25),
            "plain resize": lambda: cv2.resize(frame, size),
        },
        wanted.rounds,
    )
    boxes, scores = crowd()
    corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()
    listed = scores.tolist()
    show(
        f"Suppression of {CROWD} boxes, against OpenCV's",
        {
            "cv2.dnn.NMSBoxes": lambda: cv2.dnn.NMSBoxes(corners, listed, 0.0, OVERLAP),
            "ours": lambda: suppress(boxes, scores, OVERLAP, CROWD),
        },
        wanted.rounds * 10,
    )


if __name__ == "__main__":
    main()
