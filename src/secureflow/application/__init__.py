"""Use cases, the job runner, and the ports that adapters implement."""
