"""What the exchange sends, written to files as it came. Takes the feed's connections; knows nothing of buses and routers."""
