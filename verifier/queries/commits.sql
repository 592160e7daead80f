-- Every commit; a null is spelled U+0001, which no value holds.
select commit_id, kind, trunc(extract(epoch from recorded_at) * 1000000)::text,
       coalesce(batch_id::text, e'\x01'), coalesce(topic, e'\x01'),
       coalesce(topic_incarnation::text, e'\x01'), coalesce(kafka_partition::text, e'\x01'),
       start_offset, entries, entry_ids, content_sha256s
from audit.commit order by commit_id
