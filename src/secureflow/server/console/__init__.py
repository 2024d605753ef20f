"""The web console: the pages that people's browsers load from the centre."""
