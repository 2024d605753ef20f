"""The specs that parties sign: what all have in common, and one module for each kind of job."""
