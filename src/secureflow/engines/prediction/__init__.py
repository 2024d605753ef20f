"""Applying a released model to the owners' rows, where they are: what is kept stays there."""
