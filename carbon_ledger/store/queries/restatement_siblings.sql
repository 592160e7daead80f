-- Every line that some records posted, whichever of them stand, with the number of each.
select e.*,
       exists (select from ledger.reversal r where r.entry_id = e.entry_id) as is_reversed,
       e.cause is not null and not exists (
           select from ledger.restatement_line l
           join ledger.restatement_posting p
               on p.restatement_id = l.restatement_id and p.activity_month = l.activity_month
           where l.new_entry_id = e.entry_id and p.recorded_at = e.recorded_at) as is_adjusted
from ledger.entry e
join unnest(%(topics)s::text[], %(incarnations)s::integer[], %(partitions)s::integer[], %(offsets)s::bigint[])
    as w (topic, incarnation, kafka_partition, kafka_offset)
    on w.topic = e.topic and w.incarnation = e.topic_incarnation and w.kafka_partition = e.kafka_partition
    and w.kafka_offset = e.kafka_offset
where e.activity_month >= %(month)s::date - interval '1 month'
  and e.activity_month <= %(month)s::date + interval '1 month'
  and e.reverses_id is null
order by e.entry_id
