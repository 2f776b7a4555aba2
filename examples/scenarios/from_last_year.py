"""Last year's counts become a scenario. The counts are made up: nine days, ten minutes a row, one hour missing."""

from pathlib import Path

from scenarios.fitting import Growth, fit

here = Path(__file__).parent
history = here / "last_years_counts.csv"

# What the file itself says about growth from one day to the next ...
learned = fit(history, name="this_year", length_s=86_400.0, parent="steady_day", out_folder=here)
print(*learned.report, sep="\n")

# ... and what the business expects from one year to the next, which is another question.
stated = fit(
    history, name="this_year", length_s=86_400.0, growth=Growth(1.1, 1.4, 2.2), parent="steady_day", out_folder=here
)
print()
print(stated.text, end="")
