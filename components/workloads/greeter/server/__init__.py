"""Source of the greeter's image: its files are copied to one folder and run there as scripts.

Nothing else imports them, so the library does not need what the service needs.
"""
