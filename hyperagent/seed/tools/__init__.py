"""Tools that the meta agent offers a model: each has a description (OpenAI function) and a function that runs it."""
