"""What the owner's page shows: typed, from the answers of the agent's socket, and nothing else."""
