"""Hyperledger Fabric as a place for anchors: `driver` here, `gateway` in its own interpreter."""
