"""The builders' guide: blocks, parameters, layers of one's own, files, devices."""
