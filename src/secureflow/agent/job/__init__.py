"""What every verb of a job needs at this agent: its context, guards, checked requests and files."""
