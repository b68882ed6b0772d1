"""15 Natural language processing: applications."""
