"""Private set intersection: what both sides do alike with their keys, and what is counted of it."""
