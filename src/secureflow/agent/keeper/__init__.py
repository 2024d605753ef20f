"""What an agent answers others at its own address: as a witness, and as a keeper of anchors."""
