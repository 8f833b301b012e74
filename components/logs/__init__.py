"""What is printed of what is logged: as text for people or JSON for machines, bounded and without tokens, in every process."""
