"""Ramping a mirror up by deployments, step by step, as long as nothing suffers."""
