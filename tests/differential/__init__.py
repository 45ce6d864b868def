"""The linter's claims held against istiod in memory, on random meshes: ``python -m tests.differential``."""
