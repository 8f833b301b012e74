"""How operators see and change what the feeds follow."""
