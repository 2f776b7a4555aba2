"""Intent and complexity of a message, and the model that answers it."""
