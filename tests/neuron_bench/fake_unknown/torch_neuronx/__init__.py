"""A fake of a torch_neuronx that is of no line we know: neither `.trace` nor a device."""
