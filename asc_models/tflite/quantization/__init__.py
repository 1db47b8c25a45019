"""Export modes and their quantization.

| mode | kernels | biases, norms, factors | activations |
|---|---|---|---|
| `float32` | float32 | float32 | float32 |
| `float16` | float16 | float16 | float32 |
| `dynamic_range` | int8 from 1,024 values on, float32 below | float32 | int8 in passing |
| `int8_weights` | int8 by channel | float32 | float32 |
| `int4_int8_weights` | int4 where it pays (4,096 values or more, not depthwise), int8 elsewhere | float32 | float32 |
| `int8` | int8 by channel | int32 in integer convolutions, float32 elsewhere | int8 in and between convolutions |

With limits in bytes, `int4_int8_weights` keeps as many large kernels in int8 as they allow, the most sensitive ones
(`mixed.py`).

`dynamic_range` is done by the converter and serves for comparison; the integer modes use ai-edge-quantizer with one
recipe per operator (`recipes.py`, `static.py`). `int8` and `int4_int8_weights` need calibration clips
(`calibration.py`), which do not affect the number of weight bytes: `int8` and `int8_weights` have equally many. The
number of non-zero bytes depends on the weights in every mode; the estimate is an upper bound.
"""
