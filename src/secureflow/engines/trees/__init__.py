"""Gradient boosted trees from summed histograms: arithmetic that parties and adders share."""
