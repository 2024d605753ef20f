"""Robust aggregation of single updates: arithmetic on blocks, whoever reads them.

Coordinate rules (`coordinates`) need one block of all parties at a time. The others need the inner
products of the updates (`distances`): these say how the updates count, and a second reading adds
them up so. No rule holds more than a block of each update.
"""
