"""One module per step; a step is never changed once it is released."""
