"""`secureflow demo --scenario psi`: which customers do two institutions share?"""
