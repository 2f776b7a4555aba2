"""The package's one exception."""


class ScenarioError(ValueError):
    """A scenario, trace or setting that cannot be used; the message is one line: file, key, value and fix."""
