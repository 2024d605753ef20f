"""What the owner decides: consent, inbox, publications, privacy budgets, backups."""
