"""A kind of job that the platform does not have: it runs through the tables alone."""
