"""The REST API: thin handlers over the use cases; HTTP is spoken here and nowhere below."""
