"""What several test files share."""

from torch import nn


def peaked(model, factor=30.0):
    """The same model, in place, with a head `factor` times as large: sure of its next token, as trained models are.

    A tiny model with random weights is nearly uniform, and there a KL turned round, or a temperature left out, cannot be
    seen. The head is untied from the embedding first.
    """
    head = model.get_output_embeddings()
    head.weight = nn.Parameter(head.weight.detach() * factor)
    model.config.tie_word_embeddings = False
    return model
