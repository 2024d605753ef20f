"""What the centre may ask of an agent: verbs, their checked requests and their handlers."""
