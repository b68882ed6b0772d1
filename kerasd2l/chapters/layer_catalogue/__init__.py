"""The layer catalogue: what each layer does to numbers one can follow."""
