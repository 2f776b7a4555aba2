"""What does the world cost and allow? Data files with source and date, one typed reader."""
