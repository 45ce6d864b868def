"""The collector of recorded traffic: its pod, and the recipe of its image beside it."""
