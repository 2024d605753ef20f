"""Private computation as pure protocols: both sides in one file, no IO, no asyncio."""
