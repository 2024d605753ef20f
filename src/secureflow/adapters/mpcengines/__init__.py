"""Engines for computation among parties: `application.ports.mpcengine`."""

from __future__ import annotations
