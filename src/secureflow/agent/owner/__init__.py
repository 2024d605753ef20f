"""The owner's decisions: consent, inbox, publications, privacy budgets, backups."""
