"""Channels from this agent to the agents of its peers."""
