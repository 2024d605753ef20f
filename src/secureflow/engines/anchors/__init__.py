"""What others than the operator are to keep: heads of the log and business events (`entries`)."""
