"""Errors of frameworks in one line that says something; names of others in Markdown."""

from __future__ import annotations

import pytest

from data_prep.wording import error_line, in_markdown

GRAPH = """Graph execution error:

Detected at node random_normal/RandomStandardNormal defined at (most recent call last):
  File "/tmp/train.py", line 18, in <module>

  File "/tmp/train.py", line 5, in step
    return tf.random.normal([n, m])
OOM when allocating tensor with shape[5000,1000000] and type float on device:CPU:0
\t [[{{node random_normal/RandomStandardNormal}}]]
Hint: If you want to see a list of allocated tensors when OOM happens, add report_tensor_allocations_upon_oom.
 [Op:__inference_h_678]"""
LAYER = """Exception encountered when calling Sequential.call().

\x1b[1mInput 0 of layer 'dense' is incompatible: expected axis -1 to have value 144\x1b[0m

Arguments received by Sequential.call():
  • inputs=tf.Tensor(shape=(4, 9, 9, 1), dtype=float32)"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            GRAPH,
            "OOM when allocating tensor with shape[5000,1000000] and type float on device:CPU:0",
        ),
        (LAYER, "Input 0 of layer 'dense' is incompatible: expected axis -1 to have value 144"),
        (
            "1 validation error for Network\nblocks\n  Field required",
            "1 validation error for Network blocks Field required",
        ),
        ("a\x1b]0;title", "a\\x1b]0;title"),
    ],
)
def test_the_message_is_found_among_stack_traces(text, line):
    """TensorFlow's and Keras's own frames around it are left out, lines are joined, control characters escaped."""
    assert error_line(ValueError(text)) == f"ValueError: {line}"


def test_an_error_without_a_message_is_its_kind():
    """Nothing is left to say but the kind; a long message is cut."""
    assert error_line(MemoryError()) == "MemoryError"
    assert error_line(ValueError("Graph execution error:\n")) == "ValueError"
    assert len(error_line(ValueError("x" * 1000))) == 300


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("street_traffic", "street_traffic"),
        ("_bus_", r"\_bus\_"),
        ("<img src=x>", r"\<img src=x\>"),
        ("![a](https://b.org)", r"\!\[a\](https\://b.org)"),
        ("www.b.org", r"www\.b.org"),
        ("a|b\n\n# c", r"a\|b\\n\\n\# c"),
        ("$x$ `y` *z* &lt;", r"\$x\$ \`y\` \*z\* \&lt;"),
        ("\x1b[2J", r"\\x1b\[2J"),
    ],
)
def test_names_are_shown_as_they_are_in_markdown(name, shown):
    """No emphasis, HTML, image, link, table, heading, formula, entity or control character."""
    assert in_markdown(name) == shown
