"""InvokeModel: each family of models in its own body and answer."""
