"""Speed and accuracy of the packages, as ratios against a reference in the same run."""
