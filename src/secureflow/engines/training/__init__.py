"""Federated training: model families, metrics that are sums, the exported model."""
