"""Damaged traces: the line that the user gets for each."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulator.errors import InputError
from simulator.workloads.traces import open_trace, streams

OWN = "arrival_s,prompt_tokens,output_tokens\n"
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
MOON = '{"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [1, 2]}\n'


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("t.csv", OWN)
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("t.csv"))
    return out.getvalue()


def parquet_cut_off() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"arrival_s": [0.0], "prompt_tokens": [1], "output_tokens": [1]}), out)
    return out.getvalue()[:-20]


def parquet_without_output() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"arrival_s": [0.0], "prompt_tokens": [1]}), out)
    return out.getvalue()


BIG = (OWN + "".join(f"{i},{i % 7 + 1},{i % 5 + 1}\n" for i in range(5000))).encode()
CASES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "an empty file: expected a request trace"),
    "header only": (OWN, "no request in the trace"),
    "unknown header": (
        "a,b,c\n1,2,3\n",
        ":1: not a known trace: its header is 'a,b,c', expected the columns of one of azure",
    ),
    "missing column": ("arrival_s,prompt_tokens\n1,2\n", "not a known trace: its header is 'arrival_s,prompt_tokens'"),
    "column twice": (OWN.strip() + ",prompt_tokens\n0,1,1,1\n", ":1: column 'prompt_tokens' is there twice"),
    "missing value": (OWN + "0,5,6\n1,,6\n", ":3: prompt_tokens is missing: expected a number"),
    "text in a number": (OWN + "0,5,6\n1,many,6\n", ":3: prompt_tokens is 'many': expected a number"),
    "text in a time": (OWN + "soon,5,6\n", ":2: arrival_s is 'soon': expected a number"),
    "NaN": (OWN + "0,nan,6\n", ":2: prompt_tokens is 'nan': expected a number"),
    "infinite": (OWN + "inf,5,6\n", ":2: arrival_s is 'inf': expected a number"),
    "negative time": (OWN + "-1,5,6\n", ":2: arrival_s is '-1': expected a time of at least 0 seconds"),
    "time that goes back": (
        OWN + "5,5,6\n4,5,6\n",
        ":3: arrival_s is '4', earlier than a row before it: expected arrival times in order",
    ),
    "zero prompt": (OWN + "0,0,6\n", ":2: prompt_tokens is '0': expected a whole number from 1 to 10,000,000"),
    "zero output": (OWN + "0,5,0\n", ":2: output_tokens is '0': expected a whole number from 1"),
    "negative tokens": (OWN + "0,-5,6\n", ":2: prompt_tokens is '-5': expected a whole number from 1"),
    "fractional tokens": (OWN + "0,5.5,6\n", ":2: prompt_tokens is '5.5': expected a whole number"),
    "huge tokens": (
        OWN + "0,99999999999,6\n",
        ":2: prompt_tokens is '99999999999': expected a whole number from 1 to 10,000,000",
    ),
    "too many columns": (OWN + "0,5,6,7\n", ":2: 4 columns: expected 3"),
    "too few columns": (OWN + "0,5,6\n1,5\n", ":3: 2 columns: expected 3"),
    "cut-off CSV row": (OWN + "0,5,6\n1,", ":3: 2 columns: expected 3"),
    "Azure date": (AZURE + "yesterday,5,6\n", ":2: TIMESTAMP is 'yesterday': expected a date and time"),
    "Azure order": (
        AZURE + "2023-11-16 18:15:46,5,6\n2023-11-16 18:15:45,5,6\n",
        ":3: TIMESTAMP is '2023-11-16 18:15:45', earlier",
    ),
    "failed request": (
        "Timestamp,Model,Request tokens,Response tokens\n0,x,5,0\n",
        ":2: Response tokens is '0': no output: the recorded request failed",
    ),
    "cut-off JSON": (MOON + '{"timestamp": 3, "inp', ':2: not a JSON object (cut off?): \'{"timestamp": 3, "inp\''),
    "JSON that is no object": (MOON + "[1, 2]\n", ":2: expected a JSON object, not '[1, 2]'"),
    "JSON number as text": (MOON.replace("600", '"600 tokens"'), ":1: input_length is '600 tokens': expected a number"),
    "JSON truth value": (MOON.replace("600", "true"), ":1: input_length is True: expected a number"),
    "JSON null": (MOON.replace("600", "null"), ":1: input_length is missing: expected a number"),
    "JSON NaN": (MOON.replace("600", "NaN"), ":1: input_length is nan: expected a number"),
    "hashes that are no list": (
        MOON.replace("[1, 2]", '"1;2"'),
        ":1: hash_ids is '1;2': expected a list of whole numbers",
    ),
    "hashes that are no numbers": (
        MOON.replace("[1, 2]", '[1, "x"]'),
        ":1: hash_ids is [1, 'x']: expected a list of whole numbers",
    ),
    "more hashes than tokens": (
        MOON.replace("[1, 2]", "[1, 2, 3, 4]"),
        ":1: hash_ids names 4 blocks of 512 tokens, more than the request's tokens fill",
    ),
    "unknown JSON fields": ('{"a": 1}\n', ":1: not a known trace: its first row has the fields a"),
    "binary": (b"\x00\x01\x02\x03" * 50, ": "),
    "wrong encoding": (OWN.encode() + "0,5,6\nü,5,6\n".encode("latin-1"), ":3: not UTF-8 text: convert the file"),
    "cut-off gzip": (gzip.compress(BIG)[:-400], ": cut-off gzip file: fetch it again"),
    "damaged gzip": (gzip.compress(BIG)[:500] + b"\xff" * 200 + gzip.compress(BIG)[700:], ": damaged gzip file"),
    "cut-off zstd": (pa.compress(BIG, codec="zstd", asbytes=True)[:-400], ": "),
    "zip archive": (zipped(), ": a zip archive: unpack it and give the trace inside"),
    "tar archive": (tarred(), ": a tar archive: unpack it and give the trace inside"),
    "cut-off Parquet": (parquet_cut_off(), ": damaged Parquet file"),
    "Parquet without a column": (parquet_without_output(), ": column 'output_tokens' is missing"),
    "benchmark result without lengths": (
        '{\n"input_lens": [1, 2]}',
        ": expected lists 'input_lens' and 'output_lens' of equal length",
    ),
    "ShareGPT without conversations": ('[{"id": 1}]', ": entry 1 has no list 'conversations'"),
}


@pytest.mark.parametrize("name", CASES)
def test_each_damage_has_its_line(name: str, tmp_path: Path) -> None:
    content, expected = CASES[name]
    path = tmp_path / "trace"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        list(open_trace(path).chunks())
    message = str(caught.value)
    assert expected in message
    assert str(path) in message
    assert "\n" not in message


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the trace: No such file"):
        open_trace(tmp_path / "none.csv")
    with pytest.raises(InputError, match="a folder: give the trace file in it"):
        open_trace(tmp_path)


def test_skipping_counts_by_reason_and_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(OWN + "0,5,6\n1,,6\n2,5,6\n1,5,6\n3,x,6\n4,5\n5,7,8\n")
    trace = open_trace(path, on_error="skip")
    (found,) = trace.chunks()
    assert found.arrival_s.tolist() == [0.0, 2.0, 5.0]
    assert trace.skipped_by_reason == {
        "prompt_tokens is no number": 2,
        "arrival_s goes back": 1,
        "wrong number of columns": 1,
    }
    assert len(trace.skipped_examples) == 4


def test_an_optional_cell_may_be_blank_but_not_wrong(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("arrival_s,prompt_tokens,output_tokens,priority\n0,5,6,\n1,5,6,high\n2,5,6,3\n3,5,6,0.5\n")
    trace = open_trace(path, on_error="skip")
    (found,) = trace.chunks()
    assert found.arrival_s.tolist() == [0.0, 2.0]
    assert found.priority is not None
    assert found.priority.tolist() == [0, 3]
    assert sum(trace.skipped_by_reason.values()) == 2


def test_nothing_left_after_skipping_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(OWN + "0,x,6\n")
    with pytest.raises(InputError, match=r"no request in the trace .1 damaged rows left out."):
        list(open_trace(path, on_error="skip").chunks())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "azur"}, "unknown trace format 'azur': did you mean azure"),
        ({"on_error": "ignore"}, "unknown on_error 'ignore'"),
        ({"limit": 0}, "limit is 0: give at least 1 request"),
        ({"speed_up": 0.0}, "speed_up is 0.0: give a number above 0"),
        ({"speed_up": float("nan")}, "speed_up is nan"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(OWN + "0,5,6\n")
    with pytest.raises(InputError, match=message):
        open_trace(path, **options)  # type: ignore[arg-type]


def test_archive_bombs_and_endless_lines_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FREE_BYTES", 1 << 20)
    monkeypatch.setattr(streams, "MAX_LINE", 1 << 20)
    monkeypatch.setattr(streams, "BLOCK", 1 << 18)
    bomb = tmp_path / "bomb.csv.gz"
    bomb.write_bytes(gzip.compress((OWN + "0,5,6\n" * 2_000_000).encode()))
    with pytest.raises(InputError, match="expands more than 200-fold: refused as an archive bomb"):
        for _ in streams.blocks(bomb, size=1 << 18):
            pass
    line = tmp_path / "line.csv"
    line.write_bytes(OWN.encode() + b"1" * (3 << 20))
    with pytest.raises(InputError, match="a line over 1 MB"):
        for _ in streams.blocks(line, size=1 << 18):
            pass
