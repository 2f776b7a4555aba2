"""How do we see it? Records and plans in, HTML, spreadsheets and metrics out."""
