"""What an account goes through, whichever operation asks for it."""
