"""Hyperledger Fabric as a place for anchors: `driver` here, `gateway` in an interpreter of its own."""
