"""The expiry guard's image: a program that ends mirrors whose time is over."""
