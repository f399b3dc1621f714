"""A trained model as files that others can use: ONNX and safetensors, preprocessing, model card, a search without torch."""
