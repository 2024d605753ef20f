"""What the engines know of every kind of job."""
