"""Chapter 13, Computer vision: a file a section."""
