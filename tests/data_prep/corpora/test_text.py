"""Lists in the encodings and dialects that spreadsheets write."""

import os

import pytest
from data_prep_support import lines, write_tree

from data_prep.config import CorpusConfig
from data_prep.corpora import read_corpus
from data_prep.corpora.corpus import Corpus
from data_prep.corpora.text import read_rows
from data_prep.errors import DataError

NAMES = [f"rec{i}.wav" for i in range(10)]
LABELS = ["Straße", "Café"] * 5
ROWS = [(n, s, f"l{i}") for i, (n, s) in enumerate(zip(NAMES, LABELS, strict=True))]
HEADER = ("file", "label", "location")


def read(tmp_path, content: bytes, name="meta.csv") -> Corpus:
    return read_corpus(write_tree(tmp_path, {name: content}, NAMES))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize(("sep", "before"), [("\t", ""), (",", ""), (";", ""), (";", "sep=;\r\n"), ("|", "sep=|\r\n")])
def test_every_encoding_and_separator_gives_the_same_clips(tmp_path, encoding, sep, before):
    """UTF-8, UTF-16 or Windows-1252, by TAB, comma, semicolon or what `sep=` says: the same data set is detected."""
    plain = read(tmp_path / "plain", lines(HEADER, *ROWS).encode())
    other = read(tmp_path / "other", (before + lines(HEADER, *ROWS, sep=sep, end="\r\n")).encode(encoding))
    assert (other.layout, other.clips, other.folds) == ("table", plain.clips, plain.folds)
    assert other.classes == ("Café", "Straße")
    guessed = [warning for warning in other.warnings if "read as Windows-1252" in warning]
    assert len(guessed) == (1 if encoding == "cp1252" else 0)


def test_columns_and_lines_that_spreadsheets_leave_behind_are_passed_over(tmp_path):
    """Nameless columns, before or behind the others, and lines of separators alone say nothing."""
    text = lines(*((str(i), *row, "", "") for i, row in enumerate(ROWS)), sep=",")
    corpus = read(tmp_path, f",{','.join(HEADER)},,\n{text},,,,,\n , , ,,,\n".encode())
    assert [clip.filename for clip in corpus.clips] == NAMES
    assert corpus.clips[1].scene == "Café"


def test_lists_of_folds_are_read_alike(tmp_path):
    """TAU's lists saved by a spreadsheet, with semicolons in UTF-16, are the lists; odd line ends tear no cell."""
    head = ("filename", "scene_label", "identifier")
    train = lines(head, *((n, "a\u2028b\x85c" if i % 2 else "c", f"p{i}") for i, n in enumerate(NAMES[:6])), sep=";")
    test = lines(head, *((n, "a\u2028b\x85c" if i % 2 else "c", f"q{i}") for i, n in enumerate(NAMES[6:])), sep=";")
    files = {f"evaluation_setup/fold1_{k}.csv": t.encode("utf-16") for k, t in (("train", train), ("evaluate", test))}
    corpus = read_corpus(write_tree(tmp_path, files, NAMES))
    assert (corpus.layout, corpus.classes) == ("tau", ("a\u2028b\x85c", "c"))
    assert list(corpus.folds[1].values()) == ["train"] * 6 + ["test"] * 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file,label\n" + b"\0" * 20, r"meta\.csv: cannot be read as a list .* contains NUL bytes.* Save it as UTF-8"),
        (
            "file,label\nä".encode("utf-16-le"),
            "contains NUL bytes, so it is damaged, or UTF-16 without a byte order mark",
        ),
        (b"\xff\xfefile\x81", r"meta\.csv: cannot be read as a list"),
        (
            b'file,label\nrec0.wav,"rain\nrec1.wav,rain\n',
            r"meta\.csv, line 3: .* quotation mark may be unclosed",
        ),
        (b'file,label\nrec0.wav,"' + b"x" * 140_000, r"meta\.csv, line 2: cannot be read as a list: field larger than"),
        (
            b"file,label,file\nrec0.wav,rain,x\n",
            r"meta\.csv: the first line contains a column name twice: file, label, file",
        ),
    ],
)
def test_a_table_that_cannot_be_read_says_why_also_when_layouts_are_detected(tmp_path, content, message):
    """Damage to the only table is what is told, not that there is none."""
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)
    with pytest.raises(DataError, match=message):
        read_corpus(tmp_path, CorpusConfig(table="meta.csv"))


def test_a_broken_meta_table_is_not_passed_over_for_another(tmp_path):
    """meta.csv counts before other tables: where it is broken, another is not read in its place."""
    root = write_tree(tmp_path, {"meta.csv": b"\0", "other.csv": lines(HEADER, *ROWS)}, NAMES)
    with pytest.raises(DataError, match=r"meta\.csv: cannot be read as a list"):
        read_corpus(root)


def test_files_that_were_looked_at_are_named_with_the_reason(tmp_path):
    """Where no layout is detected, tables without a column of files are named, with the columns that they have."""
    root = write_tree(tmp_path, {"a.csv": "sound;kind\nrec0.wav;rain\n", "._a.csv": b"\0"}, NAMES)
    with pytest.raises(DataError, match=r"expected: .*\nTried: .*a\.csv: has no column of files .*sound, kind") as e:
        read_corpus(root)
    assert "._a.csv" not in str(e.value)


def test_lists_that_are_no_files_are_refused_and_not_waited_for(tmp_path):
    """A named pipe, a device, a folder in the place of a list: refused at once."""
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    (tmp_path / "folder.csv").mkdir()
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(1 << 40)
    for name in ("pipe.csv", "zero.csv", "folder.csv"):
        with pytest.raises(DataError, match=rf"{name}: is not a file"):
            list(read_rows(tmp_path / name))
    with pytest.raises(DataError, match=r"huge\.csv: has 1,099,511,627,776 bytes; at most"):
        list(read_rows(tmp_path / "huge.csv"))


def test_lines_are_numbered_as_an_editor_numbers_them(tmp_path):
    """Blank lines and a line `sep=;` count, so that a message names the line that is wrong."""
    (tmp_path / "a.csv").write_text("sep=;\n\nfile;split\n\nrec0.wav;train\nrec1.wav;dev\n")
    with pytest.raises(DataError, match=r"a\.csv, line 6: 'dev' is not a split"):
        read_corpus(tmp_path)


def test_a_named_column_finds_its_table(tmp_path):
    """--file-column alone picks the only table that has it; where none has, the tables looked at are named."""
    text = lines(("Datei", "Klasse", "Ort"), *ROWS, sep=";")
    root = write_tree(tmp_path, {"liste.csv": text, "other.csv": "file;label\n"}, NAMES)
    config = CorpusConfig(file_column="Datei", label_column="Klasse", location_column="Ort")
    assert len(read_corpus(root, config).clips) == len(NAMES)
    with pytest.raises(DataError, match=r"column of files \(Ton\)\. .*\nTried: .*liste\.csv: .*Datei, Klasse, Ort"):
        read_corpus(root, CorpusConfig(file_column="Ton"))
