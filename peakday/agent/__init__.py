"""The assistant asked, scored and measured by itself."""
