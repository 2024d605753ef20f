"""What drives a job: the runner of effects, its journal, its recovery, and its ends."""
