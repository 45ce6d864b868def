"""The machine: processes, namespaces, packages and memory, and what has to be there."""
