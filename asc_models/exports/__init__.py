"""What a candidate or an ensemble is exported to, for use outside of `asc`: folders with a README each.

| format | module | folder has |
|---|---|---|
| tflite | `tflite.py` | the file of each member, its configuration, labels; `asc` opens it as a candidate or ensemble |
| c | `c_source.py` | each file as a C array that microcontrollers can run, with its shapes and labels |
| onnx | `onnx_model.py` | the float network, from `model.keras` |

Each module returns the content of the files; `data_prep.files.folders` writes them, all or none.
"""
