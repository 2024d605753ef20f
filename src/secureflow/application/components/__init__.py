"""The catalogue of all that can be drawn: kinds of job, and what goes into them."""
