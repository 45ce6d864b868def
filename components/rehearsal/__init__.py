"""The embedded stage: two real clusters on one Linux machine, and what runs on them."""
