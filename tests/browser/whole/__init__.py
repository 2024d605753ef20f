"""The whole, as people meet it: the console and two owners' pages, with their real agents."""
