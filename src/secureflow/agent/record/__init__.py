"""What an agent may never forget, the file behind it, and what a restored copy does not know."""
