"""From a person's request to a job that its owners can decide on: drafts, prices, rosters."""
