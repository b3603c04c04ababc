"""Queries about accounts, their sessions and their sign-ins."""
