"""What a party contributes to each kind of job."""
