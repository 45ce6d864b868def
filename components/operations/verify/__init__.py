"""Verifying mirrors on live clusters: what was sent, what arrived, and why they differ."""
