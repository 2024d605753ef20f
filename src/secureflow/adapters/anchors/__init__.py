"""Places that keep anchors: chains, chaincodes, and files of other parties."""
