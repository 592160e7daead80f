-- The stream has its row, of the latest topic that it was read from; then the claim.
with stream as (
    insert into manifest.stream (stream, topic, topic_incarnation)
    values (%(stream)s, %(topic)s, %(topic_incarnation)s)
    on conflict (stream) do update set topic_incarnation = greatest(stream.topic_incarnation, excluded.topic_incarnation)
    returning stream
)
insert into manifest.batch (stream, arrival_partition, status, attempt, factor_release, started_at)
select s.stream, %(arrival_partition)s, 'running', %(attempt)s, %(factor_release)s, clock_timestamp() from stream s
returning batch_id
