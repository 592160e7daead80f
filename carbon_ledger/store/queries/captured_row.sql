select r.row_key, r.header_key, r.stream_position, r.snapshot_position, r.image, r.activity_ref
from capture.source_row r
where r.source = %(source)s and r.role = %(role)s and r.row_key = %(row_key)s
