"""What every kind of job on many parties' data goes through: consent, admission, rounds, witnesses.

Scripts (`training`, `statistics`) put these steps together; each step is a part of a script.
"""
