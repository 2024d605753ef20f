"""Measurements that print JSON; `make bench` runs them."""
