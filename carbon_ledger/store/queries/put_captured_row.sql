insert into capture.source_row as r
    (source, role, row_key, header_key, stream_position, snapshot_position, image, activity_ref)
values (%(source)s, %(role)s, %(row_key)s, %(header_key)s, %(stream_position)s, %(snapshot_position)s,
        %(image)s, %(activity_ref)s)
on conflict (source, role, row_key) do update
set header_key = excluded.header_key, stream_position = excluded.stream_position,
    snapshot_position = excluded.snapshot_position, image = excluded.image, activity_ref = excluded.activity_ref
