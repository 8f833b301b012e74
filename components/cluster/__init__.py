"""The topology of ``docker/compose.yaml`` as processes of this machine, faults in it, and clients that tell what was lost."""
