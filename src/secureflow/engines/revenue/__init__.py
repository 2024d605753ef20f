"""Revenue: who gets how much of what a job earned, by an agreement that the members signed."""
