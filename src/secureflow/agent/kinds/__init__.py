"""A party's contribution to each kind of job."""
