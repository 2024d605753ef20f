"""Content-addressed blobs."""

from secureflow.adapters.artifacts.files import FileArtifacts

__all__ = ["FileArtifacts"]
