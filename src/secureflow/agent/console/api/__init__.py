"""The JSON API of the owner's page: in the process and with the guards of the page."""
