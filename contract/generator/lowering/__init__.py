"""Lowers a document to what the templates need, and refuses what no code can be generated from."""
