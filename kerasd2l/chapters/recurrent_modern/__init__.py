"""Modern recurrent networks: gates, depth, both directions, and from there to translation."""
