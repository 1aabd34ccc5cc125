"""Decoders: what a network puts out becomes boxes and scores. One file per family; a manifest entry names the family.

Every decoder is a frozen value that is read from the entry's ``output`` table, names the tensors it needs, and turns
them into boxes [N,4] (x1, y1, x2, y2 as fractions of the input canvas) and scores [N,K] (0..1, one column per class of
the network). It never suppresses, never drops a row by score, and knows nothing of people or vehicles.
"""

from models.outputs.base import OutputDecoder, RawBoxes
from models.outputs.registry import OUTPUT_KINDS, read_output

__all__ = ["OUTPUT_KINDS", "OutputDecoder", "RawBoxes", "read_output"]
