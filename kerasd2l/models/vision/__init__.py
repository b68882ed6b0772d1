"""Networks for pictures, one architecture a file."""
