"""Timetables: one job run again and again, at the times that its owners approved."""
