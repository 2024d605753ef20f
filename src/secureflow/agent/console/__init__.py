"""The owner's page: a process of its own, which asks the agent over its control socket."""
