"""What the record knows of the file of anchors that this agent keeps for others."""

from __future__ import annotations

from typing import Final

FILE: Final = "anchors.jsonl"
REACHED: Final = "anchors"
"""The fact that says how far the file goes: its lines, and the hash of the last one."""
RESTORED: Final = "anchors/restored"
"""The fact that the file is a backup's, with how many lines it had then at least. A keeper that
went on from there would sign a second line of a number that it signed before: nothing is kept or
answered until the owner states how many lines there were, and the file has them."""
