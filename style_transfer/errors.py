"""The exceptions that the core raises: each message is a sentence that says what is wrong and what to do."""


class StyleTransferError(Exception):
    """Base of all errors that are shown to people as they are."""


class InputError(StyleTransferError):
    """A picture or a parameter that cannot be worked with."""


class CheckpointError(StyleTransferError):
    """Weights that are missing, damaged, or do not belong together."""


class HubError(StyleTransferError):
    """The Hugging Face Hub cannot be reached, refuses, or answers with something else than what was asked for."""
