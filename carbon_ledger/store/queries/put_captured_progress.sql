insert into capture.progress (source, topic, next_offset)
values (%(source)s, %(topic)s, %(next_offset)s)
on conflict (source, topic) do update set next_offset = excluded.next_offset
