"""What can go wrong with a detector, as one tree. Every message names the thing, the cause and the remedy."""


class ModelError(Exception):
    """Root of everything that this package raises on purpose."""


class ManifestError(ModelError):
    """A manifest cannot be read, or an entry of it is wrong; the message names file, model and key."""


class UnknownModel(ModelError):
    """No manifest in use holds a model of that name."""


class WeightsError(ModelError):
    """The weights are missing, differ from their sha256, or do not fit what the manifest says of them."""


class ProviderError(ModelError):
    """What the network is to be computed with is not available on this machine."""


class OutputError(ModelError):
    """The network's outputs do not have the shape that the manifest's output kind promises."""


class FrameError(ModelError, ValueError):
    """A frame is not an 8-bit BGR picture of shape [height, width, 3]."""


class RecipeError(ModelError):
    """The weights could not be built from their source."""


class DatasetError(ModelError):
    """A folder of labelled frames cannot be used at all."""
