"""What runs inside a Crossbar router worker: tickets, authorisation, relay and market API. Knows nothing of exchanges."""
