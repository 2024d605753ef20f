"""Engines for computation among parties (`application.ports.mpcengine`)."""
