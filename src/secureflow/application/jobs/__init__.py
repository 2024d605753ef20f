"""From what a person asks for to a job that its owners can decide on: drafts, prices, rosters."""
