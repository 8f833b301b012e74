"""Listeners: what each is set up for, whose its connections are, and how many it takes."""
