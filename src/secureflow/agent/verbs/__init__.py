"""The centre's requests to an agent: verbs, their checked bodies and their handlers."""
