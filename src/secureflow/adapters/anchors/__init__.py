"""Places that keep heads and business events: each make of `application.ports.anchor`."""
