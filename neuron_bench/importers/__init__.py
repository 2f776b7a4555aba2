"""Files of others become bench records, checked row by row."""
