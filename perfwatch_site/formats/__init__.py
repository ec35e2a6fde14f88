"""How numbers and times are written, by language."""
