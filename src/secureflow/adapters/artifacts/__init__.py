"""Content-addressed blobs."""

from secureflow.adapters.artifacts.files import FileArtifacts, ScratchFiles
from secureflow.adapters.artifacts.together import ReadTogether

__all__ = ["FileArtifacts", "ReadTogether", "ScratchFiles"]
