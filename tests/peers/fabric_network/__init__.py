"""A network of two organisations in one process, which runs in Fabric's own environment."""
