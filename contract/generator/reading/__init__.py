"""Reads a document: its text, its words, and what they refer to, in those of OpenAPI 3.1."""
