insert into ledger.edge_letter (
    letter_id, source, coordinates, stream, reason_code, reason, field, offending_value, valid_values, content_type,
    received_at, record_key, record_value, record_headers, topic, kafka_partition, kafka_offset
) values (
    %(letter_id)s, %(source)s, %(coordinates)s, %(stream)s, %(reason_code)s, %(reason)s, %(field)s,
    %(offending_value)s, %(valid_values)s, %(content_type)s, %(received_at)s, %(record_key)s, %(record_value)s,
    %(record_headers)s, %(topic)s, %(kafka_partition)s, %(kafka_offset)s
)
on conflict do nothing
