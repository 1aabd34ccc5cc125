"""Which output kinds there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from models.fitting import InputSpec
from models.outputs.base import OutputDecoder
from models.outputs.contract import ContractOutput
from models.outputs.distribution import DistributionOutput
from models.outputs.ssd import SsdListsOutput, SsdOutput
from models.outputs.yolox import YoloxOutput
from models.tables import Table

OUTPUT_KINDS: Final[Mapping[str, Callable[[Table, InputSpec], OutputDecoder]]] = {
    "contract": ContractOutput.read,
    "yolox": YoloxOutput.read,
    "nanodet": DistributionOutput.read_nanodet,
    "picodet": DistributionOutput.read_picodet,
    "ssd": SsdOutput.read,
    "ssd-lists": SsdListsOutput.read,
}


def read_output(table: Table, shape: InputSpec) -> OutputDecoder:
    """The decoder that an entry's ``output`` table describes.

    Raises:
        ManifestError: the kind is unknown, or one of its settings is missing, wrong or unknown.
    """
    return OUTPUT_KINDS[table.choice("kind", list(OUTPUT_KINDS))](table, shape)
