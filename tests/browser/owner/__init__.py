"""The owner's page that was built for browsers."""
