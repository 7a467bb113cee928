"""Models: the broker and the clients behind it. Importing this loads neither LiteLLM nor llama.cpp."""

from hyperagent.models.broker import LocalBroker
from hyperagent.models.catalogue import LocalModel, choose_local, known_model, known_models, model_directory, model_path
from hyperagent.models.client import LiteLLMClient, Prices
from hyperagent.models.embedding import Embedder, EmbeddingReply, EmbeddingRequest
from hyperagent.models.local import LocalModels
from hyperagent.models.payment import UselessReply
from hyperagent.models.planted import PlantedClient
from hyperagent.models.pull import pull
from hyperagent.models.rerecord import RecordedCalls
from hyperagent.models.router import RoutingClient, probe
from hyperagent.models.scripted import FaultyClient, MemoryRecorder, ScriptedClient
from hyperagent.models.uniform import UniformClient

__all__ = [
    "Embedder",
    "EmbeddingReply",
    "EmbeddingRequest",
    "FaultyClient",
    "LiteLLMClient",
    "LocalBroker",
    "LocalModel",
    "LocalModels",
    "MemoryRecorder",
    "PlantedClient",
    "Prices",
    "RecordedCalls",
    "RoutingClient",
    "ScriptedClient",
    "UniformClient",
    "UselessReply",
    "choose_local",
    "known_model",
    "known_models",
    "model_directory",
    "model_path",
    "probe",
    "pull",
]
