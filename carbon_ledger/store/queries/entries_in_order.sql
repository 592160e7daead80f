-- Every entry of the months, a month's in the order of the records they came from.
select e.*
from ledger.entry e
where (%(start)s::date is null or e.activity_month >= %(start)s)
  and (%(end)s::date is null or e.activity_month < %(end)s)
order by e.activity_month, e.topic, e.topic_incarnation, e.kafka_partition, e.kafka_offset, e.entry_id
