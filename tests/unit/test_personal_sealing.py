"""Pseudonyms and sealed fields: same in, same out; nothing altered opens; nothing is told."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon_ledger.errors import BrokenInvariant, ConfigurationError, RejectedRecord
from carbon_ledger.personal.fields import BLOCK_BYTES, PersonalFields
from carbon_ledger.personal.key_files import Erasure, KeyFiles
from carbon_ledger.personal.pseudonyms import decoded, encoded, is_subject_ref, new_subject_ref
from carbon_ledger.personal.sealing import (
    SubjectKey,
    key_id,
    lookup,
    seal,
    unseal,
    unwrap,
    wrap,
)
from carbon_ledger.transport.vehicle_events import VehicleTelemetryEvent
from pipeline.serialization import encode, schema_text
from spark.decode import WriterSchema, decode_body

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEY = SubjectKey(bytes(range(32)))
REF = "s_" + "abcdefghijklmnopqrstuvwxyz"
EVENT_ID = "vehicle:V1@T1/0#0"
WHO = PersonalFields(
    driver_id="D-4711",
    driver_name="Planted Name",
    start_position="47.3769,8.5417",
    end_position="-48.1,11.5",
    note="planted note",
)
PLANTED = ("D-4711", "Planted Name", "47.3769", "8.5417", "-48.1", "planted note")
_printable = st.text(min_size=1, max_size=200).filter(str.isprintable)


def trip(**changes: Any) -> VehicleTelemetryEvent:
    fields: dict[str, Any] = {
        "vehicle_id": "V1",
        "trip_id": "T1",
        "country_iso2": "GB",
        "vehicle_class": "artic_hgv_over_33t",
        "fuel_type": "diesel",
        "fuel_litres": "31.5",
        "timestamp": "2025-05-02T06:00:00Z",
        "interval_seconds": 7200,
    }
    return VehicleTelemetryEvent(**{**fields, **changes})


def sealed_trip(key: SubjectKey = KEY, ref: str = REF) -> VehicleTelemetryEvent:
    sealed = seal(key, WHO, subject_ref=ref, event_id=trip().event_id)
    return trip(subject_ref=ref, subject_ciphertext=sealed)


@given(_printable, _printable, st.binary(min_size=32, max_size=32))
def test_what_is_sealed_opens_again_and_only_so(name: str, note: str, secret: bytes) -> None:
    who = PersonalFields(driver_id="D", driver_name=name, note=note)
    text = seal(SubjectKey(secret), who, subject_ref=REF, event_id=EVENT_ID)
    assert unseal(SubjectKey(secret), text, subject_ref=REF, event_id=EVENT_ID) == who
    assert text == seal(SubjectKey(secret), who, subject_ref=REF, event_id=EVENT_ID)
    other = bytes([secret[0] ^ 1]) + secret[1:]
    with pytest.raises(RejectedRecord, match="not what was sealed"):
        unseal(SubjectKey(other), text, subject_ref=REF, event_id=EVENT_ID)


def test_a_nonce_is_another_one_wherever_anything_is() -> None:
    other_ref = new_subject_ref()
    sealed = [
        seal(KEY, WHO, subject_ref=REF, event_id=EVENT_ID),
        seal(KEY, WHO, subject_ref=REF, event_id="vehicle:V1@T1/0#1"),
        seal(KEY, WHO, subject_ref=other_ref, event_id=EVENT_ID),
        seal(KEY, replace(WHO, note="another"), subject_ref=REF, event_id=EVENT_ID),
        seal(SubjectKey(bytes(32)), WHO, subject_ref=REF, event_id=EVENT_ID),
    ]
    data = [decoded(text) or b"" for text in sealed]
    assert len({one[1:13] for one in data}) == len(sealed)
    assert len({one[13:] for one in data}) == len(sealed)


def test_no_changed_byte_and_no_other_place_opens() -> None:
    data = decoded(seal(KEY, WHO, subject_ref=REF, event_id=EVENT_ID))
    assert data is not None
    altered = [data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :] for i in range(len(data))]
    altered += [data[:-1], data + b"\0", b"", b"\x01", data[:20]]
    for one in altered:
        with pytest.raises(RejectedRecord) as refusal:
            unseal(KEY, encoded(one), subject_ref=REF, event_id=EVENT_ID)
        assert refusal.value.code == "ciphertext_refused"
    for ref, event_id in ((REF, EVENT_ID + "0"), ("s_" + "b" * 26, EVENT_ID)):
        with pytest.raises(RejectedRecord, match="not what was sealed"):
            unseal(KEY, encoded(data), subject_ref=ref, event_id=event_id)
    # Where a name ends and the next begins is bound too.
    with pytest.raises(RejectedRecord, match="not what was sealed"):
        unseal(KEY, encoded(data), subject_ref=REF[1:], event_id=EVENT_ID + REF[:1])


def test_a_length_does_not_tell_one_name_from_another() -> None:
    lengths = {
        len(
            seal(
                KEY,
                PersonalFields(driver_id="D", driver_name="x" * n),
                subject_ref=REF,
                event_id=EVENT_ID,
            )
        )
        for n in range(1, 60)
    }
    assert len(lengths) == 1
    assert len(WHO.to_bytes()) % BLOCK_BYTES == 0


def test_pseudonyms_are_random_and_say_nothing() -> None:
    drawn = {new_subject_ref() for _ in range(1000)}
    assert len(drawn) == 1000
    assert all(is_subject_ref(one) for one in drawn)
    assert not any(is_subject_ref(one) for one in ("s_", REF + "a", REF.upper(), "s_" + "1" * 26))


def test_a_lookup_takes_the_vault_s_key_and_the_organization() -> None:
    found = {
        lookup(bytes(32), "acme", "D1"),
        lookup(bytes(32), "acme", "D2"),
        lookup(bytes(32), "acmeD", "1"),
        lookup(b"\x01" * 32, "acme", "D1"),
    }
    assert len(found) == 4
    assert lookup(bytes(32), "acme", "D1") in found
    assert key_id(bytes(32)) != key_id(b"\x01" * 32)


def test_a_wrapped_key_takes_the_vault_s_key_and_the_secret_and_is_of_one_person() -> None:
    vault_key, secret = os.urandom(32), os.urandom(32)
    wrapped = wrap(KEY, vault_key=vault_key, secret=secret, subject_ref=REF)
    assert unwrap(wrapped, vault_key=vault_key, secret=secret, subject_ref=REF) == KEY
    wrong: list[dict[str, Any]] = [
        {"vault_key": bytes(32), "secret": secret, "subject_ref": REF},
        {"vault_key": vault_key, "secret": bytes(32), "subject_ref": REF},
        {"vault_key": vault_key, "secret": secret, "subject_ref": "s_" + "b" * 26},
    ]
    for one in wrong:
        with pytest.raises(BrokenInvariant, match="does not open"):
            unwrap(wrapped, **one)
    with pytest.raises(BrokenInvariant, match="does not open"):
        unwrap(
            wrapped[:-1] + bytes([wrapped[-1] ^ 1]),
            vault_key=vault_key,
            secret=secret,
            subject_ref=REF,
        )


def test_neither_repr_nor_refusal_shows_what_is_personal() -> None:
    assert not any(planted in repr(WHO) + str(WHO) for planted in PLANTED)
    assert KEY.secret.hex() not in repr(KEY)
    assert repr(KEY.secret) not in repr(KEY)
    wrong: list[dict[str, Any]] = [
        {"driver_id": ""},
        {"driver_id": None},
        {"driver_id": "Planted\nName"},
        {"driver_id": "D", "driver_name": "Planted Name" * 50},
        {"driver_id": "D", "start_position": "Planted Name"},
        {"driver_id": "D", "end_position": "91.0,8.5417"},
        {"driver_id": "D", "end_position": "47.3769,180.5"},
        {"driver_id": "D", "note": 8.5417},
    ]
    for fields in wrong:
        with pytest.raises(RejectedRecord) as refusal:
            PersonalFields(**fields)
        told = f"{refusal.value} {refusal.value.values()}"
        assert refusal.value.value is None
        assert not any(one in told for one in ("Planted", "91.0", "8.5417", "180.5"))
    for data in (b"Planted Name", b'["Planted Name"]', b'{"Planted Name": 1}'):
        with pytest.raises(RejectedRecord) as refusal:
            PersonalFields.from_bytes(data)
        assert "Planted" not in f"{refusal.value} {refusal.value.values()}"


def test_an_event_takes_pseudonym_and_ciphertext_together_and_shows_neither_when_wrong() -> None:
    sealed_trip().check(NOW)
    trip().check(NOW)
    sealed = sealed_trip().subject_ciphertext
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"subject_ref": REF}, "subject_incomplete"),
        ({"subject_ciphertext": sealed}, "subject_incomplete"),
        ({"subject_ref": "Planted Name", "subject_ciphertext": sealed}, "invalid_subject_ref"),
        ({"subject_ref": REF, "subject_ciphertext": "Planted Name"}, "invalid_ciphertext"),
        ({"subject_ref": REF, "subject_ciphertext": "A" * 16385}, "invalid_ciphertext"),
        # The last character says bits that belong to no byte: another spelling of the same bytes.
        ({"subject_ref": REF, "subject_ciphertext": "AB"}, "invalid_ciphertext"),
    ]
    for changes, code in wrong:
        with pytest.raises(RejectedRecord) as refusal:
            trip(**changes).check(NOW)
        assert refusal.value.code == code
        assert "Planted" not in f"{refusal.value} {refusal.value.values()}"


def test_the_record_is_the_same_bytes_each_time_and_holds_nothing_in_the_clear() -> None:
    value = encode(sealed_trip(), 7)
    assert value == encode(sealed_trip(), 7)
    assert REF.encode() in value
    assert not any(planted.encode() in value for planted in PLANTED)
    text = schema_text("transport")
    decoded_fields = decode_body(
        value[5:], WriterSchema(schema_id=7, text=text, sha256=b""), text
    ).fields
    event = VehicleTelemetryEvent.from_avro_fields(decoded_fields, NOW)
    assert event == sealed_trip()
    assert event.fuel_litres == Decimal("31.5")


def test_records_without_persons_are_read_as_before_and_old_readers_read_new_records() -> None:
    new = json.loads(schema_text("transport"))
    old = {**new, "fields": [f for f in new["fields"] if not f["name"].startswith("subject_")]}
    fields = {k: v for k, v in trip().to_avro_fields().items() if not k.startswith("subject_")}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(dict(old)), fields)
    writer = WriterSchema(schema_id=1, text=json.dumps(old), sha256=b"")
    read = decode_body(out.getvalue(), writer, schema_text("transport")).fields
    assert VehicleTelemetryEvent.from_avro_fields(read, NOW) == trip()
    body = encode(sealed_trip(), 2)[5:]
    newer = WriterSchema(schema_id=2, text=schema_text("transport"), sha256=b"")
    assert decode_body(body, newer, json.dumps(old)).fields == {
        name: value for name, value in read.items() if not name.startswith("subject_")
    }


def files(folder: Path) -> KeyFiles:
    return KeyFiles(folder / "keys" / "vault.key")


def test_key_files_are_their_owner_s_alone_and_made_once(tmp_path: Path) -> None:
    found = files(tmp_path)
    assert found.vault_key() is None
    key = found.make_vault_key()
    assert found.make_vault_key() == key == found.vault_key()
    secret = found.make_secret(REF)
    assert found.secret(REF) == secret != key
    with pytest.raises(FileExistsError):
        found.make_secret(REF)
    paths = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert {p.stat().st_mode & 0o777 for p in paths} == {0o600}
    assert len(paths) == 2
    found.vault_key_file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="0600"):
        found.vault_key()
    found.vault_key_file.chmod(0o600)
    for text in ("", "Zm9v\n", "ä"):
        found.vault_key_file.write_text(text)
        with pytest.raises(BrokenInvariant, match="holds no key"):
            found.vault_key()


def test_a_destroyed_secret_is_overwritten_and_gone(tmp_path: Path) -> None:
    found = files(tmp_path)
    found.make_secret(REF)
    held = tmp_path / "still-open"
    os.link(found.secret_file(REF), held)
    before = held.read_bytes()
    assert found.destroy_secret(REF)
    assert found.secret(REF) is None
    assert not found.destroy_secret(REF)
    assert held.read_bytes() != before
    assert set(held.read_bytes()) == {ord("0")}


@pytest.mark.parametrize("name", ["../../etc/passwd", "s_abc", "Planted Name", REF + "/x"])
def test_only_a_pseudonym_is_a_file_s_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(RejectedRecord) as refusal:
        files(tmp_path).secret_file(name)
    assert name not in str(refusal.value)


def test_the_list_of_erasures_is_added_to_and_a_cut_line_is_seen(tmp_path: Path) -> None:
    found = files(tmp_path)
    assert found.erasures() == []
    made = [
        Erasure(subject_ref=new_subject_ref(), erased_at=NOW, erased_by="dpo", reason=f"no. {n}\nü")
        for n in range(3)
    ]
    for one in made:
        found.note_erasure(one)
    assert found.erasures() == made
    text = found.erasures_file.read_text()
    assert len(text.splitlines()) == 3
    for wrong in (text[:-10], text + "{}\n", text.replace(made[1].subject_ref, "Planted Name")):
        found.erasures_file.write_text(wrong)
        with pytest.raises(BrokenInvariant) as error:
            found.erasures()
        assert error.value.code == "erasures_altered"
