"""From a Kafka record's bytes to the fields of an event, or to a named reason why not.

Belongs here: the frame (magic byte, schema id), Avro decoding in both lanes, strictness about every
byte. Does not: whether the fields make sense (carbon_ledger.events).

Two lanes, one verdict. Records framed with the newest schema are decoded by Spark, column by
column; whatever Spark cannot read, and whatever does not account for each of its bytes, is decoded
again here, one record at a time, and that lane alone says why a record is refused.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import fastavro
from fastavro.schema import SchemaParseException

from carbon_ledger.errors import RejectedRecord

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

FRAME_BYTES = 5
MAX_VALUE_BYTES = 65_536


@dataclass(frozen=True, kw_only=True)
class WriterSchema:
    """A writer schema as the registry knows it: its id, its exact text, the SHA-256 of the text."""

    schema_id: int
    text: str
    sha256: bytes


@dataclass(frozen=True, kw_only=True)
class DecodedRecord:
    """The fields of one record, under the names of the reader's schema, and which schema wrote
    it.
    """

    fields: dict[str, Any]
    schema_id: int
    schema_sha256: bytes


def frame_schema_id(value: bytes | None) -> int:
    """The schema id in the record's five-byte frame. Raises RejectedRecord naming the fault."""
    if not value:
        raise RejectedRecord(
            "empty_value", "the record has no value", valid="an Avro record in Confluent framing"
        )
    if len(value) > MAX_VALUE_BYTES:
        raise RejectedRecord(
            "value_too_large",
            f"the record's value has {len(value)} bytes",
            value=len(value),
            valid=f"at most {MAX_VALUE_BYTES} bytes",
        )
    if value[0] != 0:
        raise RejectedRecord(
            "wrong_magic_byte",
            f"the record starts with byte 0x{value[0]:02x}",
            value=f"0x{value[0]:02x}",
            valid="0x00, then the schema id as four bytes, then the Avro body",
        )
    if len(value) < FRAME_BYTES:
        raise RejectedRecord(
            "truncated_avro", f"the record ends after {len(value)} bytes, inside its frame"
        )
    return int.from_bytes(value[1:FRAME_BYTES], "big")


@lru_cache(maxsize=256)
def parsed_schema(text: str) -> Any:
    """The schema parsed, timestamps left as integers (logical types do not change the bytes)."""
    try:
        return fastavro.parse_schema(without_logical_types(json.loads(text)))
    except SchemaParseException as error:
        raise RejectedRecord(
            "unreadable_schema", f"the writer's schema cannot be parsed: {error}"
        ) from error


def without_logical_types(schema: Any) -> Any:
    """`schema` with every logicalType removed."""
    if isinstance(schema, dict):
        return {k: without_logical_types(v) for k, v in schema.items() if k != "logicalType"}
    if isinstance(schema, list):
        return [without_logical_types(item) for item in schema]
    return schema


def decode_body(body: bytes, writer: WriterSchema, reader_text: str) -> DecodedRecord:
    """Decodes an Avro body with its writer's schema, resolved to the reader's. Raises
    RejectedRecord.
    """
    writer_schema, reader_schema = parsed_schema(writer.text), parsed_schema(reader_text)
    stream = io.BytesIO(body)
    try:
        fields = fastavro.schemaless_reader(
            stream, writer_schema, None if writer.text == reader_text else reader_schema
        )
    except EOFError as error:
        raise _truncated(body) from error
    except UnicodeDecodeError as error:
        raise RejectedRecord(
            "bad_utf8", f"a text field is not UTF-8: {error.reason} at byte {error.start}"
        ) from error
    except fastavro.read.SchemaResolutionError as error:
        raise RejectedRecord(
            "incompatible_schema",
            f"the writer's schema {writer.schema_id} does not resolve: {error}",
        ) from error
    except (ValueError, IndexError, TypeError, KeyError, OverflowError, MemoryError) as error:
        if stream.tell() >= len(body) and not isinstance(error, ValueError | OverflowError):
            raise _truncated(body) from error
        raise RejectedRecord(
            "malformed_avro", f"the Avro body cannot be decoded: {error}"
        ) from error
    left = len(body) - stream.tell()
    if left:
        raise RejectedRecord(
            "trailing_bytes", f"{left} bytes follow the Avro record", value=left, valid="no bytes"
        )
    if not isinstance(fields, dict):
        raise RejectedRecord("malformed_avro", "the writer's schema is not a record")
    return DecodedRecord(fields=fields, schema_id=writer.schema_id, schema_sha256=writer.sha256)


def _truncated(body: bytes) -> RejectedRecord:
    return RejectedRecord(
        "truncated_avro", f"the Avro body ends too early, after {len(body)} bytes"
    )


def spark_decoded(frame: DataFrame, schema_id: int | None, schema_text: str) -> DataFrame:
    """`frame` of Kafka records with a column `d`: the decoded struct, null where Spark cannot be
    sure.

    Only records framed with `schema_id` are tried (none if it is None); text that is not UTF-8
    gives null. `headers` become JSON text, which spark.archive.raw_records reads back.
    """
    from pyspark.sql.connect import functions as F
    from pyspark.sql.connect.avro.functions import from_avro
    from pyspark.sql.types import StructType

    plain = json.dumps(without_logical_types(json.loads(schema_text)))
    # Headers travel as one text, null where there are none: as Arrow lists they cost more than all
    # the rest of a record.
    raw = frame.select(
        "topic",
        "partition",
        "offset",
        "timestamp",
        "key",
        "value",
        F.to_json("headers").alias("headers"),
    )
    if schema_id is None:
        return raw
    head = F.lit(bytes([0]) + schema_id.to_bytes(4, "big"))
    body = F.expr(f"substring(value, {FRAME_BYTES + 1})")
    framed = (F.length("value") > FRAME_BYTES) & (F.length("value") <= MAX_VALUE_BYTES)
    framed = framed & (F.expr(f"substring(value, 1, {FRAME_BYTES})") == head)
    decoded = raw.withColumn("d", F.when(framed, from_avro(body, plain, {"mode": "PERMISSIVE"})))
    struct = decoded.schema["d"].dataType
    if not isinstance(struct, StructType):
        raise TypeError(f"expected a record schema, found {struct}")
    texts: list[Column] = [
        F.coalesce(F.expr(f"is_valid_utf8(d.{field.name})"), F.lit(True))
        for field in struct
        if field.dataType.typeName() == "string"
    ]
    clean = texts[0]
    for text in texts[1:]:
        clean = clean & text
    return decoded.withColumn("d", F.when(clean, F.col("d")))
