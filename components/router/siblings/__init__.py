"""The router workers of one node, which share its public port: how one of them asks all."""
