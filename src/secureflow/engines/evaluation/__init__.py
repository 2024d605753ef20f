"""Measuring a model on others' rows: sums that parties add up, and the figures that they give."""
