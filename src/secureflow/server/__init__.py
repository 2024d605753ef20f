"""The coordination centre: REST, gRPC and composition root."""
