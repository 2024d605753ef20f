"""Content-addressed blobs."""

from secureflow.adapters.artifacts.files import FileArtifacts, ScratchFiles

__all__ = ["FileArtifacts", "ScratchFiles"]
