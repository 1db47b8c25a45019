"""`asc predict`: scenes of recordings, by an exported candidate or ensemble."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_prep.errors import ConfigError
from search.cli.options import JsonOption, SystemArgument, terminal
from search.cli.predict_stream import (
    STDIN,
    ChannelsOption,
    EveryOption,
    FormatOption,
    MicrophoneOption,
    RateOption,
    StreamOptions,
    until_interrupted,
    windows,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from asc_models.classifier import Answer, Classifier
    from data_prep.errors import DataError
    from search.cli.screen.terminal import Terminal


AudioArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="AUDIO...",
        help="Audio files, or folders of them; - reads standard input: WAV, FLAC or raw samples.",
        show_default=False,
    ),
]
TopOption = Annotated[int, typer.Option("--top", min=1, help="Scenes to print per recording.")]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="Recording device of all AUDIO, if known: its network answers, if the candidate has one.",
        show_default=False,
    ),
]
WindowsOption = Annotated[
    bool, typer.Option("--windows", help="Answer for each window of a recording, not for their mean.")
]
CsvOption = Annotated[
    Path | None,
    typer.Option("--csv", metavar="FILE", help="Write all probabilities to this CSV file.", show_default=False),
]


def predict(
    candidate: SystemArgument,
    audio: AudioArgument = None,
    top: TopOption = 3,
    device: DeviceOption = None,
    by_window: WindowsOption = False,
    every: EveryOption = None,
    rate: RateOption = None,
    channels: ChannelsOption = None,
    sample_format: FormatOption = None,
    microphone: MicrophoneOption = None,
    csv: CsvOption = None,
    as_json: JsonOption = False,
) -> None:
    """Classify recordings with an exported candidate or ensemble, including feature extraction.

    Recordings longer than the clips that the network was trained on are cut into windows that cover them; the answer is
    the mean over the windows. Every recording that can be read is answered; the exit code is 1 if one cannot.

    Standard input, a microphone, and files with --every are answered window by window, each as soon as it has been
    read; with --json in a line each. The last window ends where the stream ends.
    """
    from asc_models.classifier import Classifier

    options, given = StreamOptions(every, rate, channels, sample_format, microphone), audio or []
    is_stream = options.is_stream(given)
    if not given and microphone is None:
        raise typer.BadParameter("name at least one file or folder, - or --microphone", param_hint="AUDIO...")
    if is_stream and csv is not None:
        raise ConfigError("--csv: streams are not written as a table. Use --json > FILE: a line per window.")
    failures: dict[str, DataError] = {}
    classifier = Classifier(candidate, device=device)
    if device is not None and device not in classifier.devices:
        terminal().warn(_no_network(device, classifier))
    if is_stream:
        alone: list[Path | None] = [None] if microphone is not None else [STDIN]
        sources = alone if options.is_alone(given) else dict.fromkeys(_files(given, failures))
        _answer_streams(classifier, options, sources, failures, top, as_json)
    else:
        answers = _answer_files(classifier, given, failures, None if as_json else top, by_window)
        if as_json:
            terminal().json([*_plain(answers, classifier.classes, by_window), *_failed(failures)])
        if csv is not None:
            _write(csv, answers, classifier.classes, by_window)
            terminal().note(f"Written: {csv}")
    if failures:
        raise typer.Exit(1)


def _no_network(device: str, classifier: Classifier) -> str:
    """Return that a device has no network, and which have."""
    others = f"; it has networks of {', '.join(classifier.devices)}" if classifier.devices else ""
    return f"--device {device}: {classifier.path} has no network of this device{others}. The general one answers."


def _answer_files(
    classifier: Classifier, audio: Sequence[Path], failures: dict[str, DataError], top: int | None, by_window: bool
) -> dict[str, Answer]:
    """Return the answers to whole recordings, each printed at once unless `top` is None."""
    from data_prep.errors import DataError

    screen = terminal()
    answers: dict[str, Answer] = {}
    for path in dict.fromkeys(_files(audio, failures)):
        try:
            answer = classifier.answer(path)
        except DataError as error:
            failures[str(path)] = error
            screen.error(str(error))
            continue
        answers[str(path)] = answer
        for warning in answer.warnings:
            screen.warn(f"{path}: {warning}")
        if top is not None:
            _show(screen, str(path), answer, classifier.classes, top, by_window)
    return answers


def _answer_streams(
    classifier: Classifier,
    options: StreamOptions,
    sources: Iterable[Path | None],
    failures: dict[str, DataError],
    top: int,
    as_json: bool,
) -> None:
    """Print the answer to each window of each stream as soon as it is known, until Ctrl-C."""
    from data_prep.errors import DataError

    screen = terminal()
    with until_interrupted(screen) as require_uninterrupted:
        for path in sources:
            file = "microphone" if path is None else str(path)
            try:
                for answer in windows(classifier, options, path, screen):
                    require_uninterrupted()
                    if as_json:
                        screen.json_line(*_plain({file: answer}, classifier.classes, by_window=True))
                    else:
                        name = "" if options.is_alone([path]) else file
                        _show(screen, name, answer, classifier.classes, top, by_window=True)
            except DataError as error:
                failures[file] = error
                screen.error(str(error))
                if as_json:
                    screen.json_line(*_failed({file: error}))


def _files(audio: Sequence[Path], failures: dict[str, DataError]) -> Iterator[Path]:
    """Yield the files among `audio`, and the audio files below its folders; a folder without any is a failure."""
    from data_prep.corpora.disk import find_audio
    from data_prep.errors import DataError

    for path in audio:
        if not path.is_dir():
            yield path
            continue
        names = list(find_audio(path))
        if not names:
            failures[str(path)] = DataError(f"{path}: contains no audio file")
            terminal().error(str(failures[str(path)]))
        yield from (path / name for name in names)


def _rows(answer: Answer, by_window: bool) -> Iterator[tuple[float, float, npt.NDArray[np.float32]]]:
    """Yield (start, end, probabilities) of each window, or of the whole recording."""
    if not by_window:
        yield 0.0, answer.seconds, answer.probabilities
        return
    for start, probabilities in zip(answer.starts, answer.windows, strict=True):
        yield start, min(start + answer.window_seconds, answer.seconds), probabilities


def _show(
    screen: Terminal, name: str, answer: Answer, classes: Sequence[str], top: int, by_window: bool
) -> None:  # one line each, without a table: paths are long
    for start, end, probabilities in _rows(answer, by_window):
        best = sorted(zip(classes, probabilities.tolist(), strict=True), key=lambda entry: -entry[1])[:top]
        where = f"{start:.2f}–{end:.2f} s" if by_window else ""
        n_windows = f" (mean of {len(answer.starts)} windows)" if not by_window and len(answer.starts) > 1 else ""
        shown = ", ".join(f"{scene} {share:.2f}" for scene, share in best)
        screen.say(f"{' '.join(filter(None, (name, where)))}: {shown}{n_windows}")


def _plain(answers: Mapping[str, Answer], classes: Sequence[str], by_window: bool) -> list[dict[str, Any]]:
    """Return the answers as plain values."""
    plain = []
    for path, answer in answers.items():
        for start, end, row in _rows(answer, by_window):
            probabilities = dict(zip(classes, row.astype(float).tolist(), strict=True))
            window = {"start_s": start, "end_s": end} if by_window else {}
            plain.append({"file": path, **window, "probabilities": probabilities, "warnings": list(answer.warnings)})
    return plain


def _failed(failures: Mapping[str, DataError]) -> list[dict[str, Any]]:
    return [{"file": path, "error": str(error)} for path, error in failures.items()]


def _write(path: Path, answers: Mapping[str, Answer], classes: Sequence[str], by_window: bool) -> None:
    """Write a row per recording, or per window, with its most probable scene and all probabilities."""
    import csv
    import io

    from data_prep.files.files import write_text
    from data_prep.wording import inert

    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(
        [inert(name) for name in ("file", "start_s", "end_s", "scene", *(f"p_{scene}" for scene in classes))]
    )
    for file, answer in answers.items():
        for start, end, row in _rows(answer, by_window):
            times = [f"{seconds:.3f}".rstrip("0").rstrip(".") for seconds in (start, end)]
            shares = [f"{share:.6g}" for share in row.tolist()]
            writer.writerow([inert(file), *times, inert(classes[int(row.argmax())]), *shares])
    write_text(path, table.getvalue())
