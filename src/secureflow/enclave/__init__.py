"""The attested worker: opens sealed updates, folds them, releases only what the plan allows."""
