"""Channels that carry notifications out: signed webhooks, and e-mail."""
