select w.schema_id, w.subject, w.schema_text, w.schema_sha256, w.recorded_at
from factors.writer_schema w
order by w.recorded_at, w.schema_id, w.schema_sha256
