"""Source of the expiry guard's image: its files are copied to one folder and run there as scripts.

Nothing else imports them, and they need nothing but Python's standard library.
"""
