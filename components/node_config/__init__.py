"""Node configurations made from the repository's own: other roles, several router workers, links to other nodes."""

from components.node_config.generate import generate
from components.node_config.plan import ImpossiblePlan, NodePlan, PeerNode, read_peer

__all__ = ["ImpossiblePlan", "NodePlan", "PeerNode", "generate", "read_peer"]
