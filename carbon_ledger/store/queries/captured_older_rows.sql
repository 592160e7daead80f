-- Rows that are there, but not since a place in the log: those before it that did not come again.
select r.row_key, r.header_key, r.stream_position, r.snapshot_position, r.image, r.activity_ref
from capture.source_row r
where r.source = %(source)s and r.role = %(role)s and r.image is not null
  and greatest(r.stream_position, r.snapshot_position) < %(position)s and r.row_key > %(after)s
order by r.row_key
limit %(limit)s
