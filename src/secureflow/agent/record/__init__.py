"""What an agent must never forget, the file that stores it, and what a restored copy lacks."""
