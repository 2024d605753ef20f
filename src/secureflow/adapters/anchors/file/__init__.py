"""Anchors in the file of another party's agent (`engines.anchors.filed`)."""

from secureflow.adapters.anchors.file.anchor import FileAnchor

__all__ = ["FileAnchor"]
