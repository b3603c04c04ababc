"""What a request passes before it is dispatched, and what every answer carries."""
