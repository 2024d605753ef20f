"""The JSON API of the owner's page: the same process, guards and sessions as its pages."""
