"""What dependencies would tell their makers, switched off; who sets one of these variables otherwise is obeyed.

https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md,
https://docs.vllm.ai/en/latest/usage/usage_stats.html,
https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
"""

from collections.abc import MutableMapping

OFF = {
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime 1.29 and later calls its makers on Linux too; read when its library is loaded
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_SAFETENSORS_CONVERSION": "1",  # transformers would ask a server to convert a model's pickled weights
}


def switch_off(environment: MutableMapping[str, str]) -> None:
    """Set what is not set."""
    for name, value in OFF.items():
        environment.setdefault(name, value)
