"""Who is let in and how much they may do: each realm's gatekeeper, and the gate of each session."""
