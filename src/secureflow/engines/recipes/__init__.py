"""Fitting a preparation together: rounds of masked sums, whose outcome is a recipe."""
