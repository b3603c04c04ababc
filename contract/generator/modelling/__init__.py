"""Makes the document that models are made of."""
