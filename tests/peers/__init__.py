"""In-memory other sides of our protocols, shared by unit and security tests."""
