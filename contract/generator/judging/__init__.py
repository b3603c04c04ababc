"""Judges a document: its values and alternatives, and the code that it becomes."""
