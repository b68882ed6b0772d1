"""Networks for sequences, one architecture a file."""
