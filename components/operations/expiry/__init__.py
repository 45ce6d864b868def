"""Mirrors and branches that have ended, or soon will: where they are, and how they go."""
