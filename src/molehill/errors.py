"""The errors that Molehill raises when a caller or a file is at fault.

    MolehillError
    ├── ConfigError        sizes or choices of a model or a recipe contradict one another
    ├── CheckpointError    a file of weights is damaged, hostile, incomplete or of an unknown kind
    ├── TextError          a text, word or token cannot be used as asked
    ├── SenseError         vectors and senses that do not fit one another
    ├── FactError          a fact that cannot be asked, located, written or rewritten as it stands
    ├── GeometryError      vectors, dimensions or angles that cannot be as they are given
    ├── SiteError          a place in the model that does not exist, or a value that does not fit it
    ├── TrainingError      a run of training that cannot start, go on or be trusted
    └── MissingExtraError  an optional library is needed and not installed

Each message holds what was found, what was expected and what to do about it. What we believe
ourselves is an `assert` with a sentence instead. This module knows nothing else of the project.
"""

__all__ = [
    "CheckpointError",
    "ConfigError",
    "FactError",
    "GeometryError",
    "MissingExtraError",
    "MolehillError",
    "SenseError",
    "SiteError",
    "TextError",
    "TrainingError",
]


class MolehillError(Exception):
    """Something that the caller can mend: the message says how. The command line prints it in one
    line and exits 2."""


class ConfigError(MolehillError):
    """Sizes or choices of a model, or keys of a recipe, that cannot go together."""


class CheckpointError(MolehillError):
    """A file of weights that is damaged, hostile, incomplete or of an unknown kind."""


class TextError(MolehillError):
    """A text, word or token that cannot be used as asked."""


class SenseError(MolehillError):
    """Vectors and the senses they are said to have that do not fit one another."""


class FactError(MolehillError):
    """A fact that cannot be asked, located, written or rewritten as it stands: a subject that its
    prompt does not have, a file of facts of another form, an edit that belongs to another model."""


class GeometryError(MolehillError):
    """Vectors, dimensions or angles that cannot be as they are given: one vector has no angle, a
    row of zeros has no direction."""


class SiteError(MolehillError):
    """A place in the model that does not exist, or a value that does not fit it."""


class TrainingError(MolehillError):
    """A run of training that cannot start, go on or be trusted: a folder that holds another run, a
    loss that is no number, a disk that is full, a process that was lost."""


class MissingExtraError(MolehillError):
    """An optional library is needed; the message names the extra that installs it."""
