"""How good a detector is on a folder of labelled footage, and how fast beside a baseline in the same run."""

from models.evaluation.dataset import Dataset, open_dataset
from models.evaluation.latency import Timing, time_side_by_side
from models.evaluation.report import Report, evaluate
from models.evaluation.scoring import Score, score
from models.evaluation.yardsticks import BARS, Verdict

__all__ = [
    "BARS",
    "Dataset",
    "Report",
    "Score",
    "Timing",
    "Verdict",
    "evaluate",
    "open_dataset",
    "score",
    "time_side_by_side",
]
