"""What handlers of several tags need."""
