"""The specs that parties sign: the common part, and one module for each kind of job."""
