"""Files of a candidate's folder: which are those of a device's network, whatever the device is called."""

from __future__ import annotations

import pytest

from asc_models.candidate import device_folder, is_device_file


@pytest.mark.parametrize("device", ["a", "s1", "../x", "..", "iPhone 6/left", "Gerät", "a.b", "C:\\x"])
def test_a_device_of_any_name_has_a_folder_inside(device):
    """Its name is one component below `devices`, and differs from others' names."""
    folder = device_folder(device)
    assert folder.count("/") == 1
    assert is_device_file(f"{folder}/model.tflite")
    assert is_device_file(f"{folder}/config.yaml")
    assert folder != device_folder(f"{device}_")


@pytest.mark.parametrize(
    "name",
    [
        *("devices/a/model.keras", "devices/../model.tflite", "devices/./config.yaml", "devices//model.tflite"),
        *("devices/a/b/model.tflite", "model.tflite", "x/a/model.tflite", "devices/a\\b/model.tflite"),
    ],
)
def test_other_paths_are_no_device_files(name):
    """Neither paths that leave the folder nor files that are not needed to run a network."""
    assert not is_device_file(name)
