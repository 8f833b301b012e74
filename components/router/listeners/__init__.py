"""What stands at the doors of a node: TLS, HTTP and WebSocket handshakes, before anything of WAMP is read."""
