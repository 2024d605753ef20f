"""What each party's updates were worth to the model: Shapley values, and their estimate.

A game's players are the parties of a round, its value the measure of the model that a coalition's
updates make. The value is a vector: one entry for each party, which is how the others' rows judge
(`views`). So no entry of a party depends on rows that it brought itself.
"""
