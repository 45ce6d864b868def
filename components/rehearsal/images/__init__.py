"""The container images of the stage: built here, cached by content, imported without a registry."""

from .build import GREETER_SOURCE, Image, ensure_images, prepare_images, python_app_image

__all__ = ["GREETER_SOURCE", "Image", "ensure_images", "prepare_images", "python_app_image"]
