"""What operators ask and do: the procedures ``node.…`` of realm ``ops``, answered for all router workers of the node."""
