"""The market over HTTP: what ``/api`` answers, to whom, and how it is described."""
