"""How many chips, what hit rate, what cost? Records and prices in, `Plan` out."""
