"""Computations among parties: programs of the catalogue, what they add up, and what follows."""
