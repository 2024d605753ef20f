"""Jobs that are made of other jobs: sweeps, pipelines, timetables."""
