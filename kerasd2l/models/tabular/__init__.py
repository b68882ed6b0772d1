"""Networks for tables and numbers, one architecture a file."""
