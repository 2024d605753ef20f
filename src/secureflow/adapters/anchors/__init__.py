"""Places that keep anchors (`application.ports.anchor`), one folder for each make."""
