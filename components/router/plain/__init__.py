"""Sessions of clients that speak plain JSON rather than WAMP: on ``/ws/trade`` and ``/api/stream``."""
