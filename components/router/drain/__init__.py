"""How a node leaves without hurting its clients."""
