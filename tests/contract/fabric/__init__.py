"""The driver for Hyperledger Fabric against a network of two organisations."""
