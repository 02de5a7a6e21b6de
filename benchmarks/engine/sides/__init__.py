"""The sides. Each module has `make(data, precision, batch)`, and imports nothing that its own environment lacks."""
