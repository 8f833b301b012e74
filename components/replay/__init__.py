"""Recordings and Binance's public trade dumps, read as one stream of frames by time. Knows nothing of sockets."""
