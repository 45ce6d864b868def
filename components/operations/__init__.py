"""Live tools that work on any two clusters: calls, evidence, verdict, report. They know the model and nothing else."""
