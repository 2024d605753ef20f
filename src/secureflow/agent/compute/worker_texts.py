"""What a worker may say when it fails: the errors of SecureFlow's own readers and trainers.

A worker's words are never repeated. Its error is looked up here by code and template, and said
again with these templates and with facts that the agent has compared (`worker_errors`). A new error
that a worker shall tell, or a new reason, needs its place here; until then its owner finds it in
the agent's log alone (`tests/unit/agent/test_worker_errors.py` compares this table with the code).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from secureflow.kit.commandline import install_hint

Facts = Mapping[str, str]
"""The name of a fact, and the rule that it has to follow (`worker_errors.Checked`)."""


@dataclass(frozen=True)
class Told:
    """One error.

    Args:
        message: its template.
        hint: its template, or a whole text.
        facts: of both; the error is not told unless all of them are as they must be.
        details: the names of what is told to programs.
    """

    message: str
    hint: str = ""
    facts: Facts = field(default_factory=dict)
    details: tuple[str, ...] = ()


_ROW: Final = ("row", "column")
_CELL: Final = {"row": "row", "column": "column"}
_NAMED: Final = {"name": "dataset"}
_WHOSE: Final = {"dataset": "dataset"}
_PATH: Final = "Check `path` in the agent's configuration."
FAILED: Final = "worker_failed"
SEE_LOG: Final = "See the agent's log; if it happens again, report it with the job's spec."
ERRORS: Final[Mapping[str, tuple[Told, ...]]] = {
    "schema_mismatch": (
        Told(
            "Dataset {dataset!r} does not fit its declared schema: {where}: {reason}.",
            "Correct the file or the declaration in the agent's configuration.",
            {"dataset": "dataset", "where": "where", "reason": "reason"},
            ("dataset", "column", "row"),
        ),
    ),
    "dataset_unreadable": (
        Told(
            "The file of dataset {dataset!r} does not exist or is not a file.",
            _PATH,
            _WHOSE,
            ("dataset",),
        ),
        Told(
            "The folder of dataset {dataset!r} does not exist, cannot be read, or holds more "
            "than {most} files.",
            "Check `path` in the agent's configuration; put more images than that into Parquet.",
            {"dataset": "dataset", "most": "limit"},
            ("dataset",),
        ),
        Told(
            "The file of dataset {name!r} is not a readable CSV file.",
            "It needs a header line, commas, and quotes around cells that hold either.",
            _NAMED,
            ("dataset",),
        ),
        Told(
            "The file of dataset {name!r} is not a readable Parquet file.",
            "Check the file and the declared format.",
            _NAMED,
            ("dataset",),
        ),
        Told(
            "The Parquet file of dataset {name!r} holds another number of rows than its footer "
            "says.",
            "The file is damaged: write it again with the program that made it.",
            _NAMED,
            ("dataset",),
        ),
    ),
    "dataset_too_large": (
        Told(
            "Dataset {dataset!r} has more rows or bytes than the agent reads.",
            "Raise the agent's limits, or split the dataset.",
            _WHOSE,
            ("dataset",),
        ),
        Told(
            "A job of sums adds up at most {most} rows of a party.",
            "Publish fewer rows, or several datasets.",
            {"most": "limit"},
        ),
    ),
    "library_missing": (
        Told(
            "The library for the images of dataset {dataset!r} (Pillow) is not installed at "
            "this agent.",
            install_hint("images"),
            _WHOSE,
            ("dataset",),
        ),
        Told(
            "The library {library!r} for statistics is not installed at this agent.",
            install_hint("stats"),
            {"library": "library"},
            ("library",),
        ),
    ),
    "shape_mismatch": (
        Told(
            "Column {name!r} holds {found} in each row, the job uses {wanted}.",
            "Use the shape that its owner declares; an owner of images can declare `fit: resize`.",
            {"name": "column", "found": "shape", "wanted": "shape"},
            ("column",),
        ),
    ),
    "state_unreadable": (
        Told(
            "The trainer's own state after the last update cannot be read.",
            "Leave this job: its trainer would make another update, which reveals more.",
        ),
        Told(
            "What this party keeps for itself between rounds is not as it was written.",
            "Leave this job: from another state the trainer would make another update.",
        ),
        Told(
            "The optimiser's state is larger than {most} bytes.",
            "Leave this job: from another state the trainer would make another update.",
            {"most": "count"},
        ),
    ),
    "unknown_column": (
        Told(
            "The dataset {name!r} declares no column {column!r}.",
            "Ask for a declared column, or let its owner declare it.",
            {"name": "dataset", "column": "column"},
            ("dataset", "column"),
        ),
    ),
    "key_undeclared": (
        Told(
            "The job holds rows out by key, and dataset {name!r} declares no key.",
            "Its owner adds `key: COLUMN` to the dataset in agent.yaml, with the column that says "
            "whose each row is, and publishes it again: secureflow agent data publish {name}.",
            _NAMED,
            ("dataset",),
        ),
    ),
    "unknown_category": (
        Told(
            "Row {row} of column {column!r} has a category that the spec does not declare.",
            "Add it to the {count} declared categories, or correct the row.",
            {**_CELL, "count": "count"},
            _ROW,
        ),
    ),
    "unknown_class": (
        Told(
            "Row {row} of the label column {column!r} has a class that the spec does not list.",
            "Add it to the {count} classes, or correct the row.",
            {**_CELL, "count": "count"},
            _ROW,
        ),
    ),
    "label_out_of_range": (
        Told(
            "Row {row} of the label column {column!r} is outside of the job's bounds.",
            "Correct the row, or use bounds that hold every label.",
            _CELL,
            _ROW,
        ),
    ),
    "missing_label": (
        Told(
            "Row {row} has no label in column {column!r}.",
            "Remove rows without a label from the dataset.",
            _CELL,
            _ROW,
        ),
    ),
    "malformed_label": (
        Told(
            "The label column {column!r} is numeric, but its positive value is text.",
            "Name the number that stands for the positive class.",
            {"column": "column"},
            ("column",),
        ),
    ),
    "malformed_cell": (
        Told(
            "Row {index} of column {name!r} does not fit: {reason}.",
            "Correct the cell, or leave it empty if the value is unknown.",
            {"index": "row", "name": "column", "reason": "reason"},
            (*_ROW, "step"),
        ),
        Told(
            "Column {column!r} holds fractions, and the job asks for whole numbers.",
            "Name it in the program's `decimals`, with as many as are to count.",
            {"column": "column"},
            ("column",),
        ),
        Told(
            "Column {column!r} holds fractions, and keys are whole numbers.",
            "Name another column as keys.",
            {"column": "column"},
            ("column",),
        ),
        Told(
            "Column {column!r} has empty cells, and the program needs a number in each.",
            "Fill them, or leave these rows out of the dataset at every party.",
            {"column": "column"},
            ("column",),
        ),
    ),
    "ring_overflow": (
        Told(
            "A sum over column {column!r} is greater than 2^50 steps of its last decimal.",
            "Ask for fewer decimals of it: nothing was masked or sent.",
            {"column": "column"},
            ("column",),
        ),
        Told(
            "The squares of column {column!r} add up to more than 2^100 steps.",
            "Ask for fewer decimals of it: nothing was masked or sent.",
            {"column": "column"},
            ("column",),
        ),
        Told(
            "The products of columns {first!r} and {second!r} add up to more than 2^100 steps.",
            "Ask for fewer decimals of it: nothing was masked or sent.",
            {"first": "column", "second": "column"},
            ("column",),
        ),
    ),
    "missing_column": (
        Told(
            "The column {name!r} is missing from the data.",
            "Add the column, or declare a feature spec without it.",
            {"name": "column"},
            ("column",),
        ),
        Told(
            "The job protects persons, but no column says whose each row is.",
            "Name that column as `person` in the dataset's privacy section.",
        ),
        Told(
            "No column was read, so rows cannot be counted.",
            "Read any column of the dataset.",
        ),
    ),
    "missing_data": (
        Told(
            "The model family {family!r} needs a dataset and features.",
            "Name a dataset for this party and features in the spec.",
            {"family": "family"},
        ),
    ),
    "empty_dataset": (
        Told(
            "The party's dataset has no rows.",
            "Use a dataset with rows, or leave the job.",
        ),
        Told(
            "Every row of the party's dataset is held out by its key.",
            "Use a dataset with more keys, hold out fewer of them, or leave the job.",
        ),
    ),
    "missing_moments": (
        Told(
            "The spec standardises by federated moments, but none came with the request.",
            "Run the stage `moments` first.",
        ),
    ),
    "invalid_moments": (
        Told(
            "The federated moments cannot be used: {reason}.",
            "Check that every party's data and the declared bounds belong to this job's spec.",
            {"reason": "reason"},
        ),
    ),
    "invalid_model": (
        Told(
            "Training cannot start from the global model's file: {reason}.",
            "Fetch the model again and compare its digest with the release.",
            {"reason": "reason"},
        ),
    ),
    "value_out_of_bounds": (Told("The rows are more than trees can add up.", "Use fewer rows."),),
    "training_diverged": (
        Told(
            "Local training diverged: a model parameter is no longer finite.",
            "Lower plan.learning_rate, or declare tighter bounds for the numeric features.",
        ),
    ),
    "too_few_rows": (
        Told(
            "Figures of a party are told of at least {least} of its rows; there are {count}.",
            "Leave this party out, or ask for no figures of each party.",
            {"least": "limit", "count": "count"},
        ),
    ),
    "job_not_prepared": (
        Told(
            "The worker holds no job {job!r}.",
            "Prepare the job before it computes.",
            {"job": "job"},
        ),
    ),
    "engine_output_refused": (
        Told(
            "What the engine says is not what the program gives.",
            "The next attempt runs it again; if this happens again, report it.",
        ),
        Told(
            "What the engine says of matching keys is no list of places in the list of keys.",
            "The next attempt runs it again; if this happens again, report it.",
        ),
    ),
    "peer_result_malformed": (
        Told(
            "The columns that {peer} handed over are not those that the job names.",
            "The agent of {peer} is faulty or of another version: ask it.",
            {"peer": "party"},
        ),
        Told(
            "{peer} told keys that all have, and some are not in this party's list.",
            "The agent or engine of {peer} is faulty or altered: ask it.",
            {"peer": "party"},
            ("party",),
        ),
    ),
    "dataset_unknown": (
        Told("The job {job} has no dataset.", facts={"job": "job"}),
        Told(
            "No party of the job brings dataset {name!r} with its columns.",
            "Publish the dataset with the columns that the job names.",
            _NAMED,
        ),
    ),
    "invalid_spec": (
        Told(
            "The spec is not valid: kind: {name!r} is not a kind of job.",
            facts={"name": "kind"},
        ),
    ),
    "worker_out_of_memory": (
        Told(
            "The worker process failed: {reason}.",
            SEE_LOG,
            {"reason": "reason"},
        ),
    ),
    FAILED: (
        Told(
            "The worker process failed: {reason}.",
            SEE_LOG,
            {"reason": "reason"},
        ),
    ),
}  # fmt: skip
WHERE: Final[Mapping[str, Facts]] = {
    "column {column!r}": {"column": "column"},
    "file {file}, column {column!r}": {"file": "file", "column": "column"},
    "row {row}, column {column!r}": _CELL,
    "row {row}, file {file}, column {column!r}": {**_CELL, "file": "file"},
}
"""Places in a dataset."""
UNSAID: Final = "the reason is only in this agent's log"
"""Stands for a reason that is not among these."""
REASONS: Final[Mapping[str, Facts]] = {
    "{name} occurred inside": {"name": "exception"},
    "the dataset needs more memory": {},
    # A column of a file.
    "it is not in the header": {},
    "the header has it twice": {},
    "the file has no such column": {},
    "the file has it twice": {},
    "its type {type} cannot be a {declared_type}": {"type": "arrow", "declared_type": "type"},
    "its type {kind} cannot be a {type}": {"kind": "arrow", "type": "type"},
    "it holds numbers, not {type}": {"type": "type"},
    "it holds {found}, no {type}": {"found": "dtype", "type": "type"},
    "it holds {found}, declared is {wanted}": {"found": "dtype", "wanted": "dtype"},
    "its rows have the shape {found}, declared is {wanted}": {"found": "shape", "wanted": "shape"},
    "it does not have as many rows as {other!r}": {"other": "column"},
    # An array's file.
    "there is no such file in the folder, or it is a link or no regular file": {},
    "it is cut short, or longer than its header says": {},
    "it has more than one dimension": {},
    "it is not a .npy file": {},
    "its format is of an unknown version": {},
    "its header is cut short or too long": {},
    "its header is not one that NumPy writes": {},
    "its header names no type of NumPy's": {},
    "it is in Fortran order; save it with numpy.ascontiguousarray": {},
    "it holds records of several fields; save one array per column": {},
    "it holds Python objects, which are never read": {},
    "its elements are empty": {},
    "it has too many dimensions": {},
    "it has no rows: it is a single value": {},
    # A row or a cell.
    "it is not a number": {},
    "it is not a text": {},
    "no format of the step date_parts fits it": {},
    "it is still missing after the last step of the recipe": {},
    "it is not a finite number": {},
    "it is infinite": {},
    "it is outside [{low:g}, {high:g}]": {"low": "bound", "high": "bound"},
    "it is not UTF-8 text": {},
    "it is not Unicode text": {},
    "its category is not among the declared ones": {},
    "it has more than {length} characters": {"length": "length"},
    "the row has {cells} cells, the header {expected}": {"cells": "count", "expected": "count"},
    "the column ends before the others": {},
    "the column holds text": {},
    "it has no weight": {},
    "the weight is outside of the job's bounds": {},
    # An array's row.
    "it holds a value that is not finite": {},
    "it holds a value that is not whole": {},
    "it holds a value that {dtype} does not hold": {"dtype": "dtype"},
    "it holds a value outside [{low:g}, {high:g}]": {"low": "bound", "high": "bound"},
    "it is empty, has an empty element or another length": {},
    # An image.
    "it is empty": {},
    "it names no file": {},
    "it cannot be read": {},
    "it is neither a PNG nor a JPEG image": {},
    "it is damaged or cut short": {},
    "it is wider or higher than 65,535 pixels": {},
    "it has more than 100 scans": {},
    "there is not enough memory to decode it": {},
    "it has more than 8 bits a channel": {},
    "it has more than {most} bytes": {"most": "limit"},
    "it has more than {most} pixels": {"most": "limit"},
    "its height, width and channels are {found}, declared are {declared}": {
        "found": "shape",
        "declared": "shape",
    },
    "it is not in the folder of a class": {},
    "a class has no folders within": {},
    "it is a link or no regular file": {},
    "its folder is not among the declared categories": {},
    # The key of a row.
    "it is empty, and is the key": {},
    "as a number it cannot be told from its neighbours: declare the key as text": {},
    # Moments and models.
    "the sums have the wrong length or are not finite": {},
    "no data within the bounds of {column!r} has these sums": {"column": "column"},
    "the variance of {column!r} is negative": {"column": "column"},
    "it has {found} bytes, not {size}": {"found": "count", "size": "count"},
    "a parameter is not finite": {},
}
EXCEPTIONS: Final = frozenset(
    {
        "ArithmeticError", "ArrowCapacityError", "ArrowException", "ArrowIndexError",
        "ArrowInvalid", "ArrowKeyError", "ArrowMemoryError", "ArrowNotImplementedError",
        "ArrowSerializationError", "ArrowTypeError", "AssertionError", "AttributeError",
        "BlockingIOError", "BrokenPipeError", "BufferError", "EOFError", "Exception",
        "FileExistsError", "FileNotFoundError", "FloatingPointError", "ImportError", "IndexError",
        "InterruptedError", "IsADirectoryError", "KeyError", "LinAlgError", "LookupError",
        "ModuleNotFoundError", "NameError", "NotADirectoryError", "NotImplementedError",
        "OSError", "OpenDPException", "OverflowError", "PermissionError", "RecursionError",
        "ReferenceError", "RuntimeError", "StopIteration", "SyntaxError", "SystemError",
        "TimeoutError", "TypeError", "UnboundLocalError", "UnicodeDecodeError",
        "UnicodeEncodeError", "UnicodeError", "UnidentifiedImageError", "ValidationError",
        "ValueError", "ZeroDivisionError",
    }
)  # fmt: skip
ARROW: Final = frozenset(
    {
        "null", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "halffloat", "float", "double", "string", "large_string", "string_view", "binary",
        "large_binary", "binary_view", "date32[day]", "date64[ms]", "time32[s]", "time32[ms]",
        "time64[us]", "time64[ns]", "timestamp[s]", "timestamp[ms]", "timestamp[us]",
        "timestamp[ns]", "duration[s]", "duration[ms]", "duration[us]", "duration[ns]",
        "list<item: double>", "list<item: float>", "list<item: int64>", "list<item: int32>",
        "list<element: double>", "list<element: float>", "list<element: int64>",
        "list<element: int32>", "list<item: string>", "list<element: string>",
    }
)  # fmt: skip
"""Types of columns in files, as Arrow calls them; a rarer one is in the log alone."""
DTYPES: Final = frozenset(
    {
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64", "longdouble", "float128",
    }
)  # fmt: skip
