"""The steps that every kind of job shares: consent, admission, rounds, witnesses.

Scripts (`training`, `statistics`) combine these steps; each step is a part of a script.
"""
