"""The exceptions that the core raises: each message is a sentence that says what is wrong and what to do."""


class StyleTransferError(Exception):
    """Base of all errors that are shown to people as they are: one line of text, whatever the names and values in it are."""

    def __str__(self):
        text = "".join(c if c.isprintable() else " " for c in super().__str__())
        return text if len(text) <= 400 else f"{text[:200]} ... {text[-190:]}"


class InputError(StyleTransferError):
    """A picture or a parameter that cannot be worked with."""


class CheckpointError(StyleTransferError):
    """Weights that are missing, damaged, or do not belong together."""


class HubError(StyleTransferError):
    """The Hugging Face Hub cannot be reached, refuses, or answers with something else than what was asked for."""
