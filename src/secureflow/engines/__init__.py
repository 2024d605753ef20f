"""Private computation as pure protocols: both sides in one file, without IO or asyncio."""
