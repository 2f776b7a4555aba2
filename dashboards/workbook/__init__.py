"""A plan as a workbook that recalculates."""
